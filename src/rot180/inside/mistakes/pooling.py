"""Known mistakes in the gradients of pooling."""

from __future__ import annotations

import numpy as np

from rot180.inside.mistakes.case import Candidates, Case, Mistake
from rot180.inside.mistakes.convolution import CROP, FOLD, SPREAD
from rot180.inside.mistakes.recognize import Operation
from rot180.ops.conv_layout import crop, tap
from rot180.ops.geometry import Geometry
from rot180.ops.pooling import avg_pool2d_backward, max_pool2d, max_pool2d_backward
from rot180.ops.types import Array

TIES = Mistake("delta to all tied maxima", "one of equal maxima takes all of delta; to several it counts several times")
ALL = Mistake("delta to the whole window", "only the pixel that won its window gets delta")
SHARED = Mistake("delta shared as by mean-pooling", "max-pooling gives all of delta to the winner")
UNDIVIDED = Mistake("mean not divided", "each pixel gets delta divided by the pixels of the window")
WON = Mistake("delta to the winner as by max-pooling", "mean-pooling shares delta equally among the window")


def gradients(case: Case, operation: Operation, dy: Array) -> dict[str, Array]:
    """Return the right gradient."""
    g = operation.geometry
    if g is None:
        return {}
    if operation.kind == "max_pool":
        winners = max_pool2d(case.x, g.kernel, **operation.options)[1]
        return {"x": max_pool2d_backward(dy, winners, case.x.shape, g.kernel, **operation.options)}
    return {"x": avg_pool2d_backward(dy, case.x.shape, g.kernel, **operation.options)}


def candidates(case: Case, operation: Operation) -> Candidates:
    """Give what each mistake would return."""
    g, x, y, dy = operation.geometry, case.x, case.y, case.dy
    if g is None:
        return
    x_pad = np.full((x.shape[0], g.padded_height, g.padded_width, x.shape[3]), -np.inf)
    crop(x_pad, g)[...] = x
    ones = np.ones(g.kernel)

    def folded(share: Array, gate: bool, *, assign: bool = False) -> Array:
        return _fold(x_pad, y, dy * share if share.ndim == 4 else dy, g, gate=gate, assign=assign)

    if operation.kind == "max_pool":
        yield TIES, crop(folded(ones, True), g)
        yield ALL, crop(folded(ones, False), g)
        yield SHARED, crop(folded(np.full((1, 1, 1, 1), 1 / ones.size), False), g)
        yield FOLD, crop(folded(ones, True, assign=True), g)
        full = folded(ones, True)
    else:
        share = np.full((1, 1, 1, 1), 1 / ones.size)
        yield UNDIVIDED, crop(folded(ones, False), g)
        winners = max_pool2d(x, g.kernel, stride=g.stride, padding=g.padding)[1]
        yield WON, max_pool2d_backward(dy, winners, x.shape, g.kernel, stride=g.stride, padding=g.padding)
        yield FOLD, crop(folded(share, False, assign=True), g)
        full = folded(share, False)
    if g.is_padded:
        yield CROP, full[:, : g.height, : g.width]
    if g.stride != (1, 1) and operation.kind == "avg_pool":
        yield SPREAD, crop(_fold(x_pad, y, dy / ones.size, g, gate=False, assign=False, stride=(1, 1)), g)


def _fold(
    x_pad: Array,
    y: Array,
    dy: Array,
    g: Geometry,
    *,
    gate: bool,
    assign: bool,
    stride: tuple[int, int] | None = None,
) -> Array:
    """Send delta to the taps of each window: all of them, or with `gate` those that equal the maximum."""
    dx_pad = np.zeros(x_pad.shape)
    for u, v in np.ndindex(g.kernel):
        said = dy * (tap(x_pad, g, u, v) == y) if gate else dy
        if stride is not None:
            dx_pad[:, u : u + g.out_height, v : v + g.out_width] += said
            continue
        place = tap(dx_pad, g, u, v)
        if assign:
            place[...] = np.where(said != 0, said, place) if gate else said
        else:
            place += said
    return dx_pad
