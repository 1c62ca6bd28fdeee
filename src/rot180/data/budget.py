"""Memory that several threads share: whoever needs much of it waits until the others are done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

DECODING = 224 * 1024**2
"""Bytes that images may take while they are decoded, by all threads together."""

SMALL = 4 * 1024**2
"""Less than this is taken without asking: eight threads then hold no more than the rest of 256 MB."""


class Budget:
    """Bytes to share among threads.

    >>> budget = Budget(100)
    >>> with budget.holding(70):
    ...     budget.left
    30
    """

    def __init__(self, total: int) -> None:
        self.left = total
        self._changed = Condition()

    @contextmanager
    def holding(self, count: int) -> Iterator[None]:
        """Hold so many bytes, which may not exceed the total, from when they are left."""
        with self._changed:
            self._changed.wait_for(lambda: self.left >= count)
            self.left -= count
        try:
            yield
        finally:
            with self._changed:
                self.left += count
                self._changed.notify_all()


decoding = Budget(DECODING)
"""What all decoders of images in this process share."""
