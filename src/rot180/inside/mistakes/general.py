"""Known mistakes that any gradient can have: a factor, a sign, part of the batch, a wrong shape."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations, product

import numpy as np

from rot180.inside.mistakes.case import Candidates, Case, Mistake, is_same, without_an_end
from rot180.inside.mistakes.convolution import BIAS, CROP
from rot180.inside.mistakes.flatten import ORDER
from rot180.inside.mistakes.joins import NO_BRANCH, ONE_BRANCH
from rot180.inside.mistakes.linear import TRANSPOSE
from rot180.inside.mistakes.recognize import Operation
from rot180.ops.types import Array

CHAIN = "dL/dx = sum over all outputs of dL/dy * dy/dx"

ZERO = Mistake(
    "no gradient at all", "every entry is zero; check that the result is returned and computed from delta", CHAIN
)
SIGN = Mistake("sign flipped", "backward returns the gradient itself; the optimizer takes the step against it", CHAIN)
TWO = Mistake(
    "factor two",
    "every entry is twice the right value; check for a term added twice, or the 2 of a square",
    f"+= in {CHAIN}",
)
HALF = Mistake("factor one half", "every entry is half of what it should be", CHAIN)
LOSS_MEAN = "1/N in L = 1/N * sum_n loss[n]"
MISSING = Mistake(
    "batch mean missing",
    "every entry is too large by the number of images; the loss divides by that number once",
    LOSS_MEAN,
)
TWICE = Mistake(
    "batch mean taken twice",
    "the loss divides by the number of images; sum over the batch here, without a mean",
    LOSS_MEAN,
)
MEAN = Mistake(
    "mean instead of sum", "the gradient sums over all positions where the value was used", f"sum in {CHAIN}"
)
BATCH = Mistake("only one image of the batch", "sum over all images", f"sum over n in {CHAIN}")
ROTATED = Mistake("rotated by 180 degrees", "rows and columns are reversed; remove one [::-1, ::-1]")
NEIGHBOR = Mistake(
    "delta of the neighboring image",
    "the gradient of image n depends only on the delta of image n: the batch is rolled",
    f"the index n in {CHAIN}",
)
REVERSED = Mistake(
    "batch in reverse order", "the gradient of image n depends only on the delta of image n", f"the index n in {CHAIN}"
)
ROWS_COLUMNS = Mistake("rows and columns exchanged", "the axes are (images, rows, columns, channels) throughout")
SHIFTED = Mistake("shifted by a pixel", "rows and columns are counted from 0; check where the slices start")
CHANNELS = Mistake("channels in another order", "channel c of the input gets the gradient of channel c")
SHUFFLED = Mistake("right numbers in another order", "check reshape, transpose and the order of loops")


def shape_mistake(case: Case, operation: Operation | None) -> Mistake:
    """Name the mistake that a gradient of the wrong shape looks like."""
    claimed, wanted = np.shape(case.claimed), case.array.shape
    g = operation.geometry if operation else None
    if case.of_input and g is not None and len(claimed) == 4 and claimed[1:3] == (g.padded_height, g.padded_width):
        return CROP
    if not case.of_input and len(wanted) == 1 and len(claimed) > 1 and claimed[-1] == wanted[0]:
        return BIAS
    if len(wanted) >= 2 and claimed in (wanted[::-1], (*wanted[:-2], *wanted[:-3:-1])):
        return TRANSPOSE
    if not case.of_input and claimed == (len(case.x), *wanted):
        return Mistake("batch not summed", "a parameter's gradient sums over the images; add sum(axis=0)")
    return Mistake(f"the shape is {claimed}", f"a gradient must have the shape of its array, {wanted}")


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
    # The order matters: without rows and columns there is one position, and the mean over all is that over the images.
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
    """Yield what each mistake would return; `right(dy)` is the right gradient for a delta."""
    dy = case.dy
    whole = right(dy)
    if whole.ndim >= 2:
        if whole.shape[-1] == whole.shape[-2]:
            yield TRANSPOSE, whole.swapaxes(-1, -2)
        if case.of_input and whole.ndim == 4:
            yield ROTATED, whole[:, ::-1, ::-1]
        elif not case.of_input:
            yield ROTATED, whole[::-1, ::-1]
    if case.of_input and whole.shape == dy.shape:
        yield ONE_BRANCH, whole - dy
        yield ONE_BRANCH, whole - dy * (case.y > 0)
        if case.x.shape == case.y.shape:
            with np.errstate(divide="ignore", invalid="ignore"):
                yield NO_BRANCH, dy * (case.y / case.x)  # y = x * s(x), without the gradient of s
    for image in (0, len(dy) - 1):
        only = np.zeros_like(dy)
        only[image] = dy[image]
        yield BATCH, right(only)
    for places in (1, -1):
        yield NEIGHBOR, right(np.roll(dy, places, 0))
    yield REVERSED, right(dy[::-1])
    if case.of_input:
        yield NEIGHBOR, np.roll(whole, 1, 0)
        yield NEIGHBOR, np.roll(whole, -1, 0)
        yield REVERSED, whole[::-1]
        yield from without_an_end(whole, _places(whole), _PLACES[whole.ndim])
    for mistake, fewer in without_an_end(dy, _places(dy), _PLACES[dy.ndim]):
        yield replace(mistake, name=f"{mistake.name} in delta"), right(fewer)
    yield from _turned(case, whole, right)
    yield from _reordered(case, whole)


_PLACES: dict[int, tuple[str, ...]] = defaultdict(
    tuple, {2: ("image", "feature"), 4: ("image", "row", "column", "channel")}
)


def _places(array: Array) -> range:
    return range(len(_PLACES[array.ndim]))


def _turned(case: Case, whole: Array, right: Callable[[Array], Array]) -> Candidates:
    """Yield the gradient with rows and columns exchanged, shifted, or channels reversed."""
    dy = case.dy
    if dy.ndim == 4 and dy.shape[1] == dy.shape[2]:
        yield ROWS_COLUMNS, right(dy.swapaxes(1, 2))
    if whole.ndim != 4:
        return
    axes = (1, 2) if case.of_input else (0, 1)
    if whole.shape[axes[0]] == whole.shape[axes[1]]:
        yield ROWS_COLUMNS, whole.swapaxes(*axes)
    for axis, places in product(axes, (1, -1)):
        moved = np.roll(whole, places, axis)
        yield SHIFTED, moved
        emptied = moved.copy()
        np.moveaxis(emptied, axis, 0)[0 if places > 0 else -1] = 0
        yield SHIFTED, emptied
    if dy.ndim == 4:
        for axis, places in product((1, 2), (1, -1)):
            yield SHIFTED, right(np.roll(dy, places, axis))
    channels = 3 if case.of_input else 2
    if whole.shape[channels] > 1:
        yield CHANNELS, np.flip(whole, channels)


def _reordered(case: Case, whole: Array) -> Candidates:
    """Yield the gradient flattened in one order and read in another."""
    first = 1 if case.of_input else 0
    axes = range(first, whole.ndim)
    for order in permutations(axes):
        if len(order) < 2 or order == tuple(axes):
            continue
        order = (*range(first), *order)
        yield ORDER, whole.transpose(order).reshape(whole.shape)
        yield ORDER, whole.reshape([whole.shape[axis] for axis in order]).transpose(np.argsort(order))
    if whole.size > 3 and case.claimed.shape == whole.shape:
        claimed = np.sort(case.claimed, axis=None)
        if np.allclose(claimed, np.sort(whole, axis=None), rtol=1e-5, atol=1e-9):
            yield SHUFFLED, case.claimed
