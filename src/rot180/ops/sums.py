"""Sums over images and pixels, as accurate as their type.

NumPy adds along leading axes row by row, and every addition rounds: a float32 sum of thousands of rows can lose four of
its seven digits. Here, numbers are added up in float64, and the sum is rounded once.
"""

from __future__ import annotations

import numpy as np

from rot180.ops.types import Array


def sum_over(x: Array, axes: int | tuple[int, ...], *, keepdims: bool = False) -> Array:
    """Return the sum over these axes, in x's type."""
    total: Array = x.sum(axes, dtype=np.float64, keepdims=keepdims).astype(x.dtype, copy=False)
    return total


def mean_over(x: Array, axes: int | tuple[int, ...], *, keepdims: bool = False) -> Array:
    """Return the mean over these axes, in x's type."""
    mean: Array = x.mean(axes, dtype=np.float64, keepdims=keepdims).astype(x.dtype, copy=False)
    return mean
