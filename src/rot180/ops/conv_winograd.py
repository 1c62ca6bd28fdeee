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

from typing import Any, Literal

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

__all__ = [
    "OUTPUTS",
    "applies",
    "check",
    "data_gradient",
    "forward",
    "joined",
    "multiply_adds",
    "tiles",
    "weight_gradient",
]

OUTPUTS = {3: 4, 5: 2}
"""The side m of a tile of outputs, by the side r of the kernel: n is 6 for both."""

Part = Literal["forward", "data_gradient", "weight_gradient"]


def applies(kernel: Pair, stride: Pair, dilation: Pair, groups: int) -> bool:
    """Return whether a convolution can be computed in this way: 3x3 or 5x5, stride 1, dilation 1 and one group.

    >>> applies(5, 1, 1, 1), applies(3, 2, 1, 1), applies((3, 5), 1, 1, 1)
    (True, False, False)
    """
    pairs = as_pair(kernel, "kernel_size"), as_pair(stride, "stride"), as_pair(dilation, "dilation")
    return groups == 1 and pairs in [((r, r), (1, 1), (1, 1)) for r in OUTPUTS]


def check(name: str, kernel: Pair, stride: Pair, dilation: Pair, groups: int) -> None:
    """Raise ArgumentError if a convolution cannot be computed in this way.

    >>> check("conv1", 3, 2, 1, 1)  # doctest: +NORMALIZE_WHITESPACE
    Traceback (most recent call last):
        ...
    rot180.errors.ArgumentError: conv1: the algorithm 'winograd' is for 3x3 and 5x5 kernels with stride 1, dilation 1
    and groups=1; this is 3x3 with stride 2x2, dilation 1x1 and groups=1; choose 'auto' or 'im2col'
    """
    if not applies(kernel, stride, dilation, groups):
        pairs = (as_pair(value, "kernel_size") for value in (kernel, stride, dilation))
        size, step, gap = (f"{rows}x{columns}" for rows, columns in pairs)
        raise ArgumentError(
            f"{name}: the algorithm 'winograd' is for 3x3 and 5x5 kernels with stride 1, dilation 1 and groups=1; "
            f"this is {size} with stride {step}, dilation {gap} and groups={groups}; choose 'auto' or 'im2col'"
        )


def forward(x: Array, w: Array, g: Geometry, groups: int) -> Array:
    r"""Transform the tiles of the images, multiply point by point, and transform back.

    y = A' [sum_c (B' d B) * (G g G')] A, tile by tile
    """
    a, k, b = _transforms(g, x.dtype)
    x_pad = pad(x, g)
    record("x_pad", x_pad)
    x_tiles = tiles(x_pad, (g.out_height, g.out_width), *a.shape)  # (n, n, N, TY, TX, C)
    record("x_tiles", x_tiles)
    x_hat = _both(b, x_tiles)  # (n, n, T, C)
    record("x_hat", x_hat)
    w_hat = _both(k, w)  # (n, n, C, F)
    record("w_hat", w_hat)
    y_hat = x_hat @ w_hat  # (n, n, T, F)
    record("y_hat", y_hat)
    return joined(_both(a, y_hat), len(x), g.out_height, g.out_width)


def data_gradient(dy: Array, w: Array, g: Geometry, groups: int) -> Array:
    r"""Correlate padded delta with the rotated kernel: a forward convolution of stride 1, in tiles of its own.

    The forward pass transposed would be dd = B [(A e A') * (G g G')] B', with e for a tile of delta: contributions to
    all pixels that the tile has read, to be added up where tiles overlap. `conv_rotation` collects them by pixels.
    """
    a, k, b = _transforms(g, dy.dtype)
    delta_pad = pad_delta(dy, g)  # (N, H + KH-1, W + KW-1, F)
    record("delta_pad", delta_pad)
    delta_tiles = tiles(delta_pad, (g.height, g.width), *a.shape)  # (n, n, N, TY, TX, F)
    record("delta_tiles", delta_tiles)
    delta_hat = _both(b, delta_tiles)  # (n, n, T, F)
    record("delta_hat", delta_hat)
    w_rot = rotate180(w)  # (KH, KW, F, C)
    record("w_rot", w_rot)
    w_rot_hat = _both(k, w_rot)  # (n, n, F, C)
    record("w_rot_hat", w_rot_hat)
    dx_hat = delta_hat @ w_rot_hat  # (n, n, T, C)
    record("dx_hat", dx_hat)
    return joined(_both(a, dx_hat), len(dy), g.height, g.width)


