"""The arguments of a kernel: their types, and the block of memory from which its entry takes them.

    void entry(thread, threads, shared, block)

All kernels have the same entry, so one compiled loop can run any list of them, without Python in between. In the block,
an array is the structure that Numba passes arrays in, and a number a word of its own; so an entry only loads them and
calls the kernel.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.ops.types import Array

WORDS_OF_ARRAY = 5
"""Two addresses of its owner, size, bytes of an element, and its address; shape and strides follow."""

Types = tuple[str, ...]
"""The types that a function is compiled for, spelled: f4:2 for a matrix of float32, f for a float, i for an integer."""


def type_of(value: Any) -> str:
    """Return the type that a kernel is compiled for to take this value: one for all arrays of an element type and rank.

    >>> type_of(np.zeros((2, 3), np.float32)), type_of(1)
    ('f4:2', 'i')

    Raises
    ------
    TypeError
        An array is not contiguous, or it is no array or number.
    """
    if isinstance(value, np.ndarray):
        if not value.flags.c_contiguous:
            raise TypeError(f"kernels take contiguous arrays; one has the shape {value.shape} and {value.strides}")
        return f"{value.dtype.str[1:]}:{value.ndim}"
    if isinstance(value, (bool, int, np.bool_, np.integer)):
        return "i"
    if isinstance(value, (float, np.floating)):
        return "f"
    raise TypeError(f"kernels take arrays and numbers, not {type(value).__name__}")


def words_of(value: Any) -> list[int]:
    """Return what stands for a value in a block."""
    if isinstance(value, np.ndarray):
        return [0, 0, value.size, value.itemsize, value.ctypes.data, *value.shape, *value.strides]
    if isinstance(value, (float, np.floating)):
        return [int(np.float64(value).view(np.int64))]
    return [int(value)]


def block_of(values: tuple[Any, ...]) -> Array:
    """Return the block of a kernel's arguments; it holds addresses of the arrays, which must be kept."""
    return np.array([word for value in values for word in words_of(value)], np.int64)
