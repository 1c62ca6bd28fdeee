"""Test whether an array contains neither infinity nor NaN."""

from __future__ import annotations

from rot180.kernels.compiling import subroutine
from rot180.kernels.parts import read
from rot180.kernels.simd import lanes, pointer, splat, total


@subroutine
def all_finite(x):
    """Return whether all of a flat array is finite: x - x is 0 for every finite number and NaN for the others."""
    p = pointer(x, 0)
    size = x.shape[0]
    L = lanes(x)
    summed = splat(p, 0.0)
    for i in range(0, size, L):
        value = read(p, i, min(L, size - i))
        summed = summed + (value - value)
    return total(summed) == 0.0
