"""Known mistakes in the gradients of a convolution."""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.inside.mistakes.case import Candidates, Case, Mistake
from rot180.inside.mistakes.recognize import Operation
from rot180.ops.conv2d import conv2d, conv2d_backward
from rot180.ops.conv_layout import crop, pad, tap
from rot180.ops.conv_rotation import pad_delta, rotate180, spread
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array

ROTATE = Mistake("kernel not rotated", "turn it by 180 degrees before it meets delta: w[::-1, ::-1]")
EXCHANGE = Mistake("channels not exchanged", "delta's channels are the filters: swap the kernel's last two axes")
CROP = Mistake("padding not cropped", "cut the gradient of the padding off: dx_pad[:, top:top+H, left:left+W]")
SPREAD = Mistake("stride not spread", "put stride - 1 zeros between the rows and columns of delta first")
FOLD = Mistake("overlapping windows assigned, not added", "a pixel in several windows sums what each says: use +=")
ONE_FILTER = Mistake("only one filter's gradient kept", "sum over all filters")
DILATE = Mistake("dilation forgotten", "the kernel's taps stand `dilation` pixels apart on the way back, too")
UNPADDED = Mistake("padding forgotten", "the weight met the padded image: pad x before the weight gradient")
STEP = Mistake("stride forgotten", "window i starts at pixel i * stride in the weight gradient, too")
TURNED = Mistake("weight gradient rotated", "forward does not rotate, so dw is a plain correlation of x with delta")
SWAPPED = Mistake("channels exchanged", "dw has the kernel's own order, (rows, columns, channels, filters)")
BIAS = Mistake("bias not summed", "the bias is added at every pixel of every image: sum delta over all of them")


def gradients(case: Case, operation: Operation, dy: Array) -> dict[str, Array]:
    """Return the right gradients."""
    needs = ("x", "w", "b") if operation.bias else ("x", "w")
    w = case.parameters[operation.weight]
    dx, dw, db = conv2d_backward(dy, case.x, w, **operation.options, needs=needs)
    found = {"x": dx, operation.weight: dw, operation.bias: db}
    return {name: array for name, array in found.items() if array is not None}


def candidates(case: Case, operation: Operation) -> Candidates:
    """Give what each mistake would return for this array."""
    g, groups = operation.geometry, operation.options["groups"]
    if g is None:
        return
    w = case.parameters[operation.weight]
    if case.name == "x":
        yield from _data(case, w, g, groups)
    elif case.name == operation.weight:
        yield from _weight(case, operation, w, g)
    elif case.name == operation.bias:
        dy = case.dy
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
        yield _with(ROTATE, "only half turned"), conv2d(delta_pad, w_rot[::-1], **options)
        yield _with(ROTATE, "only half turned"), conv2d(delta_pad, w_rot[:, ::-1], **options)
    if w.shape[2] == w.shape[3] // groups:
        kh, kw, c, f = w.shape
        same = w[::-1, ::-1].reshape(kh, kw, c, groups, f // groups).reshape(kh, kw, c, f)
        yield EXCHANGE, conv2d(delta_pad, same, **options)
        yield Mistake(f"{ROTATE.name}, {EXCHANGE.name}", ROTATE.advice), conv2d(delta_pad, w, **options)
    dx_pad = _dx_pad(dy, w, g, groups, x_shape)
    height, width = x_shape[1:3]
    if g.is_padded:
        yield CROP, dx_pad[:, :height, :width]
        yield CROP, dx_pad[:, -height:, -width:]
    if g.stride != (1, 1):
        for wrong in (_dense(dy, g), _repeated(dy, g)):
            yield SPREAD, conv2d(pad_delta(wrong, g), w_rot, **options)
        yield SPREAD, crop(_assigned(dy, w, g, groups, x_shape, stride=(1, 1)), g)
    yield FOLD, crop(_assigned(dy, w, g, groups, x_shape), g)
    if g.dilation != (1, 1):
        yield DILATE, conv2d(delta_pad, w_rot, groups=groups)[:, :height, :width]
    for f in (0, w.shape[3] - 1):
        only = np.zeros_like(dy)
        only[..., f] = dy[..., f]
        yield ONE_FILTER, crop(_dx_pad(only, w, g, groups, x_shape), g)


def _with(mistake: Mistake, how: str) -> Mistake:
    return Mistake(f"{mistake.name} ({how})", mistake.advice)


def _windows_of(dy: Array, w: Array, groups: int, u: int, v: int) -> Array:
    """Return what each window says of the pixels under tap (u, v): (N, OH, OW, C)."""
    c, f = w.shape[2], w.shape[3] // groups
    parts = [dy[..., k * f : (k + 1) * f] @ w[u, v, :, k * f : (k + 1) * f].T for k in range(groups)]
    joined: Array = np.concatenate(parts, axis=-1) if c else dy
    return joined


def _dx_pad(dy: Array, w: Array, g: Geometry, groups: int, x_shape: tuple[int, ...]) -> Array:
    dx_pad = np.zeros((x_shape[0], g.padded_height, g.padded_width, x_shape[3]))
    for u, v in np.ndindex(g.kernel):
        seen = tap(dx_pad, g, u, v)
        seen += _windows_of(dy, w, groups, u, v)
    return dx_pad


def _assigned(
    dy: Array, w: Array, g: Geometry, groups: int, x_shape: tuple[int, ...], stride: tuple[int, int] | None = None
) -> Array:
    """As `_dx_pad`, but assigning; with a stride, adding as if the windows were that far apart."""
    dx_pad = np.zeros((x_shape[0], g.padded_height, g.padded_width, x_shape[3]))
    for u, v in np.ndindex(g.kernel):
        said = _windows_of(dy, w, groups, u, v)
        if stride is None:
            tap(dx_pad, g, u, v)[...] = said
        else:
            row, column = u * g.dilation[0], v * g.dilation[1]
            dx_pad[:, row : row + g.out_height, column : column + g.out_width] += said
    return dx_pad


def _dense(dy: Array, g: Geometry) -> Array:
    """Return delta at the top left of the room that it would take when spread."""
    delta = np.zeros_like(spread(dy, g.stride))
    delta[:, : dy.shape[1], : dy.shape[2]] = dy
    return delta


def _repeated(dy: Array, g: Geometry) -> Array:
    """Return delta with each number repeated instead of zeros put between."""
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
    x_pad = pad(x, g)
    if g.stride != (1, 1) or g.dilation != (1, 1):
        for stride, dilation, mistake in (
            ((1, 1), g.dilation, STEP),
            (g.stride, (1, 1), DILATE),
            ((1, 1), (1, 1), STEP),
        ):
            yield mistake, _correlated(x_pad, dy, w, g, operation.options["groups"], stride, dilation)
    if g.is_padded:
        moved = np.zeros_like(x_pad)
        moved[:, : x.shape[1], : x.shape[2]] = x
        yield UNPADDED, _correlated(moved, dy, w, g, operation.options["groups"], g.stride, g.dilation)


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
