"""Convolution by minimal filtering, and with other operands its data gradient: tiles of points, multiplied as matrices.

    out[tile, f] = finish( A' [ sum over c of  (B' d[tile, c] B) * (G g[c, f] G') ] A )

`rot180.ops.winograd` derives it, `winograd_transforms` holds the transforms. At each of the 36 points the sum is a
matrix product, tiles times channels by channels times filters, and `tile` computes it.

`convolve_tiles` takes the tiles of a batch in blocks that stay in the second-level cache between the three steps. While
a block is multiplied, the pixels of the next and the lines of the output are fetched. The weights at the points are
four times as large as the weights. If there are few tiles, making and reading them would take longer than multiplying:
`convolve_few_tiles` transforms the weights of a block of filters where they are used, and keeps the whole batch at its
points instead. Both compute the same bits.
"""

from __future__ import annotations

from typing import NamedTuple

from rot180.kernels.call import unpacked
from rot180.kernels.compiling import kernel, subroutine
from rot180.kernels.processor import VECTOR_BYTES
from rot180.kernels.simd import advance, lanes, pointer, prefetch
from rot180.kernels.team import split
from rot180.kernels.tile import tile
from rot180.kernels.turning import turn
from rot180.kernels.winograd_transforms import ADD, ADD_GATE, GATE, IMAGE, POINTS, POOL, WEIGHTS, transform

LINE = 64
"""Bytes of a cache line. A tile's values at neighboring points are one line more than the others apart, or all of them
would fall together in the first-level cache."""
LINE_REGISTERS = LINE // VECTOR_BYTES
"""Registers that a cache line fills."""
AHEAD = 8
"""Channels ahead, whose weights are fetched: in memory, those of a block of filters are a few lines from each row."""
SIZES = 18
"""The number of sizes in `WinogradSizes`."""


class WinogradSizes(NamedTuple):
    """The sizes of a convolution by minimal filtering."""

    taps: int
    side: int
    """Outputs of a tile along one axis, before pooling."""
    step: int
    """Outputs of a tile along one axis, as they are written."""
    down: int
    """Tiles of an image, one below the other."""
    across: int
    rows: int
    """Of the output, as it is written."""
    columns: int
    first_row: int
    """Of the first tile in xp."""
    first_column: int
    top: int
    """Of the first pixel in out."""
    left: int
    other_top: int
    """Of the first pixel in other."""
    other_left: int
    block: int
    """Tiles that are at their points at the same time."""
    lot: int
    """Tiles that are multiplied at once."""
    width: int
    """Filters of a block."""
    chunk: int
    """Channels whose weights are transformed by one unit of work, or between two products."""
    turned: int
    """1 for a data gradient: the kernels are rotated, and their channels are the filters here."""


@subroutine
def place(index, s):
    """The image of tile `index`, and the tiles above it and to its left."""
    n = index // (s.down * s.across)
    index -= n * (s.down * s.across)
    return n, index // s.across, index % s.across


@subroutine
def element(array, n, row, column):
    """The first element of a pixel."""
    return ((n * array.shape[1] + row) * array.shape[2] + column) * array.shape[3]


@subroutine
def fetch(array, first, side, length):
    """Prefetch `length` channels of a square of pixels, from element `first` on."""
    pixel, step = array.shape[3], lanes(array) * LINE_REGISTERS
    for row in range(side):
        p = pointer(array, first + row * array.shape[2] * pixel)
        for x in range(side):
            for k in range(0, length, step):
                prefetch(p, x * pixel + k)


@subroutine
def transform_image(address, xp, index, to, s, steps):
    """Write a tile of pixels, at its points, to an address."""
    n, above, left = place(index, s)
    x = pointer(xp, element(xp, n, s.first_row + above * s.side, s.first_column + left * s.side))
    registers = (xp.shape[3] + lanes(xp) - 1) // lanes(xp)
    transform(address, 3, IMAGE, x, to, x, x, x, x, registers, 0, 0, 0, steps)


