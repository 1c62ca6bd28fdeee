"""Known mistakes in the gradients of normalization.

A set of numbers is normalized together: dx = r * (g - mean(g) - xhat * mean(g * xhat)), g = gamma * dy, as
`rot180.ops.normalization` derives. Each mistake leaves out or changes one part of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rot180.inside.mistakes.case import Candidates, Case, Mistake
from rot180.inside.mistakes.recognize import Operation
from rot180.inside.mistakes.sets import Form, Together, forms
from rot180.ops.types import Array

DX = "dx = r * (g - mean(g) - xhat * mean(g * xhat)), g = gamma * dy, r = 1 / sqrt(var + eps)"
DGAMMA = "dgamma = sum_nij dy * xhat"

CONSTANTS = Mistake(
    "gradient through mean and variance missing",
    "mean and variance depend on x as well: subtract mean(g) and xhat * mean(g * xhat)",
    f"both means in {DX}",
)
NO_MEAN = Mistake(
    "gradient through the mean missing", "every number moves the mean: subtract mean(g)", f"mean(g) in {DX}"
)
NO_VARIANCE = Mistake(
    "gradient through the variance missing",
    "every number moves the variance: subtract xhat * mean(g * xhat)",
    f"xhat * mean(g * xhat) in {DX}",
)
UNBIASED = Mistake(
    "biased and unbiased variance mixed",
    "forward and backward must divide by the same number: the size of the set, not one less",
    f"mean and var in {DX}",
)
EPSILON = Mistake(
    "epsilon outside the root",
    "it is added to the variance, inside the root, in backward as in forward",
    f"sqrt(var + eps) in {DX}",
)
NO_EPSILON = Mistake("epsilon missing in backward", "add it to the variance as in forward", f"eps in {DX}")
EPSILON_INSIDE = Mistake(
    "epsilon inside the root in backward, outside in forward", "use one form in both", f"sqrt(var + eps) in {DX}"
)
RUNNING_FORWARD = Mistake(
    "running statistics in training",
    "forward normalizes with constants; in training it must use mean and variance of the batch, as backward does",
    "mean and var in xhat = (x - mean) / sqrt(var + eps)",
)
RUNNING_BACKWARD = Mistake(
    "running statistics in training",
    "forward normalized with the batch's mean and variance: backward must use the same ones, not the running ones",
    f"xhat and r in {DX}",
)
AXES = Mistake(
    "means over other axes than in forward",
    "take the means in backward over the numbers that forward normalized together",
    f"mean in {DX}",
)
SUMS = Mistake("sums instead of means", "divide both sums by the size of the set", f"mean in {DX}")
ADDED = Mistake("terms added, not subtracted", "both means are subtracted", f"the minus in {DX}")
NOT_DIVIDED = Mistake(
    "x - mean not divided by the deviation",
    "the second term takes the normalized xhat twice, that is (x - mean) / (var + eps)",
    f"xhat in {DX}",
)
ONE_XHAT = Mistake("one xhat missing", "xhat stands in front of the mean and inside it", f"xhat in {DX}")
OUTPUT = Mistake(
    "output instead of the normalized input", "xhat is y before gamma and beta are applied", f"xhat in {DX}"
)
SCALE = Mistake("gamma missing", "delta reaches xhat through gamma: g = gamma * dy", f"gamma in {DX}")
SCALE_TWICE = Mistake("gamma taken twice", "multiply delta by gamma once", f"gamma in {DX}")
DEVIATION = Mistake("deviation missing", "multiply by r: divide by the deviation", f"r in {DX}")
VARIANCE = Mistake("divided by the variance, not the deviation", "r has a square root", f"sqrt in {DX}")
NOT_NORMALIZED = Mistake(
    "gradient of gamma without the normalized input", "multiply delta by xhat, which gamma multiplied", DGAMMA
)
POSITIONS = Mistake(
    "parameter's gradient not summed over all positions",
    "sum over all images and pixels that share it",
    f"sum in {DGAMMA}",
)
SHIFT = Mistake(
    "gradient of beta times gamma or xhat", "beta is added: its gradient is the sum of dy", "dbeta = sum_nij dy"
)


@dataclass(frozen=True)
class _Parts:
    """What the gradient is made of."""

    together: Together
    form: Form
    g: Array
    xhat: Array
    r: Array

    def dx(self, *, by_mean: float = 1, by_variance: Any = 1) -> Array:
        """Return the gradient, with factors for the terms that are subtracted."""
        mean = self.together.mean
        terms = self.g - by_mean * mean(self.g) - by_variance * self.xhat * mean(self.g * self.xhat)
        return np.asarray(self.r * terms)


def _parts(case: Case, operation: Operation, dy: Array, form: Form | None = None) -> _Parts:
    together, own = operation.options["together"], operation.options["form"]
    mean, r = together.statistics(case.inputs[0] if case.inputs else case.x, form or own)
    x = together.arranged(case.x if case.of_input else case.inputs[0])
    gamma = case.parameters.get(operation.weight)
    g = together.arranged(dy if gamma is None else dy * gamma)
    return _Parts(together, form or own, g, (x - mean) * r, r)


def gradients(case: Case, operation: Operation, dy: Array) -> dict[str, Array]:
    """Return the right gradients."""
    parts = _parts(case, operation, dy)
    together, m = parts.together, parts.together.size
    # With the unbiased variance, or epsilon outside the root, dr/dx differs by a factor.
    found = {"x": together.restored(parts.dx(by_variance=parts.form.through_variance(parts.r, m)))}
    if operation.kind == "constants":
        found = {"x": together.restored(parts.g * operation.options["slope"])}
    xhat = operation.options.get("xhat")
    xhat = together.restored(parts.xhat) if xhat is None else xhat
    for name, gradient in ((operation.weight, dy * xhat), (operation.bias, dy)):
        if name:
            shape = case.parameters[name].shape
            found[name] = gradient.reshape(-1, *shape).sum(0)
    return found


def candidates(case: Case, operation: Operation) -> Candidates:
    """Yield what each mistake would return for this array."""
    if operation.kind == "constants":
        yield from _constants(case, operation)
    elif case.of_input:
        yield from _input(case, operation)
    elif case.name == operation.weight:
        yield from _weight(case, operation)
    else:
        gamma = case.parameters.get(operation.weight)
        shape, dy = case.array.shape, case.dy
        xhat = _parts(case, operation, dy).together.restored(_parts(case, operation, dy).xhat)
        for wrong in (dy * xhat, *(() if gamma is None else (dy * gamma,))):
            yield SHIFT, wrong.reshape(-1, *shape).sum(0)
        yield from _few(dy, shape)


def _few(product: Array, shape: tuple[int, ...]) -> Candidates:
    """Yield sums over part of the positions that share a parameter."""
    flat = product.reshape(-1, *shape)
    for wrong in (flat[0], flat[-1], product[0].reshape(-1, *shape).sum(0), product[-1].reshape(-1, *shape).sum(0)):
        yield POSITIONS, wrong


def _constants(case: Case, operation: Operation) -> Candidates:
    """Yield the gradient of a normalization by the batch's statistics, for a forward pass that used constants."""
    for together in operation.options["together"].alternatives():
        for form in forms(operation.options["eps"]):
            own = replace(operation, options={**operation.options, "together": together, "form": form})
            parts = _parts(case, own, case.dy)
            if case.of_input:
                yield RUNNING_FORWARD, together.restored(parts.dx())
            elif case.name == operation.weight:
                wrong = case.dy * together.restored(parts.xhat)
                yield RUNNING_FORWARD, wrong.reshape(-1, *case.array.shape).sum(0)


