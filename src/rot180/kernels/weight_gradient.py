"""The weight gradient of a convolution: the correlation of its input with delta, as tiles.

    dw[u, (v, c), f] = sum over n, y, x of  xp[n, y*s + u*d, x*s + v*d, c] * delta[n, y, x, f]

For one kernel row u the cells (v, c) are contiguous in the padded image, so a tile takes up to TILE_ROWS of them as its
rows, two registers of filters as its columns, and sums over the pixels of a lot: some rows of an image, or some small
images. All tiles process one lot while it is in the second-level cache and the next one is prefetched; lots follow one
another and add to the sums so far. Every unit owns its cells of dw and sums in the same order whoever computes it. If
there are few units, parts of the batch are summed separately, so that all threads have the same work.
"""

from __future__ import annotations

from typing import NamedTuple

from rot180.kernels.call import unpacked
from rot180.kernels.compiling import kernel, subroutine
from rot180.kernels.simd import lanes, load, pointer, prefetch, splat, store
from rot180.kernels.team import split
from rot180.kernels.tile import TILE_VECTORS, tile

LOT_PIXELS = 512
"""Pixels that are summed over before a tile is stored: reloading it costs little compared with that."""
LOT_BYTES = 850_000
"""Bytes of images and delta, so that they stay in the second-level cache."""
FETCHED_LINES = 128
"""The most cache lines of the next lot that are prefetched before each tile: with many cores each has few tiles."""
MOST_PARTS, SMALL_BYTES = 4, 1 << 15
"""A gradient of at most this many bytes stays in the first-level cache; a copy per part of a batch costs nothing."""
LINE = 64
"""Bytes of a cache line."""


class CorrelationSizes(NamedTuple):
    """The sizes of `correlate`."""

    runs: int
    """Stretches of cells of the window that are contiguous in xp."""
    length: int
    """Cells of a run."""
    per_row: int
    """Runs within a kernel row."""
    dilation_h: int
    dilation_w: int
    first_row: int
    """Of the first window in xp."""
    first_column: int
    top: int
    """Of the first pixel of delta."""
    left: int
    groups: int
    block: int
    """Cells of a tile."""
    together: int
    """Images taken together, a divisor of their number."""
    units: int
    """Units of work of a part of the batch."""
    rows: int
    """Of delta."""
    stride: int
    """Of the rows of windows."""
    real: int
    """The first row of xp that is no padding: rows of delta whose window row is over padding are skipped."""
    beyond: int
    """The first row after it that is padding."""
    band: int
    """Rows of a lot: all of them if images are taken together."""
    step: int = 1
    """Rows of the buffer from one row of delta to the next."""