@subroutine
def transform_taps(address, w, begin, count, first, to, cut, s, steps):
    """Write the weights of channels from `begin` on, and of filters from `first` on, at their points, to an address."""
    C, F = w.shape[2], w.shape[3]
    L = lanes(w)
    registers = (min(s.width, (C if s.turned else F) - first) + L - 1) // L
    for c in range(count):
        if s.turned and c % L == 0:
            turn(w, begin + c, first, s.width, cut)
        g = advance(cut, c % L * s.width) if s.turned else pointer(w, (begin + c) * F + first)
        for tap in range(0 if s.turned else s.taps * s.taps):
            for k in range(0, s.width, L * LINE_REGISTERS):
                prefetch(g, (tap * C + AHEAD) * F + k)
        transform(address, s.taps, WEIGHTS, g, advance(to, c * s.width), g, g, g, g, registers, 0, 0, 0, steps)


@subroutine
def transform_output(address, what, products, index, out, other, places, scale, shift, bounds, first, s, steps):
    """Finish a tile of outputs of the filters from `first` on."""
    n, above, left = place(index, s)
    row, column = above * s.step, left * s.step
    filters = min(s.width, out.shape[3] - first)
    whole, part = filters // lanes(out), filters % lanes(out)
    to = pointer(out, element(out, n, s.top + row, s.left + column) + first)
    a, b, limits = pointer(scale, first), pointer(shift, first), pointer(bounds, 0)
    rows, columns = s.rows - row, s.columns - column
    if what == POOL:
        mark = pointer(places, element(places, n, row, column) + first)
        transform(address, s.taps, what, products, to, a, b, mark, limits, whole, part, rows, columns, steps)
    else:
        beside = pointer(other, element(other, n, s.other_top + row, s.other_left + column) + first)
        transform(address, s.taps, what, products, to, a, b, beside, limits, whole, part, rows, columns, steps)


@kernel
def transform_weights(team, address, w, u, cuts, steps, sizes):
    """Fill u (blocks, points, C*width + a line) from w, which has room for a register after its end.

    w is (KH, KW, C, F), or (KH, KW, F, C) to be turned; `cuts` (threads, KH*KW*lanes*width) is scratch for that.
    """
    s = WinogradSizes(*unpacked(sizes, SIZES))
    C, F = (w.shape[3], w.shape[2]) if s.turned else (w.shape[2], w.shape[3])
    blocks, chunks = (F + s.width - 1) // s.width, (C + s.chunk - 1) // s.chunk
    for unit in split(team, blocks * chunks):
        b, begin = unit // chunks, unit % chunks * s.chunk
        to = pointer(u, b * u.shape[1] * u.shape[2] + begin * s.width)
        cut = pointer(cuts, team.thread * cuts.shape[1])
        transform_taps(address, w, begin, min(s.chunk, C - begin), b * s.width, to, cut, s, steps[1])