def _input(case: Case, operation: Operation) -> Candidates:
    dy, together = case.dy, operation.options["together"]
    own = _parts(case, operation, dy)
    back = together.restored
    through = own.form.through_variance(own.r, together.size)
    yield CONSTANTS, back(own.dx(by_mean=0, by_variance=0))
    yield NO_MEAN, back(own.dx(by_mean=0, by_variance=through))
    yield NO_VARIANCE, back(own.dx(by_variance=0))
    yield from _other_forms(case, operation)
    m = together.size
    for factor in (m / (m - 1), (m - 1) / m):
        yield UNBIASED, back(own.dx(by_variance=through * factor))
        yield UNBIASED, back(own.dx(by_mean=factor, by_variance=through * factor))
    yield SUMS, back(own.dx(by_mean=m, by_variance=m * through))
    yield SUMS, back(own.dx(by_mean=m))
    yield SUMS, back(own.dx(by_variance=m * through))
    for signs in ((-1, -1), (-1, 1), (1, -1)):
        yield ADDED, back(own.dx(by_mean=signs[0], by_variance=signs[1] * through))
    mean, g, xhat, r = together.mean, own.g, own.xhat, own.r
    yield NOT_DIVIDED, back(r * (g - mean(g) - xhat / r * mean(g * xhat)))
    yield NOT_DIVIDED, back(r * (g - mean(g) - xhat * mean(g * xhat / r)))
    yield NOT_DIVIDED, back(r * (g - mean(g) - xhat / r * mean(g * xhat / r)))
    yield ONE_XHAT, back(r * (g - mean(g) - mean(g * xhat)))
    yield ONE_XHAT, back(r * (g - mean(g) - xhat * mean(g)))
    y = together.arranged(case.y)
    yield OUTPUT, back(r * (g - mean(g) - y * mean(g * y)))
    yield OUTPUT, back(r * (g - mean(g) - y * mean(g * xhat)))
    gamma = case.parameters.get(operation.weight)
    if gamma is not None:
        plain = replace(own, g=together.arranged(dy))
        yield SCALE, back(plain.dx())
        yield SCALE, back(r * (plain.g - mean(plain.g) - xhat * mean(plain.g * xhat)))
        yield SCALE_TWICE, back(replace(own, g=together.arranged(dy * gamma * gamma)).dx())
    yield DEVIATION, back(own.dx() / r)
    yield VARIANCE, back(own.dx() * r)
    for sets in together.alternatives():
        if sets != together:
            arranged = [sets.arranged(back(part)) for part in (np.broadcast_to(r, g.shape), g, xhat)]
            wide, of_g, of_xhat = arranged
            yield AXES, sets.restored(wide * (of_g - sets.mean(of_g) - of_xhat * sets.mean(of_g * of_xhat)))


