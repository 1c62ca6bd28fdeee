"""The weight gradient of a convolution by minimal filtering (`rot180.ops.winograd` derives it).

    dw = G' [ sum over tiles of  (B' d B) * (A e A') ] G

d are the pixels that a tile of outputs sees, e is its delta. At each of the POINTS x POINTS points, the sum over tiles
is a matrix product, channels by filters, for the register tile: channels are its rows, filters its columns, and it sums
over the tiles of a block. A block is transformed, then multiplied while it is in the second-level cache and the next
one's pixels are prefetched. Channels and filters are in panels of a few registers: what is read together at a point
lies together.

Every sum follows the order of the tiles within one of the `parts` of a batch, and parts are added in their order: the
bits depend neither on the blocks nor on the threads. If there are too few parts for the threads, they share the panels
of channels, too, and each transforms delta for itself.

Tiles that are a single block are transformed once for all threads by `correlate_few_tiles`. It makes the sums of a
panel of channels and one of filters at all points, and finishes them while they are in the second-level cache: all sums
together, four times as large as the weights, may be larger than any cache.
"""

from __future__ import annotations

from typing import NamedTuple

from rot180.kernels.call import unpacked
from rot180.kernels.compiling import kernel, subroutine
from rot180.kernels.fetching import prefetch_to_write
from rot180.kernels.simd import advance, lanes, load, pointer, prefetch, splat, store
from rot180.kernels.team import split
from rot180.kernels.tile import TILE_VECTORS, tile
from rot180.kernels.winograd_transforms import DELTA, GRADIENT, IMAGE, POINTS, transform

LINE = 64
"""Bytes of a cache line."""
_ALL = POINTS * POINTS


class Field(NamedTuple):
    """Where the first tile begins in a buffer, and the pixels that may be read; zeros are taken for others."""

    first_row: int
    first_column: int
    top: int
    bottom: int
    left: int
    right: int


class TileSizes(NamedTuple):
    """The sizes of `correlate_tiles`."""

    taps: int
    """Rows of the kernel, and columns."""
    outputs: int
    """Rows of delta in a tile, and columns."""
    tile_rows: int
    """Of an image."""
    tile_columns: int
    parts: int
    """Parts of the batch that are summed separately."""
    shares: int
    """Shares of the channels that are computed independently."""
    blocks: int
    """Blocks of tiles in a part."""
    block: int
    """Tiles in a block; those beyond the last image are zero."""
    channel_registers: int
    """Registers of channels in a panel."""
    filter_registers: int
    rows: int
    """Channels in a register tile."""


@subroutine
def _tile_at(array, n, y, x, side, field, first, registers, pixel, cut):
    """Return the address of a tile's registers of channels from the `first` on, and 1 if it is in place.

    A tile that reaches beyond its field is copied to `cut` (side, side, pixel), with zeros.
    """
    N, H, W, C = array.shape
    L = lanes(array)
    top, bottom, left, right = field[2], field[3], field[4], field[5]
    if n < N and y >= top and y + side <= bottom and x >= left and x + side <= right:
        return pointer(array, ((n * H + y) * W + x) * C + first), 1
    for k in range(0, side * side * pixel, L):
        store(cut, k, splat(cut, 0.0))
    for i in range(max(0, top - y), min(side, bottom - y) if n < N else 0):
        for j in range(max(0, left - x), min(side, right - x)):
            source = pointer(array, ((n * H + y + i) * W + x + j) * C + first)
            for k in range(0, registers * L, L):
                store(cut, (i * side + j) * pixel + k, load(source, k))
    return cut, 0


