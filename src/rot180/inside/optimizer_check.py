"""Check whether an optimizer follows the equations of its rule, and name the mistake if not.

It is given the same parameters and gradients as the equations in `rot180.inside.mistakes.update`, over several steps
between which the learning rate changes as under a schedule. Where they differ, each known mistake is made on purpose,
and the one that leads to exactly the same weights is named. Halfway the state is saved and loaded into a fresh
optimizer, as with a checkpoint: state that an optimizer keeps elsewhere is lost.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from rot180.errors import ArgumentError
from rot180.inside.mistakes.case import Mistake
from rot180.inside.mistakes.update import FORMULAS, Walk, Weights, mistaken, walk
from rot180.language import translate
from rot180.language.width import wrap
from rot180.ops.types import Array
from rot180.training.optimizer import Optimizer
from rot180.training.optimizers import optimizer as make_optimizer

__all__ = ["OptimizerCheck", "OptimizerReport", "check_optimizer"]

STEPS = 6
TOLERANCE = 1e-6
SMALLEST = 1e-13
"""Weights of about 1 are rounded to this in float64: smaller changes cannot be resolved."""
WIDTH = 80
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "sgd": [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}],
    "adam": [{}, {"betas": (0.7, 0.95), "weight_decay": 0.1}],
    "adamw": [{}, {"betas": (0.7, 0.95), "weight_decay": 0.1}],
    "muon": [{}, {"betas": (0.7, 0.95), "weight_decay": 0.1}],
    "rmsprop": [{}, {"alpha": 0.8, "weight_decay": 0.1}],
}
"""The hyper-parameters that a built-in optimizer is checked with."""


@dataclass(frozen=True)
class OptimizerCheck:
    """The comparison of one optimizer with its equations.

    Attributes
    ----------
    optimizer : str
        The call that creates it.
    rule : str
        The name of the rule.
    max_error : float
        The largest relative error of any weight's change from the start; infinite if there is a `problem`.
    step : int
        The first step at which the error is above the tolerance, else the last, from 1.
    at : str
        The worst weight in that step, such as `weight[1,2]`.
    claimed, right : float
        The change of that weight from the start.
    problem : str
        An exception, or another reason why it could not be compared.
    mistake : Mistake or None
        The known mistake that a wrong optimizer looks like.
    unseen : tuple of str
        Hyper-parameters that are zero, whose terms could not be checked.
    """

    optimizer: str
    rule: str
    max_error: float
    step: int
    at: str
    claimed: float
    right: float
    problem: str = ""
    mistake: Mistake | None = None
    unseen: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether it follows its equations."""
        return not self.problem and self.mistake is None and self.max_error <= TOLERANCE


@dataclass(frozen=True)
class OptimizerReport:
    """The results of checking an optimizer, to be printed.

    Attributes
    ----------
    subject : str
    checks : tuple of OptimizerCheck
        One check for each setting.
    """

    subject: str
    checks: tuple[OptimizerCheck, ...]

    @property
    def passed(self) -> bool:
        """Whether it follows its equations in every setting."""
        return all(check.passed for check in self.checks)

    @property
    def mistakes(self) -> tuple[str, ...]:
        """The mistake that each wrong setting looks like; its problem if none is known."""
        return tuple(str(check.mistake or check.problem) for check in self.checks if not check.passed)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as lists, numbers and strings, ready for JSON."""
        checks = [
            {
                "optimizer": check.optimizer,
                "rule": check.rule,
                "passed": check.passed,
                "max_error": check.max_error if np.isfinite(check.max_error) else None,
                "tolerance": TOLERANCE,
                "step": check.step,
                "at": check.at,
                "problem": check.problem,
                "mistake": check.mistake.name if check.mistake else None,
                "advice": check.mistake.advice if check.mistake else None,
                "where": check.mistake.where if check.mistake else None,
                "unseen": list(check.unseen),
            }
            for check in self.checks
        ]
        return {"subject": self.subject, "passed": self.passed, "steps": STEPS, "checks": checks}

    def __str__(self) -> str:
        """Return one line per setting, followed by what is wrong."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield "largest error  of steps"
        for check in self.checks:
            error = f"{check.max_error:.1e}" if np.isfinite(check.max_error) else "-"
            yield f"{error:>13}  {STEPS:>8}  {translate('right' if check.passed else 'WRONG')}  {check.optimizer}"
        yield ""
        for check in self.checks:
            if check.passed:
                continue
            evidence = check.problem or (
                f"at step {check.step} {check.at} has moved by {check.claimed:.6g}, but should by {check.right:.6g}"
            )
            yield from wrap(translate(f"{check.optimizer}: {evidence}"), WIDTH, indent="  ")
            says = "it looks like no known mistake"
            if check.mistake:
                says = f"it looks like: {check.mistake.name}; {check.mistake.advice}"
            yield from wrap(translate(says), WIDTH, first="  ", indent="    ")
            if check.mistake and check.mistake.where:
                where = f"in the formula: {check.mistake.where}"
                yield from wrap(translate(where), WIDTH, first="  ", indent="    ")
            formula = f"{check.rule}: {FORMULAS[check.rule]}"
            yield from wrap(translate(formula), WIDTH, first="  ", indent="    ")
        if self.passed:
            yield f"every step follows the equations of {self.checks[0].rule}, in float64"
        unseen = self.checks[-1].unseen
        if unseen:
            yield from wrap(translate(f"not checked because zero: {', '.join(unseen)}"), WIDTH)


