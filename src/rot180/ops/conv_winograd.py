r"""Convolution in tiles, with fewer multiplications: Winograd's minimal filtering of 3x3 and 5x5 kernels at stride 1.

The outputs are cut into tiles of m x m, and a tile reads n x n pixels d, n = m + r - 1, which overlap with those of its
neighbors. `winograd` derives the matrices A', G and B' for which, along one axis, filtering a tile takes only n
multiplications. In two dimensions, with a tile's outputs y and a kernel g of one channel and one filter,

    y = A' [(G g G') * (B' d B)] A,

where * multiplies n*n numbers pair by pair. Only here do pixels meet weights, so channels are summed in the brackets,
and pixels are transformed once for all filters. Point by point, that sum is a matrix product over the channels:

    x^[p, q, t, c] = (B' d B)[p, q]    of tile t and channel c
    w^[p, q, c, f] = (G g G')[p, q]    of channel c and filter f
    y^[p, q, t, f] = sum_c x^[p, q, t, c] * w^[p, q, c, f],    n*n products of matrices (T, C) and (C, F)
    y = A' y^ A                        of each tile and filter.

Direct convolution multiplies (m*r)^2 numbers for each tile, channel and filter, this n*n: 36 instead of 144 for 3x3
kernels in tiles of 4x4, 36 instead of 100 for 5x5 in tiles of 2x2. Outputs are computed in whole tiles; those beyond
the last row and column are dropped. A NaN or an infinite pixel makes its whole tile of outputs NaN, not only the
outputs whose windows contain it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from rot180.errors import ArgumentError
from rot180.memory import require
from rot180.ops.conv_layout import pad
from rot180.ops.conv_rotation import pad_delta, rotate180
from rot180.ops.geometry import Geometry, as_pair
from rot180.ops.recorder import record
from rot180.ops.types import Array, Pair
from rot180.ops.winograd import matrices

__all__ = ["OUTPUTS", "check", "data_gradient", "forward", "weight_gradient"]

OUTPUTS = {3: 4, 5: 2}
"""The side m of a tile of outputs, by the side r of the kernel: n is 6 for both."""


def check(name: str, kernel: Pair, stride: Pair, dilation: Pair, groups: int) -> None:
    """Raise ArgumentError unless the convolution is one of 3x3 or 5x5 with stride 1, dilation 1 and one group.

    >>> check("conv1", 3, 2, 1, 1)  # doctest: +NORMALIZE_WHITESPACE
    Traceback (most recent call last):
        ...
    rot180.errors.ArgumentError: conv1: the algorithm 'winograd' is for 3x3 and 5x5 kernels with stride 1, dilation 1
    and groups=1; this is 3x3 with stride 2x2, dilation 1x1 and groups=1; choose 'auto' or 'im2col'
    """
    pairs = as_pair(kernel, "kernel_size"), as_pair(stride, "stride"), as_pair(dilation, "dilation")
    if pairs not in [((r, r), (1, 1), (1, 1)) for r in OUTPUTS] or groups != 1:
        size, step, gap = (f"{rows}x{columns}" for rows, columns in pairs)
        raise ArgumentError(
            f"{name}: the algorithm 'winograd' is for 3x3 and 5x5 kernels with stride 1, dilation 1 and groups=1; "
            f"this is {size} with stride {step}, dilation {gap} and groups={groups}; choose 'auto' or 'im2col'"
        )


def forward(x: Array, w: Array, g: Geometry, groups: int) -> Array:
    r"""Transform the tiles of the images, multiply point by point, and transform back.

    y = A' [sum_c (B' d B) * (G g G')] A, tile by tile
    """
    x_pad = pad(x, g)
    record("x_pad", x_pad)
    return _correlate(x_pad, w, ("x", "w", "y"))


def data_gradient(dy: Array, w: Array, g: Geometry, groups: int) -> Array:
    r"""Correlate padded delta with the rotated kernel: a forward convolution of stride 1, in tiles of its own.

    The forward pass transposed would be dd = B [(A e A') * (G g G')] B', with e for a tile of delta: contributions to
    all pixels that the tile has read, to be added up where tiles overlap. `conv_rotation` collects them by pixels.
    """
    delta_pad = pad_delta(dy, g)  # (N, H + KH-1, W + KW-1, F)
    record("delta_pad", delta_pad)
    w_rot = rotate180(w)  # (KH, KW, F, C)
    record("w_rot", w_rot)
    return _correlate(delta_pad, w_rot, ("delta", "w_rot", "dx"))


def weight_gradient(dy: Array, x: Array, g: Geometry, groups: int) -> Array:
    r"""Transform the tiles of images and delta, sum their products over all tiles, and transform the sums.

    The outputs of tile t are A' y^ A, with y^ = sum_c x^ * w^ point by point. Both are linear, so delta, cut into tiles
    e, comes back to y^ as A e A', and w^, which every tile has multiplied by its x^, gets

        dw^[p, q, c, f] = sum_t x^[p, q, t, c] * (A e A')[p, q]    of tile t and filter f
        dw = G' dw^ G, since w^ = G w G'.
    """
    m, n, (at, gt, bt) = _sizes(g.kernel[0], dy.dtype)
    x_pad = pad(x, g)
    record("x_pad", x_pad)
    tiles = -(-g.out_height // m), -(-g.out_width // m)
    x_hat = _transformed(bt, _tiles(x_pad, tiles, m, n), "x")  # (n, n, T, C)
    dy_hat = _transformed(at.T, _tiles(dy, tiles, m, m), "dy")  # (n, n, T, F)
    dw_hat = x_hat.transpose(0, 1, 3, 2) @ dy_hat  # (n, n, C, F)
    record("dw_hat", dw_hat)
    return np.ascontiguousarray(_both(gt.T, dw_hat))  # (KH, KW, C, F)


def _correlate(x_pad: Array, w: Array, names: tuple[str, str, str]) -> Array:
    """Correlate padded images (N, H, W, C) with w (r, r, C, F): (N, H - r + 1, W - r + 1, F)."""
    m, n, (at, gt, bt) = _sizes(len(w), x_pad.dtype)
    images, height, width, _ = x_pad.shape
    out = height - len(w) + 1, width - len(w) + 1
    tiles = -(-out[0] // m), -(-out[1] // m)
    x_hat = _transformed(bt, _tiles(x_pad, tiles, m, n), names[0])  # (n, n, T, C)
    w_hat = _both(gt, w)  # (n, n, C, F)
    record(f"{names[1]}_hat", w_hat)
    y_hat = x_hat @ w_hat  # (n, n, T, F)
    record(f"{names[2]}_hat", y_hat)
    y_tiles = _both(at, y_hat).reshape(m, m, images, *tiles, w.shape[3])
    y = y_tiles.transpose(2, 3, 0, 4, 1, 5).reshape(images, tiles[0] * m, tiles[1] * m, w.shape[3])
    return np.ascontiguousarray(y[:, : out[0], : out[1]])


def _sizes(r: int, dtype: np.dtype[Any]) -> tuple[int, int, list[Array]]:
    """Return the side of a tile of outputs, that of the pixels it reads, and A', G and B' in this type."""
    m = OUTPUTS[r]
    return m, m + r - 1, [matrix.astype(dtype) for matrix in matrices(m, r)]


def _tiles(a: Array, tiles: tuple[int, int], step: int, size: int) -> Array:
    """Return tiles of images as a view (size, size, N, TY, TX, C), with zeros where they reach beyond the images."""
    beyond = [(0, (count - 1) * step + size - side) for count, side in zip(tiles, a.shape[1:3], strict=True)]
    whole = np.pad(a, ((0, 0), *beyond, (0, 0))) if any(map(any, beyond)) else a
    windows = sliding_window_view(whole, (size, size), axis=(1, 2))  # (N, starts, starts, C, size, size)
    return windows[:, ::step, ::step].transpose(4, 5, 0, 1, 2, 3)


def _transformed(matrix: Array, tiles: Array, name: str) -> Array:
    """Transform tiles (size, size, N, TY, TX, C) and count them in one axis: (n, n, T, C)."""
    record(f"{name}_tiles", tiles)
    n, channels = len(matrix), tiles.shape[-1]
    count = math.prod(tiles.shape[2:5])
    require(n * n * count * channels * tiles.itemsize, "the transformed tiles")
    hat = _both(matrix, tiles).reshape(n, n, count, channels)
    record(f"{name}_hat", hat)
    return hat


def _both(matrix: Array, a: Array) -> Array:
    """Return matrix @ a @ matrix.T over the first two axes of a."""
    p, (i, j, *others) = len(matrix), a.shape
    rows = (matrix @ a.reshape(i, -1)).reshape(p, j, -1)  # (p, j, others)
    both: Array = (matrix @ rows).reshape(p, p, *others)
    return both
