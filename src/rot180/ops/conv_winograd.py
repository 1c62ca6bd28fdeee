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

__all__ = ["OUTPUTS", "applies", "check", "data_gradient", "forward", "multiply_adds", "rounding", "weight_gradient"]

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
    x_pad = pad(x, g)
    record("x_pad", x_pad)
    return _correlate(x_pad, w, _matrices(g, x.dtype), ("x", "w", "y"))


def data_gradient(dy: Array, w: Array, g: Geometry, groups: int) -> Array:
    r"""Correlate padded delta with the rotated kernel: a forward convolution of stride 1, in tiles of its own.

    The forward pass transposed would be dd = B [(A e A') * (G g G')] B', with e for a tile of delta: contributions to
    all pixels that the tile has read, to be added up where tiles overlap. `conv_rotation` collects them by pixels.
    """
    delta_pad = pad_delta(dy, g)  # (N, H + KH-1, W + KW-1, F)
    record("delta_pad", delta_pad)
    w_rot = rotate180(w)  # (KH, KW, F, C)
    record("w_rot", w_rot)
    return _correlate(delta_pad, w_rot, _matrices(g, dy.dtype), ("delta", "w_rot", "dx"))


def weight_gradient(dy: Array, x: Array, g: Geometry, groups: int) -> Array:
    r"""Transform the tiles of images and delta, sum their products over all tiles, and transform the sums.

    The outputs of tile t are A' y^ A, with y^ = sum_c x^ * w^ point by point. Both are linear, so delta, cut into tiles
    e, comes back to y^ as A e A', and w^, which every tile has multiplied by its x^, gets

        dw^[p, q, c, f] = sum_t x^[p, q, t, c] * (A e A')[p, q]    of tile t and filter f
        dw = G' dw^ G, since w^ = G w G'.
    """
    x_pad = pad(x, g)
    record("x_pad", x_pad)
    return _correlate_tiles(x_pad, dy, _matrices(g, dy.dtype))


