"""Arrays as the compiled kernels take them: one float type, contiguous, writable."""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.errors import ArgumentError
from rot180.ops.types import FLOATS, Array


def contiguous(array: Array, dtype: Any) -> Array:
    """Return the array itself if it is one already, else a copy (a read-only array would need another compilation).

    >>> a = np.arange(6.0).reshape(2, 3)
    >>> contiguous(a, np.float64) is a, contiguous(a.T, np.float64) is a
    (True, False)
    """
    return np.require(array, dtype, ["C", "W", "A"])


def float_type(name: str, **arrays: Array) -> np.dtype[Any]:
    """Return the type to compute in: float64 if any array is; types other than float32 and float64 are rejected.

    >>> float_type("relu", x=np.zeros(2, np.float32))
    dtype('float32')
    """
    for what, array in arrays.items():
        dtype = getattr(array, "dtype", None)
        if dtype is None or dtype not in FLOATS:
            came = dtype if dtype is not None else type(array).__name__
            raise ArgumentError(
                f"{name}: {what} must be a float32 or float64 array; it is {came}; "
                f"convert it with np.asarray({what}, np.float32)"
            )
    return np.result_type(*arrays.values())


def integers(*values: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the sizes that a kernel takes."""
    return np.array(values, np.int64)


def as_maps(array: Array) -> Array:
    """Return vectors (..., C) as maps (N, 1, 1, C); maps (N, H, W, C) unchanged.

    >>> as_maps(np.zeros((2, 3))).shape
    (2, 1, 1, 3)
    """
    return array if array.ndim == 4 else array.reshape(-1, 1, 1, array.shape[-1])