@subroutine
def _to_points(address, array, first, last, which, begin, end, target, cut, fields, steps, s):
    """Write channels from `begin` to `end` of tiles of images (`which` 0) or delta (1), at their points, to panels."""
    L = lanes(array)
    registers = s.channel_registers if which == 0 else s.filter_registers
    side, what, taps = (POINTS, IMAGE, 3) if which == 0 else (s.outputs, DELTA, s.taps)
    width, field, panel = registers * L, fields[which], _ALL * steps[2 * which, 3]
    for c in range(begin, end, width):
        for t in range(first, last):
            n, tile = t // (s.tile_rows * s.tile_columns), t % (s.tile_rows * s.tile_columns)
            y, x = tile // s.tile_columns * s.outputs, tile % s.tile_columns * s.outputs
            count = (min(width, end - c) + L - 1) // L
            source, where = _tile_at(array, n, field[0] + y, field[1] + x, side, field, c, count, width, cut)
            to = advance(target, (c - begin) // width * panel + (t - first) * width)
            place = steps[2 * which + where]
            transform(address, taps, what, source, to, source, source, source, source, count, 0, 0, 0, place)


@subroutine
def _row_of(array, t, per_image, per_row, outputs, first_row):
    """Return the place of the first pixel of the row, from `first_row` on, in which tile t begins."""
    row = t // per_image * array.shape[1] + first_row + t % per_image // per_row * outputs
    return row * array.shape[2] * array.shape[3]


@subroutine
def _lines(array, length, count):
    """Return the elements of the cache lines that each of `count` shares of `length` elements has."""
    line = LINE // array.itemsize
    return (length + count * line - 1) // (count * line) * line


@subroutine
def _fetch(array, first, length, end):
    """Prefetch `length` elements from the `first` on, before `end`."""
    p = pointer(array, first)
    for k in range(0, min(length, end - first), LINE // array.itemsize):
        prefetch(p, k)


@subroutine
def _finish(transforms, taps, source, dw, place, count, steps):
    """Transform the sums of `count` filters to gradients, at one place of the innermost matrix of dw."""
    L = lanes(dw)
    target = pointer(dw, place)
    whole, part = count // L, count % L
    transform(transforms, taps, GRADIENT, source, target, source, source, source, source, whole, part, 0, 0, steps)


@kernel
def correlate_tiles(team, addresses, xp, delta, dw, images, deltas, sums, cuts, fields, steps, strides, sizes):
    """Correlate padded images with delta.

    Parameters
    ----------
    addresses : (2,) int64
        Of the compiled tile and of the compiled transforms.
    xp : (N, Hp, Wp, C)
        Padded images, with room for one register after their end.
    delta : (N, Hd, Wd, F)
        With room for one register after its end.
    dw : (taps, taps, C, F)
        Overwritten.
    images, deltas : (threads, room)
        A block of tiles: panels of channels or filters, points, tiles, channels or filters of the panel.
    sums : (parts, room)
        Panels of channels, panels of filters, points, channels, filters.
    cuts : (threads, room)
        A tile that reaches beyond its field.
    fields : (2, 6) int64
        A `Field` of xp, and one of delta.
    steps : (5, 6) int64
        The steps of `transform` for a tile of images: cut, in place; of delta: cut, in place; for the gradients.
    strides : from `tile_strides`
        k over the tiles of a block.
    sizes : (11,) int64, packed `TileSizes`
    """
    C, F = xp.shape[3], delta.shape[3]
    s = TileSizes(*unpacked(sizes, 11))
    taps, outputs, parts, shares, blocks, block, rows = s.taps, s.outputs, s.parts, s.shares, s.blocks, s.block, s.rows
    per_row, per_image = s.tile_columns, s.tile_rows * s.tile_columns
    L = lanes(xp)
    width_c, width_f = s.channel_registers * L, s.filter_registers * L
    panels_c, panels_f = (C + width_c - 1) // width_c, (F + width_f - 1) // width_f
    point_c, point_f, point = steps[0, 3], steps[2, 3], steps[4, 1]
    for unit in split(team, parts * shares):
        part, share = unit // shares, unit % shares
        first_panel = share * panels_c // shares
        panels = (share + 1) * panels_c // shares - first_panel
        first_c = first_panel * width_c
        thread = team.thread
        cut = pointer(cuts, thread * cuts.shape[1])
        own_images, own_deltas = pointer(images, thread * images.shape[1]), pointer(deltas, thread * deltas.shape[1])
        totals = pointer(sums, part * sums.shape[1])
        items = panels * panels_f
        products = 0
        for q in range(first_panel, first_panel + panels):
            products += (min(width_c, C - q * width_c) + rows - 1) // rows
        pairs = TILE_VECTORS * L
        products *= _ALL * (F // width_f * ((width_f + pairs - 1) // pairs) + (F % width_f + pairs - 1) // pairs)
        for b in range(blocks):
            first = (part * blocks + b) * block
            last, end = first + block, min(C, first_c + panels * width_c)
            _to_points(addresses[1], xp, first, last, 0, first_c, end, own_images, cut, fields, steps, s)
            _to_points(addresses[1], delta, first, last, 1, 0, F, own_deltas, cut, fields, steps, s)
            # The rows of pixels of the next block are fetched bit by bit, before each product.
            begin, end = first + block, first + (2 * block if b + 1 < blocks else block)
            x_at = _row_of(xp, begin, per_image, per_row, outputs, fields[0, 0] + POINTS - outputs)
            x_end = _row_of(xp, end, per_image, per_row, outputs, fields[0, 0] + POINTS - outputs)
            d_at = _row_of(delta, begin, per_image, per_row, outputs, fields[1, 0])
            d_end = _row_of(delta, end, per_image, per_row, outputs, fields[1, 0])
            x_step, d_step = _lines(xp, x_end - x_at, products), _lines(delta, d_end - d_at, products)
            for turn in range(items * _ALL):
                item, p = turn % items, turn // items
                q, r = item // panels_f, item % panels_f
                c, f = first_c + q * width_c, r * width_f
                channels, filters = min(width_c, C - c), min(width_f, F - f)
                place = (first_panel * panels_f + item) * _ALL * point
                for j in range(0, filters, TILE_VECTORS * L):
                    vectors = min(TILE_VECTORS, (filters - j + L - 1) // L)
                    for i in range(0, channels, rows):
                        _fetch(xp, x_at, x_step, x_end)
                        _fetch(delta, d_at, d_step, d_end)
                        x_at, d_at = x_at + x_step, d_at + d_step
                        after = place + p * point + (i + rows) * width_f + j
                        for k in range(rows):
                            for v in range(vectors):
                                prefetch(totals, after + k * width_f + v * L)
                        tile(
                            addresses[0], min(rows, channels - i), vectors,
                            advance(own_images, (q * _ALL + p) * point_c + i),
                            advance(own_deltas, (r * _ALL + p) * point_f + j),
                            advance(totals, place + p * point + i * width_f + j), 1, min(b, 1), strides,
                        )  # fmt: skip
    for c in split(team, C):
        for r in range(panels_f):
            f = r * width_f
            filters = min(width_f, F - f)
            source = pointer(sums, (c // width_c * panels_f + r) * _ALL * point + c % width_c * width_f)
            for p in range(_ALL if parts > 1 else 0):
                for k in range(p * point, p * point + filters, L):
                    total = load(source, k)
                    for part in range(1, parts):
                        total = total + load(source, part * sums.shape[1] + k)
                    store(source, k, total)
            _finish(addresses[1], taps, source, dw, c * F + f, filters, steps[4])


@kernel
def correlate_few_tiles(team, addresses, xp, delta, dw, images, deltas, sums, cuts, fields, steps, strides, sizes):
    """Correlate padded images with delta, for few tiles.

    Parameters are those of `correlate_tiles`, apart from

    images : (threads, room)
        One panel of channels.
    deltas : (1, room)
    sums : (threads, room)
        Points, channels and filters of one panel each.
    """
    C, F = xp.shape[3], delta.shape[3]
    s = TileSizes(*unpacked(sizes, 11))
    L = lanes(xp)
    width_c, width_f = s.channel_registers * L, s.filter_registers * L
    panels_c, panels_f = (C + width_c - 1) // width_c, (F + width_f - 1) // width_f
    point_c, point_f, point = steps[0, 3], steps[2, 3], steps[4, 1]
    for t in split(team, s.block):
        cut = pointer(cuts, team.thread * cuts.shape[1])
        _to_points(addresses[1], delta, t, t + 1, 1, 0, F, pointer(deltas, t * width_f), cut, fields, steps, s)
    for unit in split(team, panels_c * s.shares):
        q, share = unit // s.shares, unit % s.shares
        c = q * width_c
        channels = min(width_c, C - c)
        thread = team.thread
        own, totals = pointer(images, thread * images.shape[1]), pointer(sums, thread * sums.shape[1])
        cut = pointer(cuts, thread * cuts.shape[1])
        _to_points(addresses[1], xp, 0, s.block, 0, c, c + channels, own, cut, fields, steps, s)
        lines = s.taps * s.taps * channels
        for r in range(share * panels_f // s.shares, (share + 1) * panels_f // s.shares):
            f = r * width_f
            filters = min(width_f, F - f)
            for p in range(_ALL):
                for line in range(p * lines // _ALL, (p + 1) * lines // _ALL):
                    to = pointer(dw, (line // channels * C + c + line % channels) * F + f)
                    for k in range(0, filters, LINE // dw.itemsize):
                        prefetch_to_write(to, k)
                for j in range(0, filters, TILE_VECTORS * L):
                    for i in range(0, channels, s.rows):
                        tile(
                            addresses[0], min(s.rows, channels - i), min(TILE_VECTORS, (filters - j + L - 1) // L),
                            advance(own, p * point_c + i), pointer(deltas, (r * _ALL + p) * point_f + j),
                            advance(totals, p * point + i * width_f + j), 1, 0, strides,
                        )  # fmt: skip
            for i in range(channels):
                _finish(addresses[1], s.taps, advance(totals, i * width_f), dw, (c + i) * F + f, filters, steps[4])
