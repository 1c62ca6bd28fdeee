"""The data gradient of a convolution over few channels: multiply, then add the overlapping parts of a row.

    t[x, (v, c)]          = sum over u, f of  delta[n, r - u*d, x, f] * w[u, (v, c), f]
    dxp[n, r, x*s + v, c] = sum over x, v of  t[x, (v, c)]

As a convolution of delta with the rotated kernel, a tile's columns would be the channels of dx: six channels fill six
lanes of sixteen. Here they are the whole kernel row, KW*C. t is one row of what im2col would unfold; it stays in a
scratch array, with zeros around each part, so that a register of dx adds shifted reads of it and is written once.
"""

from __future__ import annotations

from typing import NamedTuple

from rot180.kernels.call import unpacked
from rot180.kernels.compiling import kernel
from rot180.kernels.parts import write
from rot180.kernels.simd import advance, lanes, load, pointer, splat
from rot180.kernels.team import split
from rot180.kernels.tile import tile


class FoldSizes(NamedTuple):
    """The sizes of `fold_data_gradient`."""

    top: int
    """Of delta in its buffer."""
    left: int
    OH: int
    OW: int
    stride_w: int
    dilation_h: int
    block: int
    """Pixels of a tile."""
    length: int
    """KW*C."""
    H: int
    W: int
    pad_top: int
    pad_left: int
    dx_top: int
    """Of the image in dx."""
    dx_left: int


@kernel
def pack_kernel_rows(team, w, panels):
    """Fill panels (blocks, KH, F, width) from w (KH, KW, C, F): panels[b, u, f, j] is w[u, (v, c) = b*width + j, f]."""
    KH, KW, C, F = w.shape
    width = panels.shape[3]
    for u in split(team, KH):
        for v in range(KW):
            for c in range(C):
                b, j = (v * C + c) // width, (v * C + c) % width
                for f in range(F):
                    panels[b, u, f, j] = w[u, v, c, f]


@kernel
def fold_data_gradient(team, address, delta, panels, dx, scratch, strides, sizes):
    """Add up the data gradient row by row; rows of windows must be adjacent (stride_h 1).

    delta : (N, Hd, Wd, F)
    panels : (blocks, KH, F, width) from `pack_kernel_rows`
    dx : (N, Ho, Wo, C)
    scratch : (threads, OW*(blocks*width + 2 registers)), zeros at the start
    strides : of the tile, j over kernel rows (delta's rows backwards), k over filters
    sizes : (14,) int64, packed `FoldSizes`
    """
    N, Hd, Wd, F = delta.shape
    blocks, KH, _, width = panels.shape
    C = dx.shape[3]
    named = FoldSizes(*unpacked(sizes, 14))
    top, left, OH, OW, H, W = named.top, named.left, named.OH, named.OW, named.H, named.W
    stride, dilation, block, length = named.stride_w, named.dilation_h, named.block, named.length
    pad_top, pad_left, to_top, to_left = named.pad_top, named.pad_left, named.dx_top, named.dx_left
    L = lanes(delta)
    piece = blocks * width + 2 * L
    shift = stride * C
    for row in split(team, N * H):
        n, r = row // H, row % H + pad_top
        s = pointer(scratch, team.thread * scratch.shape[1])
        first = max(0, (r - OH + dilation) // dilation)
        count = max(0, min(KH - 1, r // dilation) - first + 1)
        source = pointer(delta, ((n * Hd + top + r - first * dilation) * Wd + left) * F)
        for b in range(blocks):
            vectors = min(width // L, (length - b * width + L - 1) // L)
            for x in range(0, OW, block):
                tile(
                    address, min(block, OW - x), vectors, advance(source, x * F),
                    pointer(panels, (b * KH + first) * F * width), advance(s, x * piece + L + b * width), count, 0,
                    strides,
                )  # fmt: skip
        target = pointer(dx, ((n * dx.shape[1] + to_top + row % H) * dx.shape[2] + to_left) * C)
        for i in range(0, W * C, L):
            at = pad_left * C + i
            # Pieces x with x*shift - L < at < x*shift + length overlap this register.
            begin = max(0, (at - length + shift) // shift)
            end = min(OW, (at + L - 1) // shift + 1)
            total = splat(s, 0.0)
            for x in range(begin, end):
                total = total + load(s, x * piece + L + at - x * shift)
            write(target, i, total, min(L, W * C - i))
