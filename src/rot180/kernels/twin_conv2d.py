"""The compiled twins of `rot180.ops.conv2d`: any stride, padding, dilation and groups.

Arguments are checked by the same code as for the reference, then padded, packed and passed to the kernels. The engine
does not use these functions: it packs and pads once, into its own buffers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numba import config

from rot180.errors import ShapeError
from rot180.kernels.convolution import BIAS, PLAIN, convolve
from rot180.kernels.copying import copy
from rot180.kernels.memory import aligned
from rot180.kernels.operands import contiguous, float_type, integers
from rot180.kernels.pack import add_up, pack_panels, pack_rotated
from rot180.kernels.simd import lane_count_of
from rot180.kernels.tile import TILE_VECTORS, even_blocks, tile_address, tile_strides
from rot180.kernels.twin_depthwise import depthwise_conv2d, depthwise_data_gradient, depthwise_weight_gradient
from rot180.kernels.weight_gradient import MOST_PARTS, bias_gradient, correlate, lot, parts_of
from rot180.ops.conv2d import _geometry, _with_unfolded, check_needs
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array, Padding, Pair

_UNITS = 16


def conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = "valid",
    dilation: Pair = 1,
    groups: int = 1,
    algorithm: str = "auto",
    x_col: Array | None = None,
) -> Array:
    """Compiled twin of `rot180.ops.conv2d`; `algorithm` and `x_col` are checked and make no difference."""
    name = "conv2d"
    g = _geometry(name, x, w, stride, padding, dilation, groups, algorithm)
    _with_unfolded(name, algorithm, x_col, x, g)
    dtype = float_type(name, x=x, w=w)
    if b is not None:
        dtype = float_type(name, x=x, w=w, b=b)
        if b.shape != (w.shape[3],):
            raise ShapeError(f"conv2d: b must have one value per filter, shape ({w.shape[3]},); it has {b.shape}")
    KH, KW, Cg, F = w.shape
    y = np.empty((x.shape[0], g.out_height, g.out_width, F), dtype)
    if groups > 1 and Cg == 1:
        depthwise_conv2d(contiguous(x, dtype), contiguous(w, dtype), b, g, y)
        return y
    panels = _panels(groups, F // groups, KH * KW * Cg, dtype)
    pack_panels(contiguous(w, dtype), panels)
    bias = np.zeros(F, dtype) if b is None else contiguous(b, dtype)
    _convolve(_pad(contiguous(x, dtype), g), panels, bias, y, g.kernel, g.stride, g.dilation, _image_rows(g), BIAS)
    return y


def conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    *,
    stride: Pair = 1,
    padding: Padding = "valid",
    dilation: Pair = 1,
    groups: int = 1,
    algorithm: str = "auto",
    x_col: Array | None = None,
    needs: Iterable[str] = ("x", "w", "b"),
) -> tuple[Array | None, Array | None, Array | None]:
    """Compiled twin of `rot180.ops.conv2d_backward`; `algorithm` and `x_col` are checked and make no difference."""
    name = "conv2d_backward"
    g = _geometry(name, x, w, stride, padding, dilation, groups, algorithm)
    _with_unfolded(name, algorithm, x_col, x, g)
    dtype = float_type(name, dy=dy, x=x, w=w)
    expected = (x.shape[0], g.out_height, g.out_width, w.shape[3])
    if dy.shape != expected:
        raise ShapeError(
            f"{name}: dy must have the shape of the output, {expected}; it has {dy.shape} "
            f"(x {x.shape}, w {w.shape}); pass the same arguments as to conv2d"
        )
    wanted = check_needs(name, needs)
    delta = aligned(dy.shape, dtype)
    delta[...] = dy
    dx: Array | None = None
    dw: Array | None = None
    if groups > 1 and w.shape[2] == 1:
        dx = depthwise_data_gradient(delta, contiguous(w, dtype), g, x.shape) if "x" in wanted else None
        dw = depthwise_weight_gradient(delta, contiguous(x, dtype), g, w.shape) if "w" in wanted else None
    else:
        dx = _data_gradient(delta, contiguous(w, dtype), g, groups, x.shape) if "x" in wanted else None
        dw = _weight_gradient(delta, contiguous(x, dtype), g, groups, w.shape) if "w" in wanted else None
    db: Array | None = None
    if "b" in wanted:
        db = np.empty(w.shape[3], dtype)
        lanes = lane_count_of(dtype)
        sums = aligned((max(1, min(MOST_PARTS, len(delta))), -(-w.shape[3] // lanes) * lanes), dtype)
        bias_gradient(delta, sums, db, integers(0, 0, g.out_height, g.out_width, 1, 1))
    return dx, dw, db


def _panels(groups: int, columns: int, rows: int, dtype: np.dtype[Any]) -> Array:
    width = TILE_VECTORS * lane_count_of(dtype)
    return aligned((groups, -(-columns // width), rows, width), dtype)


def _pad(x: Array, g: Geometry) -> Array:
    if not g.is_padded:
        return x
    xp = aligned((x.shape[0], g.padded_height, g.padded_width, x.shape[3]), x.dtype)
    (top, _), (left, _) = g.padding
    copy(x, xp, integers(g.height, g.width, 0, 0, top, left, 1, 1))
    return xp


def _convolve(
    xp: Array,
    panels: Array,
    bias: Array,
    out: Array,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    real: tuple[int, int],
    finish: int,
) -> None:
    N, _, Wp, C = xp.shape
    _, OH, OW, _ = out.shape
    groups, blocks, cells, width = panels.shape
    (KH, KW), depth = kernel, C // groups
    if dilation[1] == 1 and groups == 1:  # columns and channels of a kernel row are contiguous
        strides = tile_strides(
            (1, KW * depth),
            (dilation[0] * Wp * C, 0, 1),
            (KW * depth * width, 0, width),
            a_row=stride[1] * C,
            c_row=width,
        )
    else:
        strides = tile_strides(
            (KW, depth),
            (dilation[0] * Wp * C, dilation[1] * C, 1),
            (KW * depth * width, depth * width, width),
            a_row=stride[1] * C,
            c_row=width,
        )
    scratch = aligned((config.NUMBA_NUM_THREADS, (OW + 1) * width), xp.dtype)
    sizes = integers(
        KH, OH, OW, *stride, 0, 0, 0, 0, 1, 1, 0, 0, max(1, -(-N * OH // _UNITS)), even_blocks(OW), dilation[0],
        *real, 1, groups, blocks * cells * width, cells * width,
    )  # fmt: skip
    convolve(tile_address(xp.dtype), xp, panels, bias, out, out, scratch, strides, sizes, finish)


def _image_rows(g: Geometry) -> tuple[int, int]:
    """Return the first row of the padded image inside the image, and the first row of padding after it."""
    return g.padding[0][0], g.padding[0][0] + g.height


def _data_gradient(delta: Array, w: Array, g: Geometry, groups: int, x_shape: tuple[int, ...]) -> Array:
    """Convolve spread and padded delta with the rotated kernel; `rot180.ops.conv_rotation` derives it."""
    KH, KW, Cg, F = w.shape
    height, width = (n + d * (k - 1) for n, d, k in zip((g.height, g.width), g.dilation, g.kernel, strict=True))
    if g.stride == (1, 1) and not g.is_padded and g.kernel == (1, 1):
        padded, real = delta, (0, height)
    else:
        padded = aligned((delta.shape[0], height, width, F), delta.dtype)
        rows, columns = (
            _spread(*axis)
            for axis in zip(
                g.kernel,
                g.dilation,
                g.stride,
                (p for p, _ in g.padding),
                delta.shape[1:3],
                (height, width),
                strict=True,
            )
        )
        if rows[0] and columns[0]:
            (high, from_row, to_row), (wide, from_column, to_column) = rows, columns
            copy(delta, padded, integers(high, wide, from_row, from_column, to_row, to_column, *g.stride))
        real = (rows[2], rows[2] + max(0, (rows[0] - 1) * g.stride[0] + 1)) if rows[0] else (0, 0)
    panels = _panels(groups, Cg, KH * KW * (F // groups), delta.dtype)
    pack_rotated(w, panels)
    dx = np.empty(x_shape, delta.dtype)
    zeros = np.zeros(x_shape[3], delta.dtype)
    _convolve(padded, panels, zeros, dx, g.kernel, (1, 1), g.dilation, real, PLAIN)
    return dx


def _spread(kernel: int, dilation: int, stride: int, before: int, out: int, size: int) -> tuple[int, int, int]:
    """Return how many values of delta land among `size` places, the first that does, and where it lands."""
    shift = dilation * (kernel - 1) - before
    first = max(0, -(shift // stride))
    last = min(out, (size - 1 - shift) // stride + 1)
    return max(0, last - first), first, first * stride + shift


def _weight_gradient(delta: Array, x: Array, g: Geometry, groups: int, w_shape: tuple[int, ...]) -> Array:
    KH, KW, Cg, F = w_shape
    Fg, lanes = F // groups, lane_count_of(delta.dtype)
    padded = -(-Fg // lanes) * lanes
    cells = KH * KW * Cg
    xp = _pad(x, g)
    N, Hp, Wp, C = xp.shape
    together, band = lot(N, g.out_height, g.out_width, (xp.nbytes + delta.nbytes) // max(1, N) + 1)
    parts = parts_of(N // together * -(-g.out_height // band), cells * groups * padded * delta.itemsize)
    sums = aligned((parts, cells, groups * padded), delta.dtype)
    merged = g.dilation[1] == 1 and groups == 1
    runs, length, per_row = (KH, KW * Cg, 1) if merged else (KH * KW, Cg, KW)
    strides = tile_strides(
        (together, g.out_width),
        (g.stride[0] * Wp * C, Hp * Wp * C, g.stride[1] * C),
        (g.out_width * F, g.out_height * g.out_width * F, F),
        a_row=1,
        c_row=groups * padded,
    )
    block = even_blocks(length)
    tiles = groups * runs * -(-length // block) * -(-padded // (TILE_VECTORS * lanes))
    sizes = integers(
        runs, length, per_row, *g.dilation, 0, 0, 0, 0, groups, block, together, min(tiles, _UNITS),
        g.out_height, g.stride[0], 1, *_image_rows(g), band,
    )  # fmt: skip
    correlate(tile_address(delta.dtype), xp, delta, sums, strides, sizes)
    if parts == 1 and padded == Fg:
        return sums.reshape(w_shape)
    dw = np.empty(w_shape, delta.dtype)
    add_up(sums, 1, g.stride[1], groups, dw)
    return dw
