r"""Max pooling and average pooling with any window, stride and padding, forward.

Every output reads the taps of its window inside the image: padding never wins and adds nothing. Registers run along
the channels.

Images may be the inside of padded buffers. `sizes` (16,) int64 are packed `WindowSizes`, from `pool_sizes`.
"""

from __future__ import annotations

from typing import NamedTuple

from rot180.kernels.call import packed, unpacked
from rot180.kernels.compiling import kernel, subroutine
from rot180.kernels.elementwise import NOTHING, UNIT, activate_row
from rot180.kernels.integers import store_integers
from rot180.kernels.parts import write
from rot180.kernels.simd import advance, lanes, load_part, pointer, select, splat, store_part
from rot180.kernels.team import split
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array


class WindowSizes(NamedTuple):
    """The sizes of pooling: x has the larger and y the smaller images, forward or backward."""

    H: int
    W: int
    x_top: int
    x_left: int
    OH: int
    OW: int
    y_top: int
    y_left: int
    KH: int
    KW: int
    stride_h: int
    stride_w: int
    pad_top: int
    pad_left: int
    H_end: int
    """The row of the image where the padding ends: what a window covers from there on does not count."""
    W_end: int


def pool_sizes(g: Geometry, x_place: tuple[int, int] = (0, 0), y_place: tuple[int, int] = (0, 0)) -> Array:
    """Return the sizes for the kernels; the places are the rows and columns where images begin in buffers."""
    (top, bottom), (left, right) = g.padding
    ends = g.height + bottom - g.beyond[0], g.width + right - g.beyond[1]
    outputs = g.out_height, g.out_width
    return packed(WindowSizes(g.height, g.width, *x_place, *outputs, *y_place, *g.kernel, *g.stride, top, left, *ends))


@subroutine
def equal_windows(j, OW, W, KW, stride, pad_left):
    """Return the image column where window j of a row begins, its first and last + 1 tap inside the image, and how many
    windows from it on have the same taps: all that are entirely inside, or only itself."""
    left = j * stride - pad_left
    if left < 0 or left + KW > W:
        return left, max(0, -left), min(KW, W - left), 1
    return left, 0, KW, min(OW, (W - KW + pad_left) // stride + 1) - j


@kernel
def max_pool(team, x, y, winners, sizes):
    """Take the largest pixel of each window; winners (N, OH, OW, C), of any integer type, gets u*KW + v of the first.

    NaN is larger than all else.
    """
    s = WindowSizes(*unpacked(sizes, 16))
    H, W, OH, OW, KH, KW, stride_h, stride_w = s.H, s.W, s.OH, s.OW, s.KH, s.KW, s.stride_h, s.stride_w
    x_top, x_left, y_top, y_left, pad_top, pad_left = s.x_top, s.x_left, s.y_top, s.y_left, s.pad_top, s.pad_left
    C = x.shape[3]
    line = x.shape[2] * C
    rows = x.shape[0] * OH
    run = max(1, UNIT // max(1, KH * W * C))
    L = lanes(x)
    for unit in split(team, (rows + run - 1) // run):
        for row in range(unit * run, min((unit + 1) * run, rows)):
            n, i = row // OH, row % OH
            top = i * stride_h - pad_top
            first_u, last_u = max(0, -top), min(KH, H - top)
            p = pointer(x, (n * x.shape[1] + x_top + top + first_u) * line + x_left * C)
            q = pointer(y, ((n * y.shape[1] + y_top + i) * y.shape[2] + y_left) * C)
            j = 0
            while j < OW:
                left, first_v, last_v, count = equal_windows(j, OW, W, KW, stride_w, pad_left)
                for c in range(0, C, L):
                    _largest(
                        advance(p, (left + first_v) * C + c), advance(q, j * C + c),
                        pointer(winners, (row * OW + j) * C + c), count, line, stride_w * C, C, last_u - first_u,
                        last_v - first_v, first_u * KW + first_v, KW, min(L, C - c),
                    )  # fmt: skip
                j += count


@subroutine
def _largest(p, q, w, count, line, step, C, high, wide, first_place, KW, part):
    """`count` windows of `high` rows and `wide` columns: write their largest pixels and the positions of these."""
    for j in range(count):
        best = load_part(p, j * step, part)
        place = splat(best, float(first_place))
        for u in range(high):
            for v in range(wide):
                value = load_part(p, j * step + u * line + v * C, part)
                # "Not greater or equal" instead of "less": a NaN takes the lead, and then keeps it.
                number = best == best
                stays = best >= value
                place = select(number, select(stays, place, splat(best, float(first_place + u * KW + v))), place)
                best = select(number, select(stays, best, value), best)
        write(q, j * C, best, part)
        store_integers(w, j * C, place, part)


@kernel
def avg_pool(team, x, y, count_include_pad, sizes, activation):
    """Take the mean of each window, of all KH*KW pixels or only of those inside the image.

    `activation` is applied to x first, in place; windows must then not overlap. It is NOTHING or a kind of `activate`.
    """
    s = WindowSizes(*unpacked(sizes, 16))
    H, W, OH, OW, KH, KW, stride_h, stride_w = s.H, s.W, s.OH, s.OW, s.KH, s.KW, s.stride_h, s.stride_w
    x_top, x_left, y_top, y_left, pad_top, pad_left = s.x_top, s.x_left, s.y_top, s.y_left, s.pad_top, s.pad_left
    H_end, W_end = s.H_end, s.W_end
    C = x.shape[3]
    line = x.shape[2] * C
    rows = x.shape[0] * OH
    run = max(1, UNIT // max(1, KH * W * C))
    L = lanes(x)
    for unit in split(team, (rows + run - 1) // run):
        for row in range(unit * run, min((unit + 1) * run, rows)):
            n, i = row // OH, row % OH
            top = i * stride_h - pad_top
            first_u, last_u = max(0, -top), min(KH, H - top)
            p = pointer(x, (n * x.shape[1] + x_top + top + first_u) * line + x_left * C)
            q = pointer(y, ((n * y.shape[1] + y_top + i) * y.shape[2] + y_left) * C)
            if activation != NOTHING:
                for u in range(last_u - first_u):
                    image_row = advance(p, u * line)
                    activate_row(activation, image_row, image_row, W * C, 0.0)
            j = 0
            while j < OW:
                left, first_v, last_v, count = equal_windows(j, OW, W, KW, stride_w, pad_left)
                high, wide = last_u - first_u, last_v - first_v
                pixels = min(KH, H_end - top) * min(KW, W_end - left) if count_include_pad else high * wide
                for c in range(0, C, L):
                    a, b = advance(p, (left + first_v) * C + c), advance(q, j * C + c)
                    divisor = splat(p, float(pixels))
                    if C - c >= L:
                        _mean(a, b, count, line, stride_w * C, C, high, wide, divisor, L)
                    else:
                        _mean(a, b, count, line, stride_w * C, C, high, wide, divisor, C - c)
                j += count


@subroutine
def _mean(p, q, count, line, step, C, high, wide, divisor, part):
    """`count` windows of `high` rows and `wide` columns: write the sums of their pixels, divided."""
    for j in range(count):
        summed = splat(p, 0.0)
        for u in range(high):
            for v in range(wide):
                summed = summed + load_part(p, j * step + u * line + v * C, part)
        store_part(q, j * C, summed / divisor, part)
