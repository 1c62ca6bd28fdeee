"""Rows collected block by block without ever holding them twice, and divided without a second copy.

Concatenating a list of blocks at the end needs twice the memory of the images, and so does selecting every fifth image
with a mask. Here an array is enlarged in place, and emptied from its end while others are filled: the system provides
memory for pages when they are first written, and reclaims it when an array shrinks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rot180.ops.types import Array

PIECE = 16 * 1024**2
"""Bytes that are copied at a time."""


class Growing:
    """An array (N, ...) that rows are added to; its dtype is widened if theirs requires it.

    >>> rows = Growing((2,))
    >>> rows.add(np.array([[1, 2]], np.uint8))
    >>> rows.add(np.array([[3, 400]], np.uint16))
    >>> rows.finish()
    array([[  1,   2],
           [  3, 400]], dtype=uint16)
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any = np.uint8) -> None:
        self._rows, self.count = np.empty((0, *shape), dtype), 0

    @property
    def nbytes(self) -> int:
        """Bytes in the rows added so far."""
        return self.count * int(np.prod(self._rows.shape[1:])) * self._rows.itemsize

    def add(self, rows: Array) -> None:
        """Add rows (K, ...)."""
        wide = np.result_type(self._rows.dtype, rows.dtype)
        if self._rows.dtype != wide:
            self._resize(self.count)
            self._rows = converted(self._rows, lambda some: some.astype(wide))
        end = self.count + len(rows)
        if end > len(self._rows):
            self._resize(max(end, self.count * 9 // 8))
        self._rows[self.count : end] = rows
        self.count = end

    def finish(self) -> Array:
        """Return the rows; nothing can be added afterwards."""
        self._resize(self.count)
        return self._rows

    def _resize(self, count: int) -> None:
        # In place: for a large array, the system remaps the pages and copies nothing.
        self._rows.resize((count, *self._rows.shape[1:]), refcheck=False)


def divide(rows: Array, mask: Array) -> tuple[Array, Array]:
    """Return the rows where the mask is false, and those where it is true.

    An array that owns its memory is emptied in the process and must not be used again.

    >>> divide(np.arange(5), np.array([False, True, False, False, True]))
    (array([0, 2, 3]), array([1, 4]))
    """
    parts = [np.empty((int(count), *rows.shape[1:]), rows.dtype) for count in (np.sum(~mask), np.sum(mask))]
    ends = [len(part) for part in parts]
    for start, stop in _pieces(rows):
        for which, part in enumerate(parts):
            chosen = rows[start:stop][mask[start:stop] == bool(which)]
            part[ends[which] - len(chosen) : ends[which]] = chosen
            ends[which] -= len(chosen)
        _shrink(rows, start)
    return parts[0], parts[1]


def converted(rows: Array, change: Callable[[Array], Array]) -> Array:
    """Apply a function to some rows at a time and return the results as one array.

    An array that owns its memory is emptied in the process and must not be used again.

    >>> converted(np.arange(3, dtype=np.uint8), lambda some: some / 2)
    array([0. , 0.5, 1. ])
    """
    first = change(rows[:1])
    found = np.empty((len(rows), *first.shape[1:]), first.dtype)
    for start, stop in _pieces(rows):
        found[start:stop] = change(rows[start:stop])
        _shrink(rows, start)
    return found


def _pieces(rows: Array) -> list[tuple[int, int]]:
    """Return the starts and ends of pieces of rows, last piece first."""
    step = max(1, PIECE // max(1, rows.nbytes // max(1, len(rows))))
    return [(start, min(start + step, len(rows))) for start in range(0, len(rows), step)][::-1]


def _shrink(rows: Array, count: int) -> None:
    if rows.flags.owndata and rows.flags.c_contiguous:
        rows.resize((count, *rows.shape[1:]), refcheck=False)
