"""Weights in the order that the kernels read them in.

The tile reads `width` = TILE_VECTORS registers of filters side by side, row after row of the window: a panel. Filters
that do not fill the last panel are padded with zeros there. A kernel that takes the weights in place finds the next
cell or the next parameter in these lanes; the sums over them are never stored.

    panels[g, b, (u, v, c), j]  = w[u, v, c, g*Fg + b*width + j]              forward
    rotated[g, b, (u, v, f), j] = w[KH-1-u, KW-1-v, b*width + j, g*Fg + f]    data gradient: kernel rotated by 180
                                                                              degrees, channel axes exchanged
    rows[f, u, (v, c)]          = w[u, v, c, f]                               filter by filter, for the winners

Few filters leave most of a register empty. Then q neighboring pixels share one: a wider window that advances by q
pixels, with q times the filters, each a shifted copy of w.

    folded[(u, t, c), (r, f)]   = w[u, t - r*s, c, f]  or zero                t < KW + (q-1)*s, r < q

The weight gradient has the same order, and its copies are added.
"""

from __future__ import annotations

from rot180.kernels.compiling import kernel
from rot180.kernels.parts import read, write
from rot180.kernels.simd import lanes, load, pointer, splat
from rot180.kernels.team import split

_SQUARE = 16
"""Side length of the blocks in which arrays are transposed: source and target fit the first-level cache."""


@kernel
def pack_panels(team, w, panels):
    """Fill panels (G, blocks, KH*KW*Cg, width) from w (KH, KW, Cg, F)."""
    F = w.shape[3]
    G, blocks, rows, width = panels.shape
    Fg = F // G
    L = lanes(w)
    for row in split(team, rows):
        for g in range(G):
            for b in range(blocks):
                p = pointer(w, row * F + g * Fg + b * width)
                q = pointer(panels, ((g * blocks + b) * rows + row) * width)
                for j in range(0, width, L):
                    count = min(L, Fg - b * width - j)
                    write(q, j, read(p, j, count) if count > 0 else splat(p, 0.0), L)


@kernel
def pack_folded(team, w, scale, shift, q, stride, panels, scales, shifts):
    """Fill panels (1, 1, KH*(KW + (q-1)*stride)*C, width) from w (KH, KW, C, F), and repeat (F,) numbers in (q*F,).

    Cells that belong to no weight are not written: they are zero from the start.
    """
    KH, KW, C, F = w.shape
    wide = KW + (q - 1) * stride
    for u in split(team, KH):
        for r in range(q):
            for v in range(KW):
                for c in range(C):
                    for f in range(F):
                        panels[0, 0, (u * wide + v + r * stride) * C + c, r * F + f] = w[u, v, c, f]
    for r in split(team, q):
        for f in range(F):
            scales[r * F + f] = scale[f]
            shifts[r * F + f] = shift[f]


@kernel
def add_up(team, sums, q, stride, groups, dw):
    """Fill dw (KH, KW, Cg, F) from the sums (parts, KH*(KW + (q-1)*stride)*Cg, Fp) of parts of a batch.

        dw[u, v, c, f] = sum over parts and r < q of sums[part, (u, v + r*stride, c), (r, f)]

    Every shifted copy of a weight contributes. Fp is q*F rounded up to whole registers; with groups, q is 1, and each
    group's filters are rounded up; there is room for a register after the end.
    """
    KH, KW, C, F = dw.shape
    parts, cells, row = sums.shape
    wide, Fg, padded = KW + (q - 1) * stride, F // groups, row // groups
    L = lanes(dw)
    for u in split(team, KH):
        for v in range(KW):
            for c in range(C):
                for g in range(groups):
                    to = pointer(dw, ((u * KW + v) * C + c) * F + g * Fg)
                    for f in range(0, Fg, L):
                        total = splat(to, 0.0)
                        for part in range(parts):
                            for r in range(q):
                                cell = (part * cells + (u * wide + v + r * stride) * C + c) * row
                                total = total + load(pointer(sums, cell + g * padded + r * F), f)
                        write(to, f, total, min(L, Fg - f))


@kernel
def pack_rotated(team, w, cells, panels):
    """Fill panels (G, blocks, cells*Fg, width) from w (KH, KW, Cg, F), with its channel axes exchanged.

    `cells` (KH*KW, 2) lists rows and columns of w in the order of the panels; for a rotated kernel, the last is first.
    """
    Cg, F = w.shape[2], w.shape[3]
    G, blocks, _, width = panels.shape
    Fg = F // G
    for cell in split(team, cells.shape[0]):
        u, v = cells[cell, 0], cells[cell, 1]
        for g in range(G):
            for b in range(blocks):
                count = min(width, Cg - b * width)
                for j in range(count):
                    for f in range(Fg):
                        panels[g, b, cell * Fg + f, j] = w[u, v, b * width + j, g * Fg + f]
                for f in range(Fg):
                    for j in range(count, width):
                        panels[g, b, cell * Fg + f, j] = 0


@kernel
def pack_rows(team, w, rows):
    """Fill rows (F, KH, length) with length >= KW*C from w (KH, KW, C, F); what is beyond KW*C is not changed."""
    KH, KW, C, F = w.shape
    for tap in split(team, KH * KW):
        u, v = tap // KW, tap % KW
        for first_c in range(0, C, _SQUARE):
            for first_f in range(0, F, _SQUARE):
                for f in range(first_f, min(F, first_f + _SQUARE)):
                    for c in range(first_c, min(C, first_c + _SQUARE)):
                        rows[f, u, v * C + c] = w[u, v, c, f]


@kernel
def frame_weights(team, w, framed, top, left):
    """Fill framed (rows, length) with w (KH, KW, C, F), one filter after the other, from cell `left` of KH rows each.

    What lies around them is not changed: `top` rows above each filter, and below the last.
    """
    KH, KW, C, F = w.shape
    for u in split(team, KH):
        for f in range(F):
            for v in range(KW):
                for c in range(C):
                    framed[f * (KH + top) + top + u, left + v * C + c] = w[u, v, c, f]


@kernel
def unpack_rows(team, rows, w):
    """Undo `pack_rows`."""
    KH, KW, C, F = w.shape
    for tap in split(team, KH * KW):
        u, v = tap // KW, tap % KW
        for first_c in range(0, C, _SQUARE):
            for first_f in range(0, F, _SQUARE):
                for c in range(first_c, min(C, first_c + _SQUARE)):
                    for f in range(first_f, min(F, first_f + _SQUARE)):
                        w[u, v, c, f] = rows[f, u, v * C + c]