def check_optimizer(optimizer: str | Optimizer, like: str | None = None, *, seed: int = 0) -> OptimizerReport:
    """Compare an optimizer with the equations of its rule, step by step.

    Parameters
    ----------
    optimizer : str or Optimizer
        A name, which is checked with several settings; or an instance of any class that follows the contract of
        `rot180.training.optimizer.Optimizer`, checked with its own. It is not changed.
    like : str, optional
        The rule that it should follow: sgd, adam, adamw, muon or rmsprop. By default, the one named by its `rule`.
    seed : int
        Seed of the parameters and gradients.

    Returns
    -------
    OptimizerReport

    Raises
    ------
    ArgumentError
        The optimizer or the rule is unknown.

    Examples
    --------
    >>> import rot180
    >>> check_optimizer("adam").passed
    True
    >>> check_optimizer(rot180.Adam(weight_decay=0.1), like="adamw").mistakes[0][:51]
    'weight decay decoupled instead of L2, or vice versa'
    """
    if isinstance(optimizer, str):
        made = [make_optimizer(optimizer, **hyper) for hyper in SETTINGS.get(optimizer, [{}])]
    else:
        made = [optimizer]
    rule = like if like is not None else made[0].rule
    if rule not in FORMULAS:
        raise ArgumentError(
            f"checking an optimizer needs the rule that it follows, one of {', '.join(FORMULAS)}; it is {rule!r}; "
            "give like='adam' (on the command line --like adam)"
        )
    subject = optimizer if isinstance(optimizer, str) else type(optimizer).__name__
    return OptimizerReport(subject, tuple(_check(one, rule, seed) for one in made))


