"""A memory budget that threads share: a thread that needs a lot of memory waits until enough is free."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

DECODING = 224 * 1024**2
"""Bytes that all threads together may use to decode images."""

SMALL = 4 * 1024**2
"""Smaller amounts are not counted: eight threads then use no more than the remaining part of 256 MB."""


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
        """Wait until this many bytes are free, then hold them; the count must not exceed the total."""
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
"""The budget of all image decoders in this process."""
