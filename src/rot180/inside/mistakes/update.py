r"""The rules of optimizers as in their papers, and the known mistakes in each.

The equations are those of `rot180.ops.update`, written out again with every mistake as a switch: several steps of an
optimizer are compared with them, and those of a wrong one with each mistake and each pair of mistakes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from rot180.inside.mistakes.case import Mistake
from rot180.ops.muon import orthogonalize
from rot180.ops.types import Array

__all__ = ["FORMULAS", "Walk", "mistaken", "walk"]

FORMULAS = {
    "sgd": "velocity = momentum * velocity + g,  w -= lr * velocity,  g = dw + weight_decay * w",
    "adam": "m = beta1*m + (1 - beta1)*g,  v = beta2*v + (1 - beta2)*g^2,  "
    "w -= lr * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps),  g = dw + weight_decay * w",
    "adamw": "w -= lr * weight_decay * w,  then Adam's step with g = dw",
    "muon": "w -= lr * weight_decay * w,  m = beta1*m + (1 - beta1)*dw,  g = beta1*m + (1 - beta1)*dw,  "
    "w -= lr * 0.2*sqrt(n) * orthogonalize(g), n the larger side of g;  parameters without four axes as in adamw",
    "rmsprop": "square = alpha*square + (1 - alpha)*g^2,  w -= lr * g / (sqrt(square) + eps),  "
    "g = dw + weight_decay * w",
}

_ANY = {
    "ascends": Mistake("sign flipped", "the step goes against the gradient", "the minus in w -= lr * ..."),
    "count": Mistake(
        "step counted for each parameter", "one update of all parameters is one step: count outside the loop", "t"
    ),
    "lr of the start": Mistake(
        "initial learning rate", "schedules set self.lr before each step; use the lr that is passed in", "lr"
    ),
    "lr factor": Mistake("layer's lr_factor left out", "the lr of a layer is lr * lr_factors[name]", "lr"),
    "lr squared": Mistake("learning rate twice", "multiply by lr once", "lr in w -= lr * ..."),
    "no state": Mistake(
        "state not kept", "keep it for the next step in self.state[slot][name]", "the old mean"
    ),
    "no decay": Mistake("weight decay missing", "add weight_decay * w to the gradient", "g = dw + weight_decay * w"),
    "decay sign": Mistake("weight decay with a wrong sign", "it shrinks the weights", "+ in g = dw + weight_decay * w"),
    "decay kind": Mistake(
        "weight decay decoupled instead of L2, or vice versa",
        "Adam adds it to the gradient, AdamW shrinks the weights by lr * weight_decay separately",
        "g = dw + weight_decay * w versus w -= lr * weight_decay * w",
    ),
    "decay without lr": Mistake(
        "decoupled weight decay without the learning rate", "shrink by lr * weight_decay", "lr in lr * weight_decay * w"
    ),
    "decay after": Mistake(
        "decoupled weight decay after the step", "shrink the weights before the step", "w in w -= lr * weight_decay * w"
    ),
}  # fmt: skip
_ADAM = {
    "no bias correction": Mistake(
        "bias correction missing", "both means start at zero: divide them by 1 - beta^t", "1 - beta1^t and 1 - beta2^t"
    ),
    "no correction of m": Mistake(
        "bias correction of the mean missing", "m starts at zero: divide it by 1 - beta1^t", "m / (1 - beta1^t)"
    ),
    "no correction of v": Mistake(
        "bias correction of the mean square missing", "v starts at zero: divide it by 1 - beta2^t", "v / (1 - beta2^t)"
    ),
    "t from 0": Mistake("step count off by one", "the first step is t = 1: count before the update", "t in 1 - beta^t"),
    "t from 2": Mistake("step count off by one", "the first step is t = 1: count once", "t in 1 - beta^t"),
    "constant correction": Mistake(
        "bias correction without the step", "the power is t, the number of the step: 1 - beta^t", "t in 1 - beta^t"
    ),
    "betas": Mistake(
        "betas exchanged", "beta1 is for the mean, beta2 for the mean square: (0.9, 0.999)", "beta1 and beta2"
    ),
    "1 - beta": Mistake(
        "beta and 1 - beta exchanged", "beta is the fraction of the old mean that is kept", "beta1*m + (1 - beta1)*g"
    ),
    "m unweighted": Mistake("1 - beta1 missing", "the weight of the new gradient is 1 - beta1", "(1 - beta1)*g"),
    "v unweighted": Mistake("1 - beta2 missing", "the weight of the new square is 1 - beta2", "(1 - beta2)*g^2"),
    "v not squared": Mistake("gradient not squared", "v is the mean of g * g", "g^2 in v"),
    "v of m": Mistake("square of the mean instead of the gradient", "v is the mean of g * g, not of m * m", "g^2 in v"),
    "gradient": Mistake("gradient instead of its mean", "step along m, not along g", "m in w -= lr * m / ..."),
    "largest v": Mistake("maximum of the mean square (AMSGrad)", "Adam divides by the current one", "sqrt(v)"),
}  # fmt: skip
_ROOT = {
    "eps inside": Mistake("epsilon inside the root", "add it after the root: sqrt(v) + eps", "sqrt(...) + eps"),
    "no eps": Mistake("epsilon missing", "add it after the root: sqrt(v) + eps", "+ eps"),
    "no root": Mistake("root missing", "divide by the square root of the mean square", "sqrt"),
}
_EPS_FIRST = {
    "eps first": Mistake(
        "epsilon added before the bias correction", "correct v first: sqrt(v / (1 - beta2^t)) + eps", "sqrt(...) + eps"
    ),
    "eps mean": Mistake("epsilon inside the root of the uncorrected mean", "sqrt(v / (1 - beta2^t)) + eps", "+ eps"),
}
_SGD = {
    "dampening": Mistake(
        "momentum with dampening",
        "the gradient is added to the velocity in full, not times 1 - momentum",
        "+ g in velocity",
    ),
    "velocity sign": Mistake(
        "velocity with a wrong sign", "the velocity is a sum of gradients, and w moves against it", "+ g in velocity"
    ),
    "nesterov": Mistake(
        "Nesterov's and classical momentum exchanged",
        "Nesterov's step is along g + momentum * velocity, the classical one along velocity",
        "velocity in w -= lr * velocity",
    ),
    "lr in velocity": Mistake(
        "learning rate inside the velocity",
        "the velocity is a sum of gradients, multiplied by the current lr; inside it, old learning rates would persist",
        "lr in w -= lr * velocity",
    ),
    "no momentum": Mistake("momentum missing", "carry momentum * velocity from step to step", "momentum * velocity"),
}
_RMSPROP = {
    "1 - alpha": Mistake(
        "alpha and 1 - alpha exchanged",
        "alpha is the fraction of the old mean that is kept",
        "alpha*square + (1 - alpha)*g^2",
    ),
    "unweighted": Mistake("1 - alpha missing", "the weight of the new square is 1 - alpha", "(1 - alpha)*g^2"),
    "v not squared": Mistake("gradient not squared", "square is the mean of g * g", "g^2 in square"),
    "corrected": Mistake(
        "bias correction added", "RMSprop divides by the square root of the uncorrected mean", "sqrt(square)"
    ),
    "centered": Mistake("variance instead of the mean square", "only the centered form subtracts the mean", "square"),
    "old square": Mistake("mean square of the previous step", "update it first, then divide", "sqrt(square)"),
}
_MUON = {
    "not orthogonal": Mistake("step not made orthogonal", "step along orthogonalize(g), not along g", "orthogonalize"),
    "length missing": Mistake(
        "length of the step missing", "an orthogonal matrix is small: multiply it by 0.2 * sqrt(n)", "0.2*sqrt(n)"
    ),
    "smaller side": Mistake(
        "smaller instead of larger side", "n is the larger of rows and columns", "n in 0.2*sqrt(n)"
    ),
    "not ahead": Mistake(
        "mean of the gradients instead of the look-ahead",
        "g is beta1*m + (1 - beta1)*dw, with the new m",
        "g = beta1*m + (1 - beta1)*dw",
    ),
    "other rows": Mistake(
        "matrix of other axes", "the last axis has the outputs: g.reshape(-1, outputs)", "orthogonalize(g)"
    ),
}  # fmt: skip
_ADAM |= _ROOT | _EPS_FIRST
_DECOUPLED = {"decay without lr", "decay after"}
KNOWN: dict[str, dict[str, Mistake]] = {
    "sgd": {**_SGD, **{key: value for key, value in _ANY.items() if key not in _DECOUPLED | {"count"}}},
    "adam": {**_ADAM, **{key: value for key, value in _ANY.items() if key not in _DECOUPLED}},
    "adamw": {**_ADAM, **_ANY},
    "muon": {**_MUON, **_ADAM, **_ANY},
    "rmsprop": {**_RMSPROP, **_ROOT, **{key: value for key, value in _ANY.items() if key not in _DECOUPLED}},
}

Weights = list[dict[str, Array]]


@dataclass(frozen=True)
class Walk:
    """The steps that an optimizer is to take.

    Attributes
    ----------
    start : dict of str to array
        The parameters.
    gradients : list of dict of str to array
        The gradients of each step.
    rates : list of float
        The learning rate of each step.
    factors : dict of str to float
        The factors of the learning rate for each parameter.
    """

    start: dict[str, Array]
    gradients: list[dict[str, Array]]
    rates: list[float]
    factors: dict[str, float]


def walk(rule: str, hyper: Mapping[str, Any], given: Walk, wrong: frozenset[str] = frozenset()) -> Weights:
    """Return the parameters after each step, by the rule's equations with these mistakes."""
    weights = {name: array.copy() for name, array in given.start.items()}
    state: dict[str, dict[str, Array]] = {name: {} for name in weights}
    steps = []
    with np.errstate(all="ignore"):  # a mistake may divide by zero
        for number, (gradients, rate) in enumerate(zip(given.gradients, given.rates, strict=True), 1):
            for place, (name, dw) in enumerate(gradients.items(), 1):
                t = (number - 1) * len(gradients) + place if "count" in wrong else number
                lr = given.rates[0] if "lr of the start" in wrong else rate
                lr *= 1 if "lr factor" in wrong else given.factors.get(name, 1.0)
                if "no state" in wrong:
                    state[name] = {}
                weights[name] = _step(rule, hyper, weights[name], dw, state[name], t, lr, wrong)
            steps.append(dict(weights))
    return steps