def _check(optimizer: Optimizer, rule: str, seed: int) -> OptimizerCheck:
    hyper = _hyper(optimizer, rule)
    unseen = tuple(name for name in ("momentum", "weight_decay") if name in hyper and not hyper[name])
    given = _given(optimizer.lr or 1e-3, seed)
    says = _says(optimizer)
    right = walk(rule, hyper, given)
    try:
        with np.errstate(all="ignore"):
            claimed = _follow(optimizer, given)
            resumed = _follow(optimizer, given, resume_after=STEPS // 2)
    except _Misuse as error:
        return OptimizerCheck(says, rule, np.inf, 0, "", 0, 0, str(error), None, unseen)
    except Exception as error:  # a user's own optimizer may raise anything, which is reported
        return OptimizerCheck(
            says, rule, np.inf, 0, "", 0, 0, f"update raised {type(error).__name__}: {error}", None, unseen
        )
    largest, step, at, moved, should = _compare(claimed, right, given)
    mistake = None
    if largest > TOLERANCE:
        candidates = chain(_other_rules(optimizer, rule, given), mistaken(rule, hyper, given))
        found = (known for known, wrong in candidates if _compare(claimed, wrong, given)[0] <= TOLERANCE)
        mistake = next(found, None)
    elif _compare(resumed, right, given)[0] > TOLERANCE:
        largest, step, at, moved, should = _compare(resumed, right, given)
        mistake = Mistake(
            "state not in self.state",
            "a resumed run loses it: keep all state in self.state and self.step_count",
            "the old mean or velocity, after saving and loading",
        )
    return OptimizerCheck(says, rule, largest, step, at, moved, should, "", mistake, unseen)


def _hyper(optimizer: Optimizer, rule: str) -> dict[str, Any]:
    """Return the hyper-parameters of a rule, from the optimizer if it has them."""
    defaults: dict[str, Any] = make_optimizer(rule).hyper()
    return {name: getattr(optimizer, name, default) for name, default in defaults.items()}


def _other_rules(optimizer: Optimizer, rule: str, given: Walk) -> Iterator[tuple[Mistake, Weights]]:
    for other in FORMULAS:
        # Adam and AdamW differ by a mistake with its own name.
        if other != rule and {other, rule} != {"adam", "adamw"}:
            mistake = Mistake(f"another rule: {other}", f"it follows {FORMULAS[other]}", f"all of {rule}")
            yield mistake, walk(other, _hyper(optimizer, other), given)


class _Misuse(Exception):
    """The optimizer breaks the contract of `update`."""


def _given(lr: float, seed: int) -> Walk:
    """Return the steps: gradients of all magnitudes, so that epsilon matters in some, and a changing rate."""
    generator = np.random.default_rng(seed)
    shapes = {"conv1.weight": (3, 2), "conv1.bias": (4,), "conv2.weight": (1, 2, 3, 2)}
    start = {name: generator.normal(size=shape) for name, shape in shapes.items()}
    sizes = {name: 10.0 ** generator.uniform(-8, 0.5, shape) for name, shape in shapes.items()}
    gradients = [
        {name: sizes[name] * generator.normal(size=shape) for name, shape in shapes.items()} for _ in range(STEPS)
    ]
    rates = [lr * factor for factor in (1.0, 1.0, 0.5, 0.5, 0.25, 0.75)]
    return Walk(start, gradients, rates, {"conv1.bias": 0.5})


def _follow(optimizer: Optimizer, given: Walk, resume_after: int = 0) -> Weights:
    """Let a copy of the optimizer take the steps; after some, continue with a fresh copy that has its saved state."""
    fresh = copy.deepcopy(optimizer)
    fresh.clip_norm, fresh.decay_bias_and_norm = None, True  # not part of any rule
    running = copy.deepcopy(fresh)
    parameters = {name: array.copy() for name, array in given.start.items()}
    steps = []
    for number, (gradients, rate) in enumerate(zip(given.gradients, given.rates, strict=True)):
        if resume_after and number == resume_after:
            saved = {name: np.array(array) for name, array in running.state_dict().items()}
            running = copy.deepcopy(fresh)
            running.load_state(saved)
        running.lr = rate
        handed = {name: array.copy() for name, array in gradients.items()}
        arrays = dict(parameters)
        running.update(arrays, handed, given.factors)
        if any(arrays[name] is not array for name, array in parameters.items()):
            raise _Misuse("update put new arrays into the dict; change the arrays in place: w -= ..., not w = w - ...")
        if any(np.any(handed[name] != array) for name, array in gradients.items()):
            raise _Misuse("update changed the gradients; compute into a new array, the caller may need them")
        steps.append({name: array.copy() for name, array in parameters.items()})
    if all(np.array_equal(steps[-1][name], array) for name, array in given.start.items()):
        raise _Misuse("update changed no parameter; change the arrays in place: w -= ..., not w = w - ...")
    return steps


def _compare(claimed: Weights, right: Weights, given: Walk) -> tuple[float, int, str, float, float]:
    """Return the largest error and the first step above the tolerance, with its worst weight and both changes."""
    largest, found = 0.0, (len(right), "", 0.0, 0.0)
    for number, (one, other) in enumerate(zip(claimed, right, strict=True), 1):
        for name, start in given.start.items():
            moved, should = one[name] - start, other[name] - start
            errors = _errors(moved, should)
            index = np.unravel_index(int(errors.argmax()), errors.shape)
            error = float(errors[index])
            if error > largest:
                if largest <= TOLERANCE:
                    at = f"{name}[{','.join(str(int(i)) for i in index)}]"
                    found = (number, at, float(moved[index]), float(should[index]))
                largest = error
    return (largest, *found)


def _errors(moved: Array, should: Array) -> Array:
    """Return the relative errors: 0 where neither value is a number, infinite where one is not."""
    finite = np.isfinite(moved) & np.isfinite(should)
    same = np.isnan(moved) & np.isnan(should) | (moved == should)
    with np.errstate(invalid="ignore"):
        scale = np.maximum(np.maximum(np.abs(moved), np.abs(should)), SMALLEST / TOLERANCE)
        return np.where(same, 0.0, np.where(finite, np.abs(moved - should) / scale, np.inf))


def _says(optimizer: Optimizer) -> str:
    """Return the call that creates it, or its class's name if its hyper-parameters are not known."""
    try:
        return repr(optimizer)
    except Exception:  # a user's own class may have no `hyper`
        return type(optimizer).__name__
