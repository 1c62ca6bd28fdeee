"""A convolution with stride s as one with stride 1, over images of fewer pixels and more channels.

    y[n, i, j, f] = sum over u, v, c of  xp[n, i*s + u, j*s + v, c] * w[u, v, c, f]

With u = p*s + a and v = q*s + b, this is a convolution of ceil(K/s) x ceil(K/s) taps over s*s*C channels:

    deep[n, i, j, (a, b, c)]  =  xp[n, i*s + a, j*s + b, c]           space to depth
    taps[p, q, (a, b, c), f]  =  w[p*s + a, q*s + b, c, f]            zero beyond the kernel

So minimal filtering applies, and few channels fill a register.
"""

from __future__ import annotations

from rot180.kernels.compiling import kernel
from rot180.kernels.parts import read, write
from rot180.kernels.simd import lanes, pointer, splat
from rot180.kernels.team import split


@kernel
def space_to_depth(team, xp, deep, s, first_row, first_column):
    """Fill deep (N, H, W, s*s*C) from xp (N, Hp, Wp, C), from a row and a column on; zeros beyond its end."""
    _, Hp, Wp, C = xp.shape
    N, H, W, _ = deep.shape
    L, run = lanes(xp), s * C
    for unit in split(team, N * H):
        n, i = unit // H, unit % H
        for a in range(s):
            row = first_row + i * s + a
            for j in range(W):
                column = first_column + j * s
                there = min(s, Wp - column) * C if row < Hp else 0
                source = pointer(xp, ((n * Hp + row) * Wp + column) * C)
                target = pointer(deep, ((unit * W + j) * s + a) * run)
                for k in range(0, run, L):
                    value = read(source, k, min(L, there - k)) if k < there else splat(target, 0.0)
                    write(target, k, value, min(L, run - k))


@kernel
def spread_taps(team, w, taps, s):
    """Fill taps (r, r, s*s*C, F) from w (K, K, C, F)."""
    K, _, C, F = w.shape
    r = taps.shape[0]
    for p in split(team, r):
        for q in range(r):
            for cell in range(s * s * C):
                u, v, c = p * s + cell // (s * C), q * s + cell // C % s, cell % C
                for f in range(F):
                    taps[p, q, cell, f] = w[u, v, c, f] if u < K and v < K else 0


@kernel
def gather_taps(team, taps, w, s):
    """Undo `spread_taps`."""
    K, _, C, F = w.shape
    for u in split(team, K):
        for v in range(K):
            for c in range(C):
                for f in range(F):
                    w[u, v, c, f] = taps[u // s, v // s, (u % s * s + v % s) * C + c, f]