def mistaken(rule: str, hyper: Mapping[str, Any], given: Walk) -> Iterator[tuple[Mistake, Weights]]:
    """Yield each known mistake with the parameters it leads to, then each pair of mistakes."""
    known = KNOWN[rule]
    for key, mistake in known.items():
        yield mistake, walk(rule, hyper, given, frozenset({key}))
    for one, two in combinations(known, 2):
        both = Mistake(
            f"{known[one].name}; {known[two].name}",
            f"{known[one].advice}; {known[two].advice}",
            f"{known[one].where}; {known[two].where}",
        )
        yield both, walk(rule, hyper, given, frozenset({one, two}))


def _step(
    rule: str,
    hyper: Mapping[str, Any],
    w: Array,
    dw: Array,
    state: dict[str, Array],
    t: int,
    lr: float,
    wrong: frozenset[str],
) -> Array:
    decay = hyper["weight_decay"] * ("no decay" not in wrong) * (-1 if "decay sign" in wrong else 1)
    is_decoupled = (rule in ("adamw", "muon")) != ("decay kind" in wrong)
    g = dw if is_decoupled else dw + decay * w
    rules = {"sgd": _sgd, "rmsprop": _rmsprop, "muon": _muon if w.ndim == 4 and w.shape[2] > 1 else _adam}
    step = lr * rules.get(rule, _adam)(hyper, g, state, t, lr, wrong)
    step *= (lr if "lr squared" in wrong else 1) * (-1 if "ascends" in wrong else 1)
    if not is_decoupled:
        return np.asarray(w - step)
    shrink = decay * (1 if "decay without lr" in wrong else lr)
    return np.asarray((w - step) * (1 - shrink)) if "decay after" in wrong else np.asarray(w * (1 - shrink) - step)


