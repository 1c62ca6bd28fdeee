"""What clipping gradients by their norm needs: the sum of all squares, and a factor for all values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from rot180.kernels.compiling import kernel

UNIT = 8_192
"""The number of values that one unit of work sums or scales; the sums of units are added in order."""


@kernel
def squares(x, sums: np.ndarray[Any, np.dtype[np.float64]]):
    """Sum the squares of each unit in float64."""
    size = x.shape[0]
    for unit in prange(sums.shape[0]):
        first = unit * UNIT
        end = min(first + UNIT, size)
        # Eight sums at a time, each in the order of its values: the processor need not wait for one addition after
        # another.
        a = b = c = d = e = f = g = h = 0.0
        i = first
        while i + 8 <= end:
            a += np.float64(x[i]) * np.float64(x[i])
            b += np.float64(x[i + 1]) * np.float64(x[i + 1])
            c += np.float64(x[i + 2]) * np.float64(x[i + 2])
            d += np.float64(x[i + 3]) * np.float64(x[i + 3])
            e += np.float64(x[i + 4]) * np.float64(x[i + 4])
            f += np.float64(x[i + 5]) * np.float64(x[i + 5])
            g += np.float64(x[i + 6]) * np.float64(x[i + 6])
            h += np.float64(x[i + 7]) * np.float64(x[i + 7])
            i += 8
        while i < end:
            a += np.float64(x[i]) * np.float64(x[i])
            i += 1
        sums[unit] = ((a + b) + (c + d)) + ((e + f) + (g + h))


@kernel
def scale(x, factor):
    """Multiply a flat array."""
    size = x.shape[0]
    for unit in prange((size + UNIT - 1) // UNIT):
        for i in range(unit * UNIT, min((unit + 1) * UNIT, size)):
            x[i] *= factor
