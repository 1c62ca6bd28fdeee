r"""Backward through max pooling and the convolution below it, visiting only the winners.

With max pooling each window passes its delta to one pixel and zero to the others, so three quarters (2x2) of the delta
that reaches the convolution are zero. Instead of spreading it over an image and correlating that, list for every image
n and filter f the winners: where their window starts in the padded image, and their delta g. Then

    dw[u, (v, c), f]            = sum over n and winners of  xp[start + u*row + (v, c)] * g
    dxp[start + u*row + (v, c)] = sum over f and winners of  w[u, (v, c), f] * g

A kernel row (v, c) is contiguous in the padded image and is read as registers. The first sum keeps a filter's dw in
registers while it loops over the winners, the second keeps the filter's weights there. Lists are split into bands of
pooled rows, so that the part of the image that a band touches stays in the first-level cache.

Some sums are made without lists, window by window: `gather_windows` computes the weight gradient of a first layer,
which passes no delta on and whose kernel rows are short, `spread_windows` the data gradient of a layer with few
weights.

Registers extend beyond the end of a kernel row; the sums there are never used, and the weights there are zeros.
"""

from __future__ import annotations

from rot180.kernels.compiling import kernel
from rot180.kernels.frame_tile import frame_tile
from rot180.kernels.pool_tile import CLOSED
from rot180.kernels.simd import lanes, load_part, pointer, splat, store, store_part, total
from rot180.kernels.team import split
from rot180.kernels.walk import walk
from rot180.kernels.winner_tile import winner_tile


@kernel
def list_winners(team, d, winners, offsets, values, counts, shifts, sizes):
    """List the winners of each group of images, band and filter.

    d : (N, Hd, Wd, F) delta of the pooled image, which starts at row top, column left
    winners : (N, PH, PW, F) uint8 from `convolve_pool`
    offsets : (groups, bands, F, most) int32, values : the same shape; filled
    counts : (groups, bands, F) uint32; filled. If they were signed, each use as an index would first be tested for its
        sign.
    shifts : (256,) int32, by place in a window: the offset of that place in the padded image
    sizes : (7,) int64: top, left, offset from one row of windows to the next, from one window to the next, from one
        image to the next; images of a group, rows of a band
    """
    N, PH, PW, F = winners.shape
    top, left, row_step, step, image = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]
    together, rows = sizes[5], sizes[6]
    groups, bands = offsets.shape[0], offsets.shape[1]
    for unit in split(team, groups * bands):
        group, band = unit // bands, unit % bands
        for f in range(F):
            counts[group, band, f] = 0
        for n in range(group * together, min((group + 1) * together, N)):
            for y in range(band * rows, min((band + 1) * rows, PH)):
                line = (n - group * together) * image + y * row_step
                for x in range(PW):
                    start = line + x * step
                    for f in range(F):
                        place = winners[n, y, x, f]
                        at = counts[group, band, f]
                        offsets[group, band, f, at] = start + shifts[place]
                        values[group, band, f, at] = d[n, top + y, left + x, f]
                        # Always written, but kept only if the winner passed the ReLU: no branch to predict.
                        counts[group, band, f] = at + (1 if place != CLOSED else 0)


@kernel
def gather_winners(team, address, xp, offsets, values, counts, rows, db, sizes):
    """The weight and bias gradients of some images, or what these add to the gradients of the images before.

    xp : (N, Hp, Wp, C) with room for one register after its end
    rows : (F, KH, length) dw, filter by filter as in `pack_rows`, length whole registers
    db : (F,)
    sizes : (9,) int64: elements between kernel rows in xp, offset of the first window, kernel rows and registers of a
        walk, registers of a kernel row, KH, images of a group, units; 0 to overwrite the gradients, 1 to add to them
    """
    groups, bands, F, most = offsets.shape
    row, first, r, j, registers, KH, together, units, adds = (
        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7], sizes[8],
    )  # fmt: skip
    size = together * xp.shape[1] * xp.shape[2] * xp.shape[3]
    length = rows.shape[2]
    L = lanes(xp)
    for unit in split(team, units):
        begin, end = unit * F // units, (unit + 1) * F // units
        p = pointer(rows, 0)
        zero = splat(p, 0.0)
        if adds == 0:
            for i in range(begin * KH * length, end * KH * length, L):
                store(p, i, zero)
            for f in range(begin, end):
                db[f] = 0
        for group in range(groups):
            for band in range(bands):
                for u in range(0, KH, r):
                    for q in range(0, registers, j):
                        x = pointer(xp, group * size + first + u * row + q * L)
                        for f in range(begin, end):
                            at = ((group * bands + band) * F + f) * most
                            walk(
                                address, min(r, KH - u), min(j, registers - q), x, row,
                                pointer(rows, (f * KH + u) * length + q * L), length,
                                pointer(offsets, at), pointer(values, at), counts[group, band, f],
                            )  # fmt: skip
                for f in range(begin, end):
                    at = pointer(values, ((group * bands + band) * F + f) * most)
                    count = counts[group, band, f]
                    summed = zero
                    for k in range(0, count, L):
                        summed = summed + load_part(at, k, min(L, count - k))
                    db[f] += total(summed)


