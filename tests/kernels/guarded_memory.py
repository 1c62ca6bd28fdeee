"""Buffers between pages that may not be touched: whoever reads or writes outside ends the process.

Only half of the ends can lie at a page's border, so each buffer begins at one or ends at one, as drawn. What is left of
its pages is filled with NaN, which spreads into results where it is read, and is looked at where it may be written.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np

from rot180.kernels import memory

PAGE = mmap.PAGESIZE
POISON = 0xFF
"""Four or eight of it are a NaN."""


class GuardedMemory:
    """Makes arrays between forbidden pages, in place of NumPy."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._protect = ctypes.CDLL(None, use_errno=True).mprotect
        self._made: list[tuple[np.ndarray, int, int]] = []

    def _make(self, shape: Any, dtype: Any, alignment: int, tail: int) -> np.ndarray:
        dtype = np.dtype(dtype)
        shape = tuple(int(n) for n in shape) if np.iterable(shape) else (int(shape),)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        pages = -(-(size + tail) // PAGE) + 2
        whole = np.frombuffer(mmap.mmap(-1, pages * PAGE), np.uint8)
        for forbidden in (0, pages - 1):
            if self._protect(ctypes.c_void_p(whole.ctypes.data + forbidden * PAGE), PAGE, 0):
                raise OSError(ctypes.get_errno(), "mprotect")
        inner = whole[PAGE:-PAGE]
        inner[:] = POISON
        start = (len(inner) - size - tail) // alignment * alignment if self._rng.random() < 0.75 else 0
        inner[start + size : start + size + tail] = 0
        self._made.append((inner, start, start + size + tail))
        return inner[start : start + size].view(dtype).reshape(shape)

    def empty(self, shape: Any, dtype: Any = float, **_: Any) -> np.ndarray:
        """In place of np.empty."""
        return self._make(shape, dtype, np.dtype(dtype).itemsize, 0)

    def zeros(self, shape: Any, dtype: Any = float, **_: Any) -> np.ndarray:
        """In place of np.zeros."""
        array = self.empty(shape, dtype)
        array[...] = 0
        return array

    def copy(self, array: np.ndarray) -> np.ndarray:
        """The same values, guarded."""
        made = self.empty(array.shape, array.dtype)
        made[...] = array
        return made

    def aligned(self, shape: Any, dtype: Any = np.float32) -> np.ndarray:
        """In place of `kernels.memory.aligned`: with the room behind its end that kernels may read, but not write."""
        _aligned(shape, dtype)  # counts, and refuses what is too large
        array = self._make(shape, dtype, memory.ALIGNMENT, memory.SLACK)
        array[...] = 0
        return array

    def check(self) -> None:
        """Raise AssertionError where something was written beside the arrays; forget them."""
        made, self._made = self._made, []
        for inner, start, end in made:
            assert (inner[:start] == POISON).all(), "written before the beginning"
            assert (inner[end:] == POISON).all(), "written behind the end"

    @contextmanager
    def replacing_numpy(self) -> Iterator[None]:
        """Let the code in the `with` block get its arrays here."""
        with (
            mock.patch.object(np, "empty", self.empty),
            mock.patch.object(np, "zeros", self.zeros),
            mock.patch.object(np, "empty_like", lambda array: self.empty(array.shape, array.dtype)),
        ):
            yield


_aligned = memory.aligned


def guard_aligned(guarded: GuardedMemory) -> None:
    """Replace `aligned`; to be called before anything imports it by name."""
    memory.aligned = guarded.aligned
