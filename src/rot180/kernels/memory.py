"""Buffers as the kernels need them: aligned to a cache line, zeroed, with room after their end."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from rot180.memory import available_memory, require
from rot180.ops.types import Array

ALIGNMENT = 64
"""Bytes of a cache line and of the widest register. One kernel went from 1.37 to 0.85 ms with this alignment."""

SLACK = 4 * 64
"""Bytes after the end, where a tile may read a register that only begins inside."""


class Account:
    """The memory for buffers that are allocated together: the system provides it only when they are used."""

    def __init__(self) -> None:
        self.owner = "the network"
        """The purpose of the next buffers, with which messages begin."""
        self._left = available_memory()

    def take(self, size: int) -> None:
        """Count a buffer; raise TooLargeError if it is more than what is available."""
        require(size, self.owner, self._left)
        self._left -= size


_ACCOUNT: ContextVar[Account | None] = ContextVar("account", default=None)


@contextmanager
def accounting() -> Iterator[Account]:
    """Count all buffers allocated in the `with` block against the memory available at its start."""
    account = Account()
    token = _ACCOUNT.set(account)
    try:
        yield account
    finally:
        _ACCOUNT.reset(token)


def aligned(shape: int | tuple[int, ...], dtype: Any = np.float32) -> Array:
    """Allocate a zeroed array that starts on a cache line and has `SLACK` bytes of zeros after its end.

    Raises
    ------
    TooLargeError
        It would need more memory than is available.

    Examples
    --------
    >>> a = aligned((2, 3))
    >>> a.ctypes.data % 64, a.shape, float(a.sum())
    (0, (2, 3), 0.0)
    """
    size = math.prod(shape if isinstance(shape, tuple) else (shape,)) * np.dtype(dtype).itemsize
    account = _ACCOUNT.get()
    if account is None:
        require(size, "a buffer")
    else:
        account.take(size)
    raw = np.zeros(size + ALIGNMENT + SLACK, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)
