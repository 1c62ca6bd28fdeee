"""Weights in the order in which the kernels read them.

The tile reads `width` = TILE_VECTORS registers of filters side by side, row after row of the window: a panel. Filters
that do not fill the last panel are zeros there, so no kernel needs to know.

    panels[g, b, (u, v, c), j]  = w[u, v, c, g*Fg + b*width + j]              forward
    rotated[g, b, (u, v, f), j] = w[KH-1-u, KW-1-v, b*width + j, g*Fg + f]    data gradient: kernel rotated by 180
                                                                              degrees, channel axes exchanged
    rows[f, u, (v, c)]          = w[u, v, c, f]                               filter by filter, for the winners
"""

from __future__ import annotations

from numba import njit, prange

from rot180.kernels.compiling import PARALLEL


@njit(**PARALLEL)
def pack_panels(w, panels):
    """Fill panels (G, blocks, KH*KW*Cg, width) from w (KH, KW, Cg, F)."""
    KH, KW, Cg, F = w.shape
    G, blocks, _, width = panels.shape
    Fg = F // G
    for row in prange(KH * KW * Cg):
        c = row % Cg
        v = (row // Cg) % KW
        u = row // (Cg * KW)
        for g in range(G):
            for b in range(blocks):
                count = min(width, Fg - b * width)
                for j in range(count):
                    panels[g, b, row, j] = w[u, v, c, g * Fg + b * width + j]
                for j in range(count, width):
                    panels[g, b, row, j] = 0


@njit(**PARALLEL)
def pack_rotated(w, panels):
    """Fill panels (G, blocks, KH*KW*Fg, width) from w (KH, KW, Cg, F), rotated, with its channel axes exchanged."""
    KH, KW, Cg, F = w.shape
    G, blocks, _, width = panels.shape
    Fg = F // G
    for tap in prange(KH * KW):
        u = KH - 1 - tap // KW
        v = KW - 1 - tap % KW
        for g in range(G):
            for b in range(blocks):
                count = min(width, Cg - b * width)
                for j in range(count):
                    for f in range(Fg):
                        panels[g, b, tap * Fg + f, j] = w[u, v, b * width + j, g * Fg + f]
                for f in range(Fg):
                    for j in range(count, width):
                        panels[g, b, tap * Fg + f, j] = 0


@njit(**PARALLEL)
def pack_rows(w, rows):
    """Fill rows (F, KH, length) with length >= KW*C from w (KH, KW, C, F); what is beyond KW*C stays as it is."""
    KH, KW, C, F = w.shape
    for u in prange(KH):
        for v in range(KW):
            for c in range(C):
                for f in range(F):
                    rows[f, u, v * C + c] = w[u, v, c, f]


@njit(**PARALLEL)
def unpack_rows(rows, w):
    """The way back from `pack_rows`."""
    KH, KW, C, F = w.shape
    for u in prange(KH):
        for v in range(KW):
            for c in range(C):
                for f in range(F):
                    w[u, v, c, f] = rows[f, u, v * C + c]
