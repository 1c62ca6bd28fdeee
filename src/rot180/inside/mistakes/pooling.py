"""Known mistakes in the gradients of pooling, over windows or over whole maps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np

from rot180.inside.mistakes.case import Candidates, Case, Mistake
from rot180.inside.mistakes.convolution import CROP, FOLD, ONE_SIDE, SPREAD, STEP, STRIDES, scatter, sides, view
from rot180.inside.mistakes.recognize import Operation
from rot180.ops.conv_layout import crop, tap
from rot180.ops.geometry import Geometry
from rot180.ops.pooling import avg_pool2d_backward, counted_pixels, max_pool2d, max_pool2d_backward
from rot180.ops.types import Array

MAX = "dx_pad[n, i*s + u, j*s + v, c] += dy[n,i,j,c] where (u, v) is the winner of window (i, j)"
AVG = "dx_pad[n, i*s + u, j*s + v, c] += dy[n,i,j,c] / pixels[i,j]"

TIES = Mistake(
    "delta to all tied maxima", "only one of equal maxima receives delta; sent to several, it counts several times", MAX
)
ALL = Mistake("delta to the whole window", "only the maximum of each window receives delta", f"the winner in {MAX}")
SHARED = Mistake("delta divided as in average pooling", "max pooling sends all of delta to the winner", f"dy in {MAX}")
UNDIVIDED = Mistake(
    "mean not divided",
    "each pixel receives delta divided by the number of pixels in the window",
    f"1 / pixels in {AVG}",
)
DIVISOR = Mistake(
    "mean over another number of pixels",
    "divide by the number of pixels that forward summed, KH * KW",
    f"1 / pixels in {AVG}",
)
BORDER = Mistake(
    "wrong mean at the border",
    "divide by what forward divided by: all KH * KW pixels of the window, or only those inside the image",
    f"pixels[i,j] in {AVG}",
)
WON = Mistake(
    "delta to the winner as in max pooling", "average pooling divides delta equally among the window", f"u, v in {AVG}"
)
MOVED = Mistake(
    "winner shifted", "the stored winner is u*KW + v, counted from 0 within its window", f"u and v in {MAX}"
)
TURNED = Mistake(
    "winner transposed",
    "u, v = divmod(winner, KW): the row is the quotient, the column the remainder",
    f"u and v in {MAX}",
)
FIXED = Mistake(
    "delta to the same pixel of every window", "the winner differs from window to window: store it", f"u, v in {MAX}"
)
LEAST = Mistake("delta to the minimum", "the winner is the maximum: argmax, not argmin", f"the winner in {MAX}")
GLOBAL = Mistake(
    "mean of the global pool not divided",
    "each of the H * W pixels contributes 1 / (H * W) to the mean",
    "1 / (H*W) in dx[n,a,b,c] = dy[n,c] / (H*W)",
)
SUM = Mistake(
    "mean instead of sum", "forward sums the map: each pixel receives all of delta", "dy[n,c] in dx[n,a,b,c] = dy[n,c]"
)


def gradients(case: Case, operation: Operation, dy: Array) -> dict[str, Array]:
    """Return the right gradient."""
    g, kind = operation.geometry, operation.kind
    if g is None:
        across = np.broadcast_to(dy[:, None, None], case.x.shape)
        if kind == "global_max":
            return {"x": across * _is_winner(case.x)}
        return {"x": across / (math.prod(case.x.shape[1:3]) if kind == "global_mean" else 1)}
    if kind == "max_pool":
        winners = max_pool2d(case.x, g.kernel, **operation.options)[1]
        return {"x": max_pool2d_backward(dy, winners, case.x.shape, g.kernel, **operation.options)}
    return {"x": avg_pool2d_backward(dy, case.x.shape, g.kernel, **operation.options)}


def candidates(case: Case, operation: Operation) -> Candidates:
    """Yield what each mistake would return."""
    g = operation.geometry
    if g is None:
        yield from _global(case, operation)
    elif operation.kind == "max_pool":
        yield from _max(case, g)
    else:
        yield from _mean(case, g, operation)


def _max(case: Case, g: Geometry) -> Candidates:
    x, y, dy = case.x, case.y, case.dy
    x_pad = np.full((x.shape[0], g.padded_height, g.padded_width, x.shape[3]), -np.inf)
    crop(x_pad, g)[...] = x
    rows, columns = g.kernel
    k = max_pool2d(x, g.kernel, stride=g.stride, padding=g.padding)[1]

    def tied(u: int, v: int) -> Array:
        equal: Array = dy * (tap(x_pad, g, u, v) == y)
        return equal

    def sent(row: Array, column: Array) -> Array:
        largest = (max(g.kernel), max(g.kernel))  # an exchanged row and column may lie outside the window
        return view(scatter(lambda u, v: dy * ((row == u) & (column == v)), g, kernel=largest), g)

    yield TIES, view(scatter(tied, g), g)
    yield ALL, view(scatter(lambda u, v: dy, g), g)
    yield SHARED, view(scatter(lambda u, v: dy / (rows * columns), g), g)
    yield FOLD, crop(_assigned(tied, g), g)
    if rows != columns:
        yield TURNED, sent(k // rows, k % rows)
        yield TURNED, sent(k % rows, k // rows)
    yield TURNED, sent(k % columns, k // columns)
    yield from _placed(lambda u, v: dy * (k == u * columns + v), g, STEP)
    for step in (1, -1):
        moved = (k + step) % (rows * columns)
        yield MOVED, sent(moved // columns, moved % columns)
    for u, v in product(sorted({0, rows // 2, rows - 1}), sorted({0, columns // 2, columns - 1})):
        yield FIXED, sent(np.full_like(k, u), np.full_like(k, v))
    least = max_pool2d(-x, g.kernel, stride=g.stride, padding=g.padding)[1]
    yield LEAST, sent(least // columns, least % columns)


def _mean(case: Case, g: Geometry, operation: Operation) -> Candidates:
    x, dy = case.x, case.dy
    shares = [dy / counted_pixels(g, True)]
    if g.is_padded:
        shares.append(dy / counted_pixels(g, False))
        counts_padding = operation.options.get("count_include_pad", True)
        yield BORDER, view(scatter(lambda u, v: shares[counts_padding], g), g)
        if any(g.beyond):
            yield BORDER, view(scatter(lambda u, v: dy / math.prod(g.kernel), g), g)
        shares = shares if counts_padding else shares[::-1]
    yield UNDIVIDED, view(scatter(lambda u, v: dy, g), g)
    winners = max_pool2d(x, g.kernel, stride=g.stride, padding=g.padding)[1]
    yield WON, max_pool2d_backward(dy, winners, x.shape, g.kernel, stride=g.stride, padding=g.padding)
    yield FOLD, crop(_assigned(lambda u, v: shares[0], g), g)
    for divisor in (*g.kernel, sum(g.kernel), math.prod(g.stride), g.out_height * g.out_width, g.height * g.width):
        yield DIVISOR, view(scatter(lambda u, v, by=divisor: dy / by, g), g)  # type: ignore[misc]
    yield from _placed(lambda u, v: shares[0], g, SPREAD)


def _placed(said: Callable[[int, int], Array], g: Geometry, stride_mistake: Mistake) -> Candidates:
    """Yield the gradient with another stride, or cropped from the padded one at another position."""
    full = scatter(said, g)
    if g.is_padded:
        yield CROP, full[:, : g.height, : g.width]
        yield CROP, full[:, -g.height :, -g.width :]
    for mistake, stride in ((STRIDES, g.stride[::-1]), (stride_mistake, (1, 1)), (stride_mistake, g.kernel)):
        if stride != g.stride:
            yield mistake, view(scatter(said, g, stride=stride), g)
    if g.is_padded:
        # The two cannot be told apart: a winner one row down equals a padding one row short.
        both = replace(ONE_SIDE, name=f"{MOVED.name}, or {ONE_SIDE.name}") if stride_mistake is STEP else ONE_SIDE
        yield from ((both, view(full, g, *move)) for move in sides(g))
    elif stride_mistake is STEP:
        yield from ((MOVED, view(full, g, *move)) for move in product((-1, 0, 1), repeat=2) if any(move))


def _assigned(said: Callable[[int, int], Array], g: Geometry) -> Array:
    """Write what each tap sends over what was there, except for zeros."""
    first = said(0, 0)
    dx_pad = np.zeros((len(first), g.padded_height, g.padded_width, first.shape[3]))
    for u, v in np.ndindex(g.kernel):
        place, new = tap(dx_pad, g, u, v), said(u, v)
        place[...] = np.where(new != 0, new, place)
    return dx_pad


def _global(case: Case, operation: Operation) -> Candidates:
    x, (height, width) = case.x, case.x.shape[1:3]
    across = np.broadcast_to(case.dy[:, None, None], x.shape)
    if operation.kind == "global_mean":
        yield GLOBAL, across
        for by in (height, width, height * width * x.shape[3], height + width, (height * width) ** 2):
            yield DIVISOR, across / by
        yield WON, across * _is_winner(x)
    elif operation.kind == "global_sum":
        yield SUM, across / (height * width)
    else:
        yield ALL, across
        yield SHARED, across / (height * width)
        yield TIES, across * (x == x.max((1, 2), keepdims=True))
        won = _is_winner(x)
        yield TURNED, across * won.swapaxes(1, 2).reshape(x.shape)
        yield TURNED, across * won.reshape(len(x), width, height, -1).swapaxes(1, 2)
        for axis, step in product((1, 2), (1, -1)):
            yield MOVED, across * np.roll(won, step, axis)
        yield MOVED, across * np.roll(won.reshape(len(x), height * width, -1), 1, 1).reshape(x.shape)
        yield LEAST, across * _is_winner(-x)


def _is_winner(x: Array) -> Array:
    """Return which pixel is the first maximum of its map."""
    flat = x.reshape(len(x), -1, x.shape[3])
    places = np.arange(flat.shape[1])[:, None]
    won: Array = (places == flat.argmax(1)[:, None]).reshape(x.shape)
    return won