@kernel
def scatter_winners(team, address, rows, offsets, values, counts, dxp, sizes):
    """The data gradient, in the padded layout of the images.

    rows : (F, KH, length) from `pack_rows`, zeros beyond KW*C
    dxp : (N, Hp, Wp, C) with room for one register after its end; overwritten
    sizes : as for `gather_winners`
    """
    groups, bands, F, most = offsets.shape
    row, first, r, j, registers, KH, together = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6]
    size = together * dxp.shape[1] * dxp.shape[2] * dxp.shape[3]
    length = rows.shape[2]
    L = lanes(dxp)
    for group in split(team, groups):
        p = pointer(dxp, group * size)
        cells = min(size, dxp.size - group * size)
        for i in range(0, cells, L):
            store_part(p, i, splat(p, 0.0), min(L, cells - i))
        for band in range(bands):
            for f in range(F):
                at = ((group * bands + band) * F + f) * most
                for u in range(0, KH, r):
                    for q in range(0, registers, j):
                        walk(
                            address, min(r, KH - u), min(j, registers - q),
                            pointer(dxp, group * size + first + u * row + q * L), row,
                            pointer(rows, (f * KH + u) * length + q * L), length,
                            pointer(offsets, at), pointer(values, at), counts[group, band, f],
                        )  # fmt: skip


@kernel
def spread_windows(team, address, framed, d, winners, places, dxp, steps, sizes):
    """The data gradient without lists, in the padded layout of the images.

    address : of the frame tile
    framed : (rows, length) from `frame_weights`
    d, winners : as above
    places : from `table_of_places`
    dxp : (N, Hp, Wp, C) with room for one register after its end; overwritten
    steps : from `frame_steps`
    sizes : (7,) int64: top, left, offset of the first window, from one row of windows to the next; rows and registers
        of a frame, and registers that are held at a time
    """
    N, PH, PW, F = winners.shape
    top, left, first, down = sizes[0], sizes[1], sizes[2], sizes[3]
    rows, registers, j = sizes[4], sizes[5], sizes[6]
    image = dxp.shape[1] * dxp.shape[2] * dxp.shape[3]
    L = lanes(dxp)
    for n in split(team, N):
        p = pointer(dxp, n * image)
        for i in range(0, image, L):
            store_part(p, i, splat(p, 0.0), min(L, image - i))
        for y in range(PH):
            for q in range(0, registers, j):
                frame_tile(
                    address, rows, min(j, registers - q), pointer(dxp, n * image + first + y * down + q * L),
                    pointer(framed, q * L), pointer(d, ((n * d.shape[1] + top + y) * d.shape[2] + left) * F),
                    pointer(winners, (n * PH + y) * PW * F), pointer(places, 0), PW, steps,
                )  # fmt: skip


@kernel
def gather_windows(team, address, xp, d, winners, places, sums, dw, db, steps, sizes):
    """The weight and bias gradients without lists, for kernel rows that fit a register.

    address : of the winner tile
    xp, d, winners : as above
    places : from `table_of_places`
    sums : (parts, F, KH + 1, length) the sums over parts of the batch, those for the bias last
    dw : (KH, KW, C, F)
    db : (F,)
    steps : from `window_steps`
    sizes : (5,) int64: top, left, offset of the first window, rows of windows that are visited together, and filters
    """
    N, PH, PW, F = winners.shape
    parts, _, rows, length = sums.shape
    KH, KW, C, _ = dw.shape
    top, left, first, band, together = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]
    image = xp.shape[1] * xp.shape[2] * xp.shape[3]
    for part in split(team, parts):
        for f in range(F):
            for u in range(rows):
                for v in range(length):
                    sums[part, f, u, v] = 0
        for n in range(part * N // parts, (part + 1) * N // parts):
            for y in range(0, PH, band):
                window = pointer(xp, n * image + first + y * steps[1])
                delta = ((n * d.shape[1] + top + y) * d.shape[2] + left) * F
                for f in range(0, F, together):
                    winner_tile(
                        address, KH, min(together, F - f), window, pointer(d, delta + f),
                        pointer(winners, (n * PH + y) * PW * F + f), pointer(places, 0),
                        pointer(sums, (part * F + f) * rows * length), min(band, PH - y), PW, steps,
                    )  # fmt: skip
    for f in split(team, F):
        for u in range(rows):
            for v in range(KW * C if u < KH else 1):
                summed = sums[0, f, u, v]
                for part in range(1, parts):
                    summed += sums[part, f, u, v]
                if u < KH:
                    dw[u, v // C, v % C, f] = summed
                else:
                    db[f] = summed
