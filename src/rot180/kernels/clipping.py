"""What clipping gradients by their norm needs: the sum of all squares, and a factor for all values."""

from __future__ import annotations

from rot180.kernels.compiling import kernel
from rot180.kernels.parts import read, write
from rot180.kernels.simd import fma, lanes, pointer, splat, total
from rot180.kernels.team import split

UNIT = 8_192
"""The number of values that one unit of work sums or scales."""


@kernel
def squares(team, x, sums):
    """Sum the squares of each unit of a flat array; the caller adds the float64 sums in their order."""
    size = x.shape[0]
    L = lanes(x)
    for unit in split(team, (size + UNIT - 1) // UNIT):
        first = unit * UNIT
        p = pointer(x, first)
        length = min(UNIT, size - first)
        # Four sums at a time: the processor need not wait for one addition after another, and each rounds less often.
        a, b, c, d = splat(p, 0.0), splat(p, 0.0), splat(p, 0.0), splat(p, 0.0)
        whole = length - length % (4 * L)
        for i in range(0, whole, 4 * L):
            v = read(p, i, L)
            a = fma(v, v, a)
            v = read(p, i + L, L)
            b = fma(v, v, b)
            v = read(p, i + 2 * L, L)
            c = fma(v, v, c)
            v = read(p, i + 3 * L, L)
            d = fma(v, v, d)
        for i in range(whole, length, L):
            v = read(p, i, min(L, length - i))
            a = fma(v, v, a)
        sums[unit] = total((a + b) + (c + d))


@kernel
def scale(team, x, factor):
    """Multiply a flat array by a number."""
    size = x.shape[0]
    L = lanes(x)
    for unit in split(team, (size + UNIT - 1) // UNIT):
        first = unit * UNIT
        p = pointer(x, first)
        length = min(UNIT, size - first)
        times = splat(p, factor)
        for i in range(0, length, L):
            part = min(L, length - i)
            write(p, i, times * read(p, i, part), part)