def _sgd(
    hyper: Mapping[str, Any], g: Array, state: dict[str, Array], t: int, lr: float, wrong: frozenset[str]
) -> Array:
    momentum = 0.0 if "no momentum" in wrong else hyper["momentum"]
    if not momentum:
        return g
    share = (1 - momentum if "dampening" in wrong else 1) * (-1 if "velocity sign" in wrong else 1)
    share *= lr if "lr in velocity" in wrong else 1
    velocity: Array = momentum * state.get("velocity", np.zeros_like(g)) + share * g
    state["velocity"] = velocity
    if hyper["nesterov"] != ("nesterov" in wrong):
        velocity = share * g + momentum * velocity
    return np.asarray(velocity / lr) if "lr in velocity" in wrong else velocity


def _adam(
    hyper: Mapping[str, Any], g: Array, state: dict[str, Array], t: int, lr: float, wrong: frozenset[str]
) -> Array:
    beta1, beta2 = hyper["betas"][::-1] if "betas" in wrong else hyper["betas"]
    if "1 - beta" in wrong:
        beta1, beta2 = 1 - beta1, 1 - beta2
    t += ("t from 2" in wrong) - ("t from 0" in wrong)
    m = state["m"] = beta1 * state.get("m", 0) + (1 if "m unweighted" in wrong else 1 - beta1) * g
    squared = m * m if "v of m" in wrong else np.abs(g) if "v not squared" in wrong else g * g
    v = state["v"] = beta2 * state.get("v", 0) + (1 if "v unweighted" in wrong else 1 - beta2) * squared
    if "largest v" in wrong:
        v = state["largest"] = np.maximum(state.get("largest", 0), v)
    power = 1 if "constant correction" in wrong else t
    full_m = 1 if wrong & {"no bias correction", "no correction of m"} else 1 - np.float64(beta1) ** power
    full_v = 1 if wrong & {"no bias correction", "no correction of v"} else 1 - np.float64(beta2) ** power
    eps, ahead = hyper["eps"], g if "gradient" in wrong else m / full_m
    if "eps first" in wrong:
        return np.asarray(ahead / ((np.sqrt(v) + eps) / np.sqrt(full_v)))
    if "eps mean" in wrong:
        return np.asarray(ahead / np.sqrt((v + eps) / full_v))
    return np.asarray(ahead / _root(v / full_v, eps, wrong))