def _other_forms(case: Case, operation: Operation) -> Candidates:
    """Yield the gradient with another deviation than forward's: unbiased, without epsilon, of running statistics."""
    own: Form = operation.options["form"]
    back = operation.options["together"].restored
    for mistake, form in _wrong_forms(own):
        parts = _parts(case, operation, case.dy, form)
        right = _parts(case, operation, case.dy)
        for one in (parts, replace(right, r=parts.r), replace(right, xhat=parts.xhat)):
            yield mistake, back(one.dx())
        yield mistake, back(parts.dx(by_mean=0, by_variance=0))
    parts = _parts(case, operation, case.dy)
    for mean, var in operation.options["running"]:
        arranged = parts.together.arranged
        with np.errstate(invalid="ignore", divide="ignore"):  # any two arrays of the layer are tried
            r = 1 / np.sqrt(arranged(var) + own.eps)
        xhat = (arranged(case.x) - arranged(mean)) * r
        for one in (replace(parts, r=r), replace(parts, xhat=xhat), replace(parts, r=r, xhat=xhat)):
            yield RUNNING_BACKWARD, back(one.dx())
        yield RUNNING_BACKWARD, back(replace(parts, r=r).dx(by_mean=0, by_variance=0))


def _wrong_forms(own: Form) -> Iterator[tuple[Mistake, Form]]:
    yield UNBIASED, replace(own, unbiased=not own.unbiased)
    yield (EPSILON_INSIDE if own.outside else EPSILON), replace(own, outside=not own.outside)
    yield NO_EPSILON, replace(own, eps=0.0)


def _weight(case: Case, operation: Operation) -> Candidates:
    """Yield the gradient of gamma with another array in place of xhat."""
    dy, x, shape = case.dy, case.inputs[0], case.array.shape
    parts = _parts(case, operation, dy)
    back = parts.together.restored

    def summed(other: Array) -> Array:
        return np.asarray((dy * other).reshape(-1, *shape).sum(0))

    xhat = back(parts.xhat)
    yield from _few(dy * xhat, shape)
    for wrong in (x, back(parts.xhat / parts.r), case.y, np.ones_like(x)):
        yield NOT_NORMALIZED, summed(wrong)
    yield SCALE_TWICE, summed(xhat * case.array)
    for mistake, form in _wrong_forms(parts.form):
        yield replace(mistake, where=DGAMMA), summed(back(_parts(case, operation, dy, form).xhat))
    for mean, var in operation.options["running"]:
        with np.errstate(invalid="ignore", divide="ignore"):
            running = (x - mean) / np.sqrt(np.asarray(var) + parts.form.eps)
        yield replace(RUNNING_BACKWARD, where=DGAMMA), summed(running)
