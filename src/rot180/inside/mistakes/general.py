"""Known mistakes that any gradient can have: a factor, a sign, part of the batch, a wrong shape."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rot180.inside.mistakes.case import Candidates, Case, Mistake, is_same
from rot180.inside.mistakes.convolution import BIAS, CROP
from rot180.inside.mistakes.linear import TRANSPOSE
from rot180.inside.mistakes.recognize import Operation
from rot180.ops.types import Array

ZERO = Mistake("no gradient at all", "every entry is zero; is the result returned, and is it delta's?")
SIGN = Mistake("sign flipped", "backward returns the gradient itself; the optimizer takes the step against it")
TWO = Mistake("factor two", "every entry is twice too large: is something added twice, or a square's 2 left in?")
HALF = Mistake("factor one half", "every entry is half of what it should be")
MISSING = Mistake("batch mean missing", "every entry is too large by the number of images; the loss divides by it once")
TWICE = Mistake("batch mean taken twice", "the loss divides by the number of images; sum over the batch, no mean here")
MEAN = Mistake("mean instead of sum", "the gradient sums over all places where the number was used")
BATCH = Mistake("only one image of the batch", "sum over all images")
ROTATED = Mistake("rotated by 180 degrees", "rows and columns run backwards; take one [::-1, ::-1] away")


def shape_mistake(case: Case, operation: Operation | None) -> Mistake:
    """Name what a gradient of the wrong shape looks like."""
    claimed, wanted = np.shape(case.claimed), case.array.shape
    g = operation.geometry if operation else None
    if case.name == "x" and g is not None and len(claimed) == 4 and claimed[1:3] == (g.padded_height, g.padded_width):
        return CROP
    if case.name != "x" and len(wanted) == 1 and len(claimed) > 1 and claimed[-1] == wanted[0]:
        return BIAS
    if len(wanted) >= 2 and claimed in (wanted[::-1], (*wanted[:-2], *wanted[:-3:-1])):
        return TRANSPOSE
    if case.name != "x" and claimed == (len(case.x), *wanted):
        return Mistake("batch not summed", "a parameter's gradient sums over the images; add sum(axis=0)")
    return Mistake(f"the shape is {claimed}", f"a gradient has the shape of its array, {wanted}")


def factor(case: Case, right: Array) -> Mistake | None:
    """Name a constant factor between the claimed and the right gradient."""
    claimed = case.claimed
    if not np.any(claimed):
        return ZERO
    size = float(np.vdot(right, right))
    ratio = float(np.vdot(claimed, right)) / size if size else 0.0
    if not ratio or not is_same(claimed, ratio * right, 1e-4):
        return None
    images = len(case.x)
    places = math.prod(case.dy.shape[1:-1])
    # In this order: without rows and columns there is one place, and a mean over it is that over the images.
    known = [
        (-1.0, SIGN),
        (2.0, TWO),
        (0.5, HALF),
        (-2.0, Mistake(f"{SIGN.name}, {TWO.name}", SIGN.advice)),
        (float(images), MISSING),
        (1 / images, TWICE),
        (1 / places, MEAN),
        (1 / (places * images), MEAN),
    ]
    for value, mistake in known:
        if math.isclose(ratio, value, rel_tol=1e-4):
            return mistake
    return Mistake(f"a factor of {ratio:.6g}", "every entry is off by the same factor")


def candidates(case: Case, right: Callable[[Array], Array]) -> Candidates:
    """Give what each mistake would return; `right(dy)` is the right gradient for a delta."""
    whole = right(case.dy)
    if whole.ndim >= 2:
        if whole.shape[-1] == whole.shape[-2]:
            yield TRANSPOSE, whole.swapaxes(-1, -2)
        if case.name == "x" and whole.ndim == 4:
            yield ROTATED, whole[:, ::-1, ::-1]
        elif case.name != "x":
            yield ROTATED, whole[::-1, ::-1]
    for image in (0, len(case.dy) - 1):
        only = np.zeros_like(case.dy)
        only[image] = case.dy[image]
        yield BATCH, right(only)
