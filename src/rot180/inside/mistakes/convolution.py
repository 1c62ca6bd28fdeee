"""Known mistakes in the gradients of a convolution."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from rot180.inside.mistakes.case import Candidates, Case, Mistake, without_an_end
from rot180.inside.mistakes.recognize import Operation
from rot180.ops.conv2d import conv2d, conv2d_backward
from rot180.ops.conv_layout import pad
from rot180.ops.conv_rotation import pad_delta, rotate180, spread
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array

DX = "dx_pad[n, i*s + u*d, j*s + v*d, c] += sum_f dy[n,i,j,f] * w[u,v,c,f]"
DW = "dw[u,v,c,f] = sum_nij x_pad[n, i*s + u*d, j*s + v*d, c] * dy[n,i,j,f]"
DW_STEPS = f"i*s + u*d in {DW}"

ROTATE = Mistake(
    "kernel not rotated",
    "rotate it by 180 degrees before multiplying by delta: w[::-1, ::-1]",
    "w in dx = spread and padded delta, correlated with rotated w",
)
EXCHANGE = Mistake(
    "channels not exchanged",
    "delta's channels are the filters: swap the kernel's last two axes",
    f"sum_f in {DX}",
)
CROP = Mistake(
    "padding not cropped",
    "crop the gradient of the padding: dx_pad[:, top:top+H, left:left+W]",
    "top and left in dx = dx_pad[:, top:top+H, left:left+W]",
)
SPREAD = Mistake(
    "stride not spread", "put stride - 1 zeros between the rows and columns of delta first", f"i*s and j*s in {DX}"
)
FOLD = Mistake(
    "overlapping windows assigned, not added",
    "a pixel in several windows sums their contributions: use +=",
    f"+= in {DX}",
)
ONE_FILTER = Mistake("only one filter's gradient kept", "sum over all filters", f"f in {DX} and in {DW}")
DILATE = Mistake("dilation forgotten", "the kernel's taps are `dilation` pixels apart in backward, too", f"u*d in {DX}")
UNPADDED = Mistake(
    "padding forgotten",
    "the weight was applied to the padded image: pad x before the weight gradient",
    f"x_pad in {DW}",
)
STEP = Mistake("stride forgotten", "window i starts at pixel i * stride in the weight gradient, too", f"i*s in {DW}")
TURNED = Mistake(
    "weight gradient rotated",
    "forward does not rotate, so dw is a plain correlation of x with delta",
    f"u and v in {DW}",
)
SWAPPED = Mistake(
    "channels exchanged", "dw has the kernel's own order, (rows, columns, channels, filters)", f"c,f in {DW}"
)
BIAS = Mistake(
    "bias not summed",
    "the bias is added at every pixel of every image: sum delta over all of them",
    "sum_nij in db[f] = sum_nij dy[n,i,j,f]",
)
STRIDE_DILATION = Mistake(
    "stride and dilation exchanged",
    "stride is from window to window, dilation from tap to tap of one window",
    "i*s + u*d, the pixel under tap u of window i",
)
STRIDES = Mistake(
    "stride of rows and columns exchanged", "stride is (rows, columns), like the kernel size", "i*s_row and j*s_col"
)
DILATIONS = Mistake(
    "dilation of rows and columns exchanged", "dilation is (rows, columns), like the kernel size", "u*d_row, v*d_col"
)
ONE_SIDE = Mistake(
    "padding off on one side",
    "pixel (0, 0) of x is pixel (top, left) of x_pad; check which of the four paddings was used",
    "top and left in x_pad[n, top + a, left + b, c] = x[n,a,b,c]",
)
GROUPS = Mistake(
    "groups mixed",
    "filter f sees the channels of group f // (F // groups), and its gradient goes only to them",
    f"the group of f in {DX} and in {DW}",
)


def gradients(case: Case, operation: Operation, dy: Array) -> dict[str, Array]:
    """Return the right gradients."""
    needs = ("x", "w", "b") if operation.bias else ("x", "w")
    w = case.parameters[operation.weight]
    dx, dw, db = conv2d_backward(dy, case.x, w, **operation.options, needs=needs)
    found = {"x": dx, operation.weight: dw, operation.bias: db}
    return {name: array for name, array in found.items() if array is not None}


def candidates(case: Case, operation: Operation) -> Candidates:
    """Yield what each mistake would return for this array."""
    g, groups = operation.geometry, operation.options["groups"]
    if g is None:
        return
    w = case.parameters[operation.weight]
    if case.of_input:
        yield from _data(case, w, g, groups)
    elif case.name == operation.weight:
        yield from _weight(case, operation, w, g)
    elif case.name == operation.bias:
        yield from bias(case.dy)


def bias(dy: Array) -> Candidates:
    """Yield what each mistake would return for a bias that is added to maps."""
    for wrong in (dy[0, 0, 0], dy[-1, -1, -1], dy[:, 0, 0].sum(0), dy[0].sum((0, 1)), dy[-1].sum((0, 1))):
        yield BIAS, wrong
    yield BIAS, dy.mean((0, 1, 2))
    yield BIAS, dy.mean((1, 2)).sum(0)
    yield BIAS, np.zeros(dy.shape[3])


def _data(case: Case, w: Array, g: Geometry, groups: int) -> Candidates:
    dy, x_shape = case.dy, case.x.shape
    delta_pad = pad_delta(spread(dy, g.stride), g)
    w_rot = rotate180(w, groups)
    options: dict[str, Any] = {"dilation": g.dilation, "groups": groups}
    if g.kernel != (1, 1):
        yield ROTATE, conv2d(delta_pad, w_rot[::-1, ::-1], **options)
        yield _with(ROTATE, "rotated along one axis only"), conv2d(delta_pad, w_rot[::-1], **options)
        yield _with(ROTATE, "rotated along one axis only"), conv2d(delta_pad, w_rot[:, ::-1], **options)
    if w.shape[2] == w.shape[3] // groups:
        kh, kw, c, f = w.shape
        same = w[::-1, ::-1].reshape(kh, kw, c, groups, f // groups).reshape(kh, kw, c, f)
        yield EXCHANGE, conv2d(delta_pad, same, **options)
        yield replace(ROTATE, name=f"{ROTATE.name}, {EXCHANGE.name}"), conv2d(delta_pad, w, **options)
    height, width = x_shape[1:3]
    if g.is_padded:
        dx_pad = scatter(lambda u, v: _windows_of(dy, w, groups, u, v), g)
        yield CROP, dx_pad[:, :height, :width]
        yield CROP, dx_pad[:, -height:, -width:]
    if g.stride != (1, 1):
        for wrong in (_dense(dy, g), _repeated(dy, g)):
            yield SPREAD, conv2d(pad_delta(wrong, g), w_rot, **options)
    for mistake, stride, dilation in _other_steps(g):
        yield mistake, _dx(dy, w, g, groups, stride=stride, dilation=dilation)
    yield FOLD, _dx(dy, w, g, groups, assign=True)
    if g.dilation != (1, 1):
        yield DILATE, conv2d(delta_pad, w_rot, groups=groups)[:, :height, :width]
    for f in (0, w.shape[3] - 1):
        only = np.zeros_like(dy)
        only[..., f] = dy[..., f]
        yield ONE_FILTER, _dx(only, w, g, groups)
    for move in sides(g):
        yield ONE_SIDE, _dx(dy, w, g, groups, move=move)
    for mistake, fewer in without_an_end(w, (0, 1), ("row of the kernel", "column of the kernel")):
        yield mistake, _dx(dy, fewer, g, groups)
    if groups > 1:
        for delta_order, w_order in product(orders(w.shape[3], groups), repeat=2):
            mixed = _dx(dy[..., delta_order], w[..., w_order], g, groups)
            for channels in orders(x_shape[3], groups):
                yield GROUPS, mixed[..., channels]
        yield GROUPS, _dx(dy, np.tile(w, (1, 1, groups, 1)), g, 1)


def _other_steps(g: Geometry) -> Iterator[tuple[Mistake, tuple[int, int], tuple[int, int]]]:
    """Yield strides and dilations that the gradient may have been computed with instead."""
    for mistake, stride, dilation in (
        (STRIDE_DILATION, g.dilation, g.stride),
        (STRIDES, g.stride[::-1], g.dilation),
        (DILATIONS, g.stride, g.dilation[::-1]),
        (SPREAD, (1, 1), g.dilation),
        (DILATE, g.stride, (1, 1)),
    ):
        if (stride, dilation) != (g.stride, g.dilation):
            yield mistake, stride, dilation


def sides(g: Geometry) -> Iterator[tuple[int, int]]:
    """Yield by how much the padding before the image may be off, in rows and columns."""
    if g.is_padded:
        (top, bottom), (left, right) = g.padding
        rows = {-1, 0, 1, -top, bottom, bottom - top}
        columns = {-1, 0, 1, -left, right, right - left}
        yield from (move for move in product(sorted(rows), sorted(columns)) if any(move))


def orders(size: int, groups: int) -> list[Array]:
    """Return orders of filters or channels that misplace the groups, and the right one."""
    table = np.arange(size).reshape(groups, size // groups)
    interleaved = (table.T, np.arange(size).reshape(-1, groups).T)
    return [order.ravel() for order in (table, *interleaved, np.roll(table, 1, 0), np.roll(table, -1, 0), table[::-1])]


def _with(mistake: Mistake, how: str) -> Mistake:
    return replace(mistake, name=f"{mistake.name} ({how})")


def _windows_of(dy: Array, w: Array, groups: int, u: int, v: int) -> Array:
    """Return what each window sends to the pixels under tap (u, v): (N, OH, OW, C)."""
    c, f = w.shape[2], w.shape[3] // groups
    parts = [dy[..., k * f : (k + 1) * f] @ w[u, v, :, k * f : (k + 1) * f].T for k in range(groups)]
    joined: Array = np.concatenate(parts, axis=-1) if c else dy
    return joined


def _dx(
    dy: Array,
    w: Array,
    g: Geometry,
    groups: int,
    *,
    move: tuple[int, int] = (0, 0),
    stride: tuple[int, int] | None = None,
    dilation: tuple[int, int] | None = None,
    assign: bool = False,
) -> Array:
    """Return the data gradient as `scatter` computes it, cropped at a position that is off by `move`."""

    def said(u: int, v: int) -> Array:
        return _windows_of(dy, w, groups, u, v)

    return view(scatter(said, g, stride=stride, dilation=dilation, assign=assign), g, *move)


def scatter(
    said: Callable[[int, int], Array],
    g: Geometry,
    *,
    kernel: tuple[int, int] | None = None,
    stride: tuple[int, int] | None = None,
    dilation: tuple[int, int] | None = None,
    assign: bool = False,
) -> Array:
    """Return the padded gradient, summed from what each window sends to the pixels under tap (u, v).

    `said(u, v)` is (N, OH, OW, C). With another kernel, stride or dilation the result is as large as necessary.
    """
    out = (g.out_height, g.out_width)
    kernel, stride, dilation = kernel or g.kernel, stride or g.stride, dilation or g.dilation
    first = said(0, 0)
    size = [
        max(padded, (o - 1) * s + (k - 1) * d + 1)
        for padded, o, s, k, d in zip((g.padded_height, g.padded_width), out, stride, kernel, dilation, strict=True)
    ]
    dx_pad = np.zeros((len(first), *size, first.shape[3]))
    for u, v in np.ndindex(kernel):
        row, column = u * dilation[0], v * dilation[1]
        rows = slice(row, row + (out[0] - 1) * stride[0] + 1, stride[0])
        columns = slice(column, column + (out[1] - 1) * stride[1] + 1, stride[1])
        if assign:
            dx_pad[:, rows, columns] = said(u, v)
        else:
            dx_pad[:, rows, columns] += said(u, v)
    return dx_pad


def view(dx_pad: Array, g: Geometry, rows: int = 0, columns: int = 0) -> Array:
    """Crop at a position that is off by these rows and columns, filled with zeros outside."""
    found = np.zeros((dx_pad.shape[0], g.height, g.width, dx_pad.shape[3]))
    top, left = g.padding[0][0] + rows, g.padding[1][0] + columns
    seen = dx_pad[:, max(top, 0) : max(top + g.height, 0), max(left, 0) : max(left + g.width, 0)]
    found[:, max(-top, 0) :, max(-left, 0) :][:, : seen.shape[1], : seen.shape[2]] = seen
    return found


def _dense(dy: Array, g: Geometry) -> Array:
    """Return delta in the top left corner of the area that it would take when spread."""
    delta = np.zeros_like(spread(dy, g.stride))
    delta[:, : dy.shape[1], : dy.shape[2]] = dy
    return delta


def _repeated(dy: Array, g: Geometry) -> Array:
    """Return delta with each number repeated instead of zeros in between."""
    wanted = spread(dy, g.stride).shape
    return dy.repeat(g.stride[0], axis=1).repeat(g.stride[1], axis=2)[:, : wanted[1], : wanted[2]]


def _weight(case: Case, operation: Operation, w: Array, g: Geometry) -> Candidates:
    dy, x = case.dy, case.x
    right = gradients(case, operation, dy)[operation.weight]
    if g.kernel != (1, 1):
        yield TURNED, right[::-1, ::-1]
    if w.shape[2] == w.shape[3]:
        yield SWAPPED, right.swapaxes(2, 3)
    for f in (0, w.shape[3] - 1):
        one = np.zeros_like(right)
        one[..., f] = right[..., f]
        yield ONE_FILTER, one
    x_pad, groups = pad(x, g), operation.options["groups"]
    for mistake, stride, dilation in _other_steps(g):
        named = STEP if mistake is SPREAD else mistake
        yield replace(named, where=DW_STEPS), _correlated(x_pad, dy, w, g, groups, stride, dilation)
    if g.stride != (1, 1):
        yield STEP, _correlated(x_pad, dy, w, g, groups, (1, 1), (1, 1))
    if g.is_padded:
        top, left = g.padding[0][0], g.padding[1][0]
        yield UNPADDED, _correlated(_moved(x, x_pad, 0, 0), dy, w, g, groups, g.stride, g.dilation)
        for rows, columns in sides(g):
            moved = _moved(x, x_pad, top + rows, left + columns)
            yield ONE_SIDE, _correlated(moved, dy, w, g, groups, g.stride, g.dilation)
    for mistake, fewer in without_an_end(right, (0, 1), ("row of the kernel", "column of the kernel")):
        yield replace(mistake, where=f"u and v in {DW}"), fewer
    if groups > 1:
        for channels, filters in product(orders(x.shape[3], groups), orders(w.shape[3], groups)):
            mixed = replace(case, x=x[..., channels])
            dw = gradients(mixed, operation, dy[..., filters])[operation.weight]
            for order in orders(w.shape[3], groups):
                yield GROUPS, dw[..., order]


def _moved(x: Array, x_pad: Array, top: int, left: int) -> Array:
    """Return x at another position in the padded image, cropped where it does not fit."""
    moved = np.zeros_like(x_pad)
    seen = x[:, max(-top, 0) :, max(-left, 0) :]
    room = moved[:, max(top, 0) :, max(left, 0) :]
    rows, columns = min(seen.shape[1], room.shape[1]), min(seen.shape[2], room.shape[2])
    room[:, :rows, :columns] = seen[:, :rows, :columns]
    return moved


def _correlated(
    x_pad: Array, dy: Array, w: Array, g: Geometry, groups: int, stride: tuple[int, int], dilation: tuple[int, int]
) -> Array:
    """Return the weight gradient with another stride or dilation."""
    dw = np.zeros_like(w)
    c, f = w.shape[2], w.shape[3] // groups
    for u, v in np.ndindex(g.kernel):
        row, column = u * dilation[0], v * dilation[1]
        seen = x_pad[:, row :: stride[0], column :: stride[1]][:, : g.out_height, : g.out_width]
        used = dy[:, : seen.shape[1], : seen.shape[2]]
        for k in range(groups):
            dw[u, v, :, k * f : (k + 1) * f] = np.tensordot(
                seen[..., k * c : (k + 1) * c], used[..., k * f : (k + 1) * f], axes=((0, 1, 2), (0, 1, 2))
            )
    return dw