def multiply_adds(part: Part, g: Geometry, channels: int, filters: int) -> int:
    """Return how many products of two variables a pass adds up for one image.

    Those with the constants in A', G and B' are not counted: their number grows with the channels and with the filters,
    not with channels times filters.

    >>> from rot180.ops.geometry import geometry
    >>> g = geometry(32, 32, 3, padding="same")
    >>> multiply_adds("forward", g, 64, 64), 32 * 32 * 9 * 64 * 64
    (9437184, 37748736)
    """
    m, (r, _) = OUTPUTS[g.kernel[0]], g.kernel
    height, width = (g.height, g.width) if part == "data_gradient" else (g.out_height, g.out_width)
    return (m + r - 1) ** 2 * -(-height // m) * -(-width // m) * channels * filters


def rounding(part: Part, a: Array, b: Array, g: Geometry) -> Array:
    r"""Return by how much rounding can change the result of a pass, in units of the unit roundoff.

    With the magnitudes of all values and matrices in place of themselves, a pass computes the sum of the magnitudes of
    all terms that are added up on the way to a number. To first order, each term errs by a unit for each rounding that
    it has seen: one for each product and each sum of two, along both axes of each transform, one for each number of
    G, and those of the products and their sum over channels, or tiles.

    Parameters
    ----------
    part : {"forward", "data_gradient", "weight_gradient"}
    a, b : array
        The pass's first two arguments: x and w, dy and w, or dy and x.
    g : Geometry

    Returns
    -------
    array of float64
        With the shape of the result.

    References
    ----------
    Higham (2002), Accuracy and Stability of Numerical Algorithms, section 3.1.
    """
    a, b = np.abs(a, dtype=np.float64), np.abs(b, dtype=np.float64)
    transforms = [np.abs(matrix) for matrix in _matrices(g, a.dtype)]
    (m, n), r = transforms[0].shape, g.kernel[0]
    if part == "weight_gradient":
        bound = _correlate_tiles(pad(b, g), a, transforms)
        count = len(a) * -(-g.out_height // m) * -(-g.out_width // m)
        roundings = 2 * n + 2 * m + 1 + count + 2 * (n + 1)
    else:
        x_pad, w = (pad(a, g), b) if part == "forward" else (pad_delta(a, g), rotate180(b))
        bound = _correlate(x_pad, w, transforms, ("", "", ""))
        roundings = 2 * n + 2 * (r + 1) + 1 + w.shape[2] + 2 * n
    bound *= roundings
    return bound


def _correlate(x_pad: Array, w: Array, transforms: list[Array], names: tuple[str, str, str]) -> Array:
    """Correlate padded images (N, H, W, C) with w (r, r, C, F): (N, H - r + 1, W - r + 1, F)."""
    at, g, bt = transforms
    (m, n), (images, height, width, _), filters = at.shape, x_pad.shape, w.shape[3]
    out = height - len(w) + 1, width - len(w) + 1
    x_tiles = _tiles(x_pad, out, m, n)  # (n, n, N, TY, TX, C)
    x_hat = _transformed(bt, x_tiles, names[0])  # (n, n, T, C)
    w_hat = _both(g, w)  # (n, n, C, F)
    record(f"{names[1]}_hat", w_hat)
    y_hat = x_hat @ w_hat  # (n, n, T, F)
    record(f"{names[2]}_hat", y_hat)
    y_tiles = _both(at, y_hat).reshape(m, m, *x_tiles.shape[2:5], filters)  # (m, m, N, TY, TX, F)
    y = y_tiles.transpose(2, 3, 0, 4, 1, 5).reshape(images, m * y_tiles.shape[3], m * y_tiles.shape[4], filters)
    return np.ascontiguousarray(y[:, : out[0], : out[1]])


def _correlate_tiles(x_pad: Array, dy: Array, transforms: list[Array]) -> Array:
    """Correlate padded images with delta, tile by tile: (r, r, C, F)."""
    at, g, bt = transforms
    (m, n), out = at.shape, dy.shape[1:3]
    x_hat = _transformed(bt, _tiles(x_pad, out, m, n), "x")  # (n, n, T, C)
    dy_hat = _transformed(at.T, _tiles(dy, out, m, m), "dy")  # (n, n, T, F)
    dw_hat = x_hat.transpose(0, 1, 3, 2) @ dy_hat  # (n, n, C, F)
    record("dw_hat", dw_hat)
    return _both(g.T, dw_hat)  # (r, r, C, F)


def _matrices(g: Geometry, dtype: np.dtype[Any]) -> list[Array]:
    """Return A', G and B' for the kernel's size, in this type."""
    r = g.kernel[0]
    return [matrix.astype(dtype) for matrix in matrices(OUTPUTS[r], r)]


def _tiles(a: Array, out: tuple[int, ...], m: int, size: int) -> Array:
    """Return what the tiles of m x m of `out` outputs see of images, size x size each, with zeros beyond the images.

    A view (size, size, N, TY, TX, C).
    """
    beyond = [(0, -(-count // m) * m - m + size - side) for count, side in zip(out, a.shape[1:3], strict=True)]
    whole = np.pad(a, ((0, 0), *beyond, (0, 0)))
    windows = sliding_window_view(whole, (size, size), axis=(1, 2))  # (N, starts, starts, C, size, size)
    return windows[:, ::m, ::m].transpose(4, 5, 0, 1, 2, 3)


def _transformed(matrix: Array, tiles: Array, name: str) -> Array:
    """Transform tiles (size, size, N, TY, TX, C) and count them along one axis: (n, n, T, C)."""
    record(f"{name}_tiles", tiles)
    n, count, channels = len(matrix), math.prod(tiles.shape[2:5]), tiles.shape[5]
    require(2 * n * n * count * channels * tiles.itemsize, "the transformed tiles")
    hat = _both(matrix, tiles).reshape(n, n, count, channels)
    record(f"{name}_hat", hat)
    return hat


def _both(matrix: Array, a: Array) -> Array:
    """Return matrix @ a @ matrix.T over the first two axes of a."""
    p, (i, j, *others) = len(matrix), a.shape
    rows = (matrix @ a.reshape(i, -1)).reshape(p, j, -1)  # (p, j, others)
    both: Array = (matrix @ rows).reshape(p, p, *others)
    return both