def lot(count: int, height: int, width: int, image_bytes: int) -> tuple[int, int]:
    """Return how many images a tile sums over before it is stored, a divisor of the batch, and how many rows of each.

    >>> lot(64, 8, 8, 205_000), lot(64, 16, 16, 300_000), lot(64, 32, 32, 600_000), lot(6, 8, 8, 50_000)
    ((4, 8), (2, 16), (1, 16), (6, 8))
    """
    pixels = height * width
    if pixels > LOT_PIXELS:
        bands = -(-height // max(1, LOT_PIXELS // max(1, width)))
        return 1, -(-height // bands)
    most = max(1, min(LOT_PIXELS // max(1, pixels), LOT_BYTES // image_bytes, count))
    return max(q for q in range(1, most + 1) if count % q == 0), height


def parts_of(lots: int, bytes_of_dw: int) -> int:
    """Return the number of parts that a batch of `lots` lots is split into, whose gradients are added at the end.

    >>> parts_of(16, 20_000), parts_of(3, 20_000), parts_of(16, 200_000)
    (4, 3, 1)
    """
    return min(MOST_PARTS, max(1, lots)) if bytes_of_dw <= SMALL_BYTES else 1


@subroutine
def _fetch(array, first, last, share, shares):
    """Prefetch this share of the elements from `first` to `last`, at most FETCHED_LINES."""
    line = LINE // array.itemsize
    lines = max(0, min(array.size, last) - first) // line
    begin = share * lines // shares
    p = pointer(array, first)
    for i in range(begin, min((share + 1) * lines // shares, begin + FETCHED_LINES)):
        prefetch(p, i * line)


@kernel
def correlate(team, address, xp, delta, dw, strides, sizes):
    """Correlate padded images with delta.

    Parameters
    ----------
    address : int
        Address of the compiled tile.
    xp : (N, Hp, Wp, C)
        Padded images.
    delta : (N, Hd, Wd, F)
        With room for one register after its end; `strides` and `sizes` select the pixels to sum over.
    dw : (parts, KH*KW*Cg, Fp)
        Fp is F rounded up to whole registers (with groups: Fg rounded up, group after group); overwritten. `add_up`
        makes one of the parts.
    strides : from `tile_strides`
        j over rows of delta, i over images that are taken together, k over columns.
    sizes : (19,) int64, packed `CorrelationSizes`
    """
    N, Hp, Wp, C = xp.shape
    _, Hd, Wd, F = delta.shape
    s = CorrelationSizes(*unpacked(sizes, 19))
    runs, length, per_row, dilation_h, dilation_w = s.runs, s.length, s.per_row, s.dilation_h, s.dilation_w
    first_row, first_column, real, beyond, stride = s.first_row, s.first_column, s.real, s.beyond, s.stride
    top, left, step, OH, band = s.top, s.left, s.step, s.rows, s.band
    groups, block, together, units = s.groups, s.block, s.together, s.units
    Cg, Fg = C // groups, F // groups
    L = lanes(xp)
    parts, cells, row = dw.shape
    padded = row // groups
    width = TILE_VECTORS * L
    columns = (padded + width - 1) // width
    pieces = (length + block - 1) // block
    tiles = groups * columns * runs * pieces
    bands = (OH + band - 1) // band
    lots = N // together * bands
    for unit in split(team, parts * units):
        part, share = unit // units, unit % units
        begin, end = share * tiles // units, (share + 1) * tiles // units
        first_lot = part * lots // parts
        for at in range(first_lot, (part + 1) * lots // parts):
            n, top_y = at // bands * together, at % bands * band
            next_n, next_y = (at + 1) // bands * together, (at + 1) % bands * band
            beyond_n, beyond_y = (at + 2) // bands * together, (at + 2) % bands * band
            next_x = (next_n * Hp + first_row + next_y * stride) * Wp * C
            beyond_x = (beyond_n * Hp + first_row + beyond_y * stride) * Wp * C
            next_delta = (next_n * Hd + top + next_y * step) * Wd * F
            beyond_delta = (beyond_n * Hd + top + beyond_y * step) * Wd * F
            for t in range(begin, end):
                column = t % columns
                piece = t // columns % pieces
                run = t // (columns * pieces) % runs
                g = t // (pieces * runs * columns)
                vectors = min(TILE_VECTORS, padded // L - column * TILE_VECTORS)
                rows = min(block, length - piece * block)
                u, v = run // per_row, run % per_row
                base = first_row + u * dilation_h
                y = max(top_y, (real - base + stride - 1) // stride)
                last = min(OH, top_y + band, (beyond - 1 - base) // stride + 1)
                a = ((n * Hp + base + y * stride) * Wp + first_column + v * dilation_w) * C + g * Cg
                b = ((n * Hd + top + y * step) * Wd + left) * F + g * Fg + column * width
                c = (part * cells + run * length + piece * block) * row + g * padded + column * width
                _fetch(xp, next_x, beyond_x, t - begin, end - begin)
                _fetch(delta, next_delta, beyond_delta, t - begin, end - begin)
                tile(
                    address, rows, vectors, pointer(xp, a + piece * block), pointer(delta, b), pointer(dw, c),
                    max(0, last - y), 1 if at > first_lot else 0, strides,
                )  # fmt: skip


@kernel
def bias_gradient(team, delta, sums, db, sizes):
    """db[f] = sum over images, rows and columns of delta.

    `sums` (parts, F rounded up to whole registers) receives the sums of parts of the batch; `sizes`: top, left, rows,
    columns, step_h, step_w.
    """
    N, Hd, Wd, F = delta.shape
    parts, padded = sums.shape
    top, left, OH, OW, step_h, step_w = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    L = lanes(delta)
    blocks = padded // L
    for unit in split(team, parts * blocks):
        part, first = unit // blocks, unit % blocks * L
        p = pointer(delta, first)
        zero = splat(p, 0.0)
        total = zero
        for n in range(part * N // parts, (part + 1) * N // parts):
            image = zero
            for y in range(OH):
                row = ((n * Hd + top + y * step_h) * Wd + left) * F
                # Four independent sums: a single one would wait for each addition.
                a, b, c, d = zero, zero, zero, zero
                for x in range(0, OW - 3, 4):
                    a = a + load(p, row + x * step_w * F)
                    b = b + load(p, row + (x + 1) * step_w * F)
                    c = c + load(p, row + (x + 2) * step_w * F)
                    d = d + load(p, row + (x + 3) * step_w * F)
                for x in range(OW // 4 * 4, OW):
                    a = a + load(p, row + x * step_w * F)
                image = image + ((a + b) + (c + d))
            total = total + image
        store(pointer(sums, part * padded + first), 0, total)
    for f in split(team, F):
        total_f = sums[0, f]
        for part in range(1, parts):
            total_f += sums[part, f]
        db[f] = total_f
