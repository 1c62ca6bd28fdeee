"""Test whether an array contains neither infinity nor NaN."""

from __future__ import annotations

import numpy as np

from rot180.kernels.compiling import kernel
from rot180.kernels.launching import Launch
from rot180.kernels.parts import read
from rot180.kernels.simd import lanes, pointer, splat, total
from rot180.kernels.team import split
from rot180.ops.types import Array


@kernel
def look(team, x, found):
    """Write whether all of a flat array is finite: x - x is 0 for every finite number and NaN for the others."""
    for _ in split(team, 1):
        p = pointer(x, 0)
        size = x.shape[0]
        L = lanes(x)
        summed = splat(p, 0.0)
        for i in range(0, size, L):
            value = read(p, i, min(L, size - i))
            summed = summed + (value - value)
        found[0] = 1 if total(summed) == 0.0 else 0


class FiniteTest:
    """Tests an array as often as wanted; it must be contiguous.

    >>> x = np.zeros((3, 5))
    >>> is_finite = FiniteTest(x)
    >>> is_finite()
    True
    >>> x[1, 2] = np.nan
    >>> is_finite()
    False
    """

    def __init__(self, x: Array) -> None:
        self._found = np.zeros(1, np.int64)
        self._launch = Launch([(look, self.arguments(x, self._found))])

    @staticmethod
    def arguments(x: Array, found: Array) -> tuple[Array, Array]:
        """Return what the kernel takes for an array."""
        return x.reshape(-1), found

    def __call__(self) -> bool:
        """Return whether all numbers are finite."""
        self._launch.alone()
        return bool(self._found[0])
