"""1x1 convolution as a matrix product: pixels times channels, times channels times filters.

    y[n, i, j, f]        = finish( sum over c of  x[n, i*s, j*s, c] * w[c, f] )
    dx[n, i*s, j*s, c]   = sum over f of  dy[n, i, j, f] * w[c, f]          the same with w transposed; else zero

Where neither map is padded and the stride is 1, the pixels of a batch are one long row: no tile is cut short by the end
of an image's row. A run of pixels is multiplied by one panel of filters after another, and stays in the second-level
cache with its result.
"""

from __future__ import annotations

from typing import NamedTuple

from rot180.kernels.call import unpacked
from rot180.kernels.compiling import kernel, subroutine
from rot180.kernels.fetching import prefetch_to_write
from rot180.kernels.parts import read, write
from rot180.kernels.product_tile import product_tile
from rot180.kernels.simd import advance, lanes, pointer, prefetch
from rot180.kernels.team import split
from rot180.kernels.tile import TILE_VECTORS

LINE = 64
"""Bytes of a cache line."""


class PointwiseSizes(NamedTuple):
    """The sizes of `pointwise`; distances are in elements."""

    images: int
    """1 where all pixels of a batch are one line."""
    lines: int
    """Of an image."""
    length: int
    """Pixels of a line."""
    x_first: int
    """Offset of the first pixel in x."""
    x_image: int
    """Distance from one image to the next, then from one line and from one pixel to the next."""
    x_line: int
    x_pixel: int
    y_first: int
    """The same in y."""
    y_image: int
    y_line: int
    y_pixel: int
    run: int
    """Pixels of a unit of work."""
    block: int
    """Pixels of a tile."""
    panels: int
    """Panels of a unit of work."""
    w_panel: int
    """Distance from one panel of w to the next."""
    other_first: int = 0
    """As in x."""
    other_image: int = 0
    other_line: int = 0
    other_pixel: int = 0


@subroutine
def multiply_run(
    address, source, step, pixels, block, begin, end, w, w_panel, scale, shift, limits, other, other_pixel, y, y_pixel,
    how, strides, upcoming, upcoming_size,
):  # fmt: skip
    """Multiply a run of pixels, `step` elements apart, by panels `begin` to `end` - 1 of the matrix.

    `source`, `other` and `y` point to their first pixels. While the first panel is multiplied, as many elements at
    `upcoming` as the run has are prefetched, if there are that many.
    """
    F = scale.size
    L = lanes(scale)
    width = TILE_VECTORS * L
    for b in range(begin, end):
        first = b * width
        part = min(width, F - first)
        vectors = (part + L - 1) // L
        for q in range(0, pixels, block):
            if b == begin:
                for i in range(q * step, min((q + block) * step, upcoming_size), LINE // scale.itemsize):
                    prefetch(upcoming, i)
            following = advance(y, (q + block) * y_pixel + first)
            for i in range(min(block, pixels - q - block)):
                prefetch_to_write(following, i * y_pixel)
                prefetch_to_write(following, i * y_pixel + L)
            # The next panel: with the first tile the first register of each row, then the second.
            fetched = (b + 1) * w_panel + (L if q > 0 else 0)
            product_tile(
                address, min(block, pixels - q), vectors, advance(source, q * step), pointer(w, b * w_panel),
                pointer(scale, first), pointer(shift, first), pointer(limits, 0),
                advance(other, q * other_pixel + first), advance(y, q * y_pixel + first),
                1, part - (vectors - 1) * L, how, pointer(w, fetched), strides,
            )  # fmt: skip


@kernel
def pointwise(team, address, x, w, scale, shift, limits, other, y, how, scratch, strides, sizes):
    """Multiply the pixels of x by a matrix.

    Parameters
    ----------
    address : int
        Address of the compiled product tile.
    x : (N, rows, columns, C)
    w : (1, blocks, C, width) or (1, 1, C, F)
        The matrix, from `pack_panels`, or for a data gradient from `pack_rotated`; or the weights in place, with room
        for a register after the end.
    scale, shift : (F,)
    limits : (2,)
        The smallest and the largest result.
    other, y : (N, rows, columns, F)
    how : int
        What becomes of the sums: one of `rot180.kernels.finishing`.
    scratch : (threads, run*(C + a register)), or (threads, 0)
        If there is room, pixels are copied to it first: a multiple of 4096 bytes apart, they would displace each other
        from the first-level cache.
    strides : from `product_strides`
    sizes : `PointwiseSizes`
    """
    C, F = x.shape[3], y.shape[3]
    s = PointwiseSizes(*unpacked(sizes, 19))
    L = lanes(x)
    width = TILE_VECTORS * L
    blocks = (F + width - 1) // width
    groups = (blocks + s.panels - 1) // s.panels
    runs = (s.length + s.run - 1) // s.run
    copies = scratch.shape[1] > 0
    for unit in split(team, s.images * s.lines * runs * groups):
        first_panel = unit % groups * s.panels
        begin = unit // groups % runs * s.run
        line = unit // (groups * runs)
        pixels = min(s.run, s.length - begin)
        x_at = s.x_first + line // s.lines * s.x_image + line % s.lines * s.x_line + begin * s.x_pixel
        source = pointer(x, x_at)
        target = s.y_first + line // s.lines * s.y_image + line % s.lines * s.y_line + begin * s.y_pixel
        beside = s.other_first + line // s.lines * s.other_image + line % s.lines * s.other_line
        beside += begin * s.other_pixel
        step = s.x_pixel
        if copies:
            step = C + L
            copied = pointer(scratch, team.thread * scratch.shape[1])
            for q in range(pixels):
                for c in range(0, C, L):
                    write(copied, q * step + c, read(source, q * s.x_pixel + c, min(L, C - c)), min(L, C - c))
            source = copied
        # The next pixels are prefetched; of the last run, those of the next line, wherever that begins.
        upcoming = x_at + s.block * s.x_pixel
        multiply_run(
            address, source, step, pixels, s.block, first_panel, min(blocks, first_panel + s.panels), w, s.w_panel,
            scale, shift, limits, pointer(other, beside), s.other_pixel, pointer(y, target), s.y_pixel, how, strides,
            pointer(x, upcoming), x.size - upcoming,
        )  # fmt: skip