def _muon(
    hyper: Mapping[str, Any], g: Array, state: dict[str, Array], t: int, lr: float, wrong: frozenset[str]
) -> Array:
    beta = hyper["betas"]["betas" in wrong]
    m = state["m"] = beta * state.get("m", 0) + (1 - beta) * g
    ahead = m if "not ahead" in wrong else beta * m + (1 - beta) * g
    matrix = ahead.reshape(len(g), -1) if "other rows" in wrong else ahead.reshape(-1, g.shape[-1])
    side = min(matrix.shape) if "smaller side" in wrong else max(matrix.shape)
    direction = matrix if "not orthogonal" in wrong else orthogonalize(matrix)
    return np.asarray((1 if "length missing" in wrong else 0.2 * np.sqrt(side)) * direction.reshape(g.shape))


def _rmsprop(
    hyper: Mapping[str, Any], g: Array, state: dict[str, Array], t: int, lr: float, wrong: frozenset[str]
) -> Array:
    alpha = 1 - hyper["alpha"] if "1 - alpha" in wrong else hyper["alpha"]
    old = state.get("square", np.zeros_like(g))
    squared = np.abs(g) if "v not squared" in wrong else g * g
    square = state["square"] = alpha * old + (1 if "unweighted" in wrong else 1 - alpha) * squared
    if "centered" in wrong:
        mean = state["mean"] = alpha * state.get("mean", 0) + (1 - alpha) * g
        square = square - mean * mean
    if "old square" in wrong:
        square = old
    if "corrected" in wrong:
        square = square / (1 - alpha**t)
    return g / _root(square, hyper["eps"], wrong)


def _root(v: Array, eps: float, wrong: frozenset[str]) -> Array:
    """Return sqrt(v) + eps."""
    if "no root" in wrong:
        return v + eps
    if "no eps" in wrong:
        return np.asarray(np.sqrt(v))
    return np.asarray(np.sqrt(v + eps) if "eps inside" in wrong else np.sqrt(v) + eps)