def weight_gradient(dy: Array, x: Array, g: Geometry, groups: int) -> Array:
    r"""Transform the tiles of images and delta, sum their products over all tiles, and transform the sums.

    The outputs of tile t are A' y^ A, with y^ = sum_c x^ * w^ point by point. Both are linear, so delta, cut into tiles
    e, comes back to y^ as A e A', and w^, which every tile has multiplied by its x^, gets

        dw^[p, q, c, f] = sum_t x^[p, q, t, c] * (A e A')[p, q]    of tile t and filter f
        dw = G' dw^ G, since w^ = G w G'.
    """
    a, k, b = _transforms(g, dy.dtype)
    (m, n), out = a.shape, (g.out_height, g.out_width)
    x_pad = pad(x, g)
    record("x_pad", x_pad)
    x_tiles = tiles(x_pad, out, m, n)  # (n, n, N, TY, TX, C)
    record("x_tiles", x_tiles)
    x_hat = _both(b, x_tiles)  # (n, n, T, C)
    record("x_hat", x_hat)
    dy_tiles = tiles(dy, out, m, m)  # (m, m, N, TY, TX, F)
    record("dy_tiles", dy_tiles)
    dy_hat = _both(a.T, dy_tiles)  # (n, n, T, F)
    record("dy_hat", dy_hat)
    dw_hat = x_hat.transpose(0, 1, 3, 2) @ dy_hat  # (n, n, C, F)
    record("dw_hat", dw_hat)
    return _both(k.T, dw_hat)  # (KH, KW, C, F)


def multiply_adds(r: int, height: int, width: int, channels: int, filters: int) -> int:
    """Return how many products of two variables a pass adds up for one image.

    Those with the constants in A', G and B' are not counted: their number grows with the channels and with the filters,
    not with channels times filters.

    Parameters
    ----------
    r : int
        Side of the kernel.
    height, width : int
        Size of the maps that are cut into tiles: the output, or for the data gradient the input.
    channels, filters : int

    Examples
    --------
    >>> multiply_adds(3, 32, 32, 64, 64), 32 * 32 * 9 * 64 * 64
    (9437184, 37748736)
    """
    m = OUTPUTS[r]
    return (m + r - 1) ** 2 * -(-height // m) * -(-width // m) * channels * filters


def _transforms(g: Geometry, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
    """Return A', G (called k where g is the geometry) and B' for the kernel's size, in this type."""
    r = g.kernel[0]
    a, k, b = (matrix.astype(dtype) for matrix in matrices(OUTPUTS[r], r))
    return a, k, b


def tiles(images: Array, out: tuple[int, int], m: int, size: int) -> Array:
    """Return what tiles of m x m outputs see of images, size x size pixels each, with zeros beyond the images.

    A view (size, size, N, TY, TX, C).
    """
    beyond = [(0, -(-count // m) * m - m + size - side) for count, side in zip(out, images.shape[1:3], strict=True)]
    whole = np.pad(images, ((0, 0), *beyond, (0, 0)))
    windows = sliding_window_view(whole, (size, size), axis=(1, 2))  # (N, starts, starts, C, size, size)
    return windows[:, ::m, ::m].transpose(4, 5, 0, 1, 2, 3)


def _both(matrix: Array, a: Array) -> Array:
    """Return matrix @ a @ matrix.T over the first two axes of (n, n, ..., C), and the others as one: (p, p, T, C)."""
    p, n, channels = len(matrix), len(a), a.shape[-1]
    require((n * n + p * n + p * p) * (a.size // (n * n)) * a.itemsize, "the transformed tiles")
    rows = (matrix @ a.reshape(n, -1)).reshape(p, n, -1)  # (p, n, T*C)
    both: Array = (matrix @ rows).reshape(p, p, -1, channels)
    return both


def joined(parts: Array, images: int, height: int, width: int) -> Array:
    """Put tiles (m, m, T, F) side by side and cut off what is beyond: (N, height, width, F)."""
    m, _, _, filters = parts.shape
    rows, columns = -(-height // m), -(-width // m)
    whole = parts.reshape(m, m, images, rows, columns, filters).transpose(2, 3, 0, 4, 1, 5)
    return np.ascontiguousarray(whole.reshape(images, rows * m, columns * m, filters)[:, :height, :width])