@kernel
def convolve_tiles(
    team, addresses, xp, u, scale, shift, out, other, places, bounds, what, v, sums, strides, steps, sizes
):
    """Cross-correlate padded images with kernels, for many tiles.

    Parameters
    ----------
    addresses : (2,)
        Of the compiled tile and of the compiled transforms.
    xp : (N, Hp, Wp, C)
        Images with zeros around them, as far as whole tiles reach, and room for a register after the end.
    u : (blocks, points, C*width + a line)
        From `transform_weights`.
    scale, shift : (F,)
    out : (N, Ho, Wo, F)
    other : (N, Hg, Wg, F)
        What is added, or what outputs have to pass.
    places : (N, rows, columns, F) uint8
        For POOL: the places of maxima, or CLOSED.
    bounds : (2,)
        The smallest and the largest output.
    what : BIAS, ADD, GATE, ADD_GATE or POOL
        How an output is finished; see `winograd_transforms`.
    v : (threads, points, block*depth + a line)
        Scratch for the image; depth is C in whole registers.
    sums : (threads, points, block*width + a line)
        Scratch for the products.
    strides : (2, 10)
        From `tile_strides`.
    steps : (3, 6)
        Those of the transforms: image, weights, output.
    sizes : `WinogradSizes`
    """
    C, F = xp.shape[3], out.shape[3]
    s = WinogradSizes(*unpacked(sizes, SIZES))
    L, P, tiles = lanes(xp), POINTS * POINTS, xp.shape[0] * s.down * s.across
    depth, blocks = (C + L - 1) // L * L, (F + s.width - 1) // s.width
    inner_row, inner_column = s.first_row + POINTS - s.side, s.first_column + POINTS - s.side
    for unit in split(team, (tiles + s.block - 1) // s.block):
        first = unit * s.block
        count = min(s.block, tiles - first)
        points = pointer(v, team.thread * v.shape[1] * v.shape[2])
        products = pointer(sums, team.thread * sums.shape[1] * sums.shape[2])
        for t in range(count):
            transform_image(addresses[1], xp, first + t, advance(points, t * depth), s, steps[0])
        for b in range(blocks):
            filters = min(s.width, F - b * s.width)
            for p in range(P):
                part, parts = b * P + p, blocks * P
                for t in range(part * count // parts, (part + 1) * count // parts):
                    # A tile of the next block; what it shares with its neighbors is theirs to fetch.
                    n, above, left = place(min(first + s.block + t, tiles - 1), s)
                    row, column = inner_row + above * s.side, inner_column + left * s.side
                    fetch(xp, element(xp, n, row, column), s.side, C)
                for t in range(p * count // P, (p + 1) * count // P):
                    n, above, left = place(first + t, s)
                    row, column = above * s.step, left * s.step
                    fetch(out, element(out, n, s.top + row, s.left + column) + b * s.width, s.step, filters)
                    if what == ADD or what == GATE or what == ADD_GATE:
                        at = element(other, n, s.other_top + row, s.other_left + column)
                        fetch(other, at + b * s.width, s.step, filters)
                w = pointer(u, (b * P + p) * u.shape[2])
                for t in range(0, count, s.lot):
                    a, c = p * v.shape[2] + t * depth, p * sums.shape[2] + t * s.width
                    tile(
                        addresses[0], min(s.lot, count - t), (filters + L - 1) // L, advance(points, a), w,
                        advance(products, c), 1, 0, strides[0],
                    )  # fmt: skip
            for t in range(count):
                transform_output(
                    addresses[1], what, advance(products, t * s.width), first + t, out, other, places, scale, shift,
                    bounds, b * s.width, s, steps[2],
                )  # fmt: skip


@kernel
def convolve_few_tiles(
    team, addresses, xp, w, scale, shift, out, other, places, bounds, what, v, u, cuts, sums, strides, steps, sizes
):
    """Cross-correlate padded images with kernels, for few tiles and many weights.

    Parameters are those of `convolve_tiles`, apart from

    w, cuts
        The weights themselves, as for `transform_weights`.
    v : (1, points, tiles*depth + a line)
    u : (threads, points, chunk*width + a line)
        Scratch for some of the weights.
    sums : (threads, points, tiles*width + a line)
    strides : (2, 10)
        For a whole chunk of channels, and for the last one.
    """
    C, F = xp.shape[3], out.shape[3]
    s = WinogradSizes(*unpacked(sizes, SIZES))
    L, P, tiles = lanes(xp), POINTS * POINTS, xp.shape[0] * s.down * s.across
    depth = (C + L - 1) // L * L
    for t in split(team, tiles):
        transform_image(addresses[1], xp, t, pointer(v, t * depth), s, steps[0])
    for b in split(team, (F + s.width - 1) // s.width):
        first = b * s.width
        registers = (min(s.width, F - first) + L - 1) // L
        taps, cut = pointer(u, team.thread * u.shape[1] * u.shape[2]), pointer(cuts, team.thread * cuts.shape[1])
        products = pointer(sums, team.thread * sums.shape[1] * sums.shape[2])
        for begin in range(0, C, s.chunk):
            channels = min(s.chunk, C - begin)
            transform_taps(addresses[1], w, begin, channels, first, taps, cut, s, steps[1])
            walk = strides[0 if channels == s.chunk else 1]
            for p in range(P):
                for t in range(0, tiles, s.lot):
                    tile(
                        addresses[0], min(s.lot, tiles - t), registers,
                        pointer(v, p * v.shape[2] + t * depth + begin), advance(taps, p * u.shape[2]),
                        advance(products, p * sums.shape[2] + t * s.width), 1, min(begin, 1), walk,
                    )  # fmt: skip
        for t in range(tiles):
            transform_output(
                addresses[1], what, advance(products, t * s.width), t, out, other, places, scale, shift, bounds, first,
                s, steps[2],
            )  # fmt: skip
