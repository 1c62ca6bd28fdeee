"""Report intermediate arrays by name to a listener.

The reference path calls `record("x_col", x_col)` at each step. Without a listener that costs one look at a context
variable; with one (`with listening(listener): ...`) the listener receives every name and array in the order of
computation. The journey of a batch is read from here, so what is shown is what was computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rot180.ops.types import Array

Listener = Callable[[str, Array], None]

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def record(name: str, array: Array) -> None:
    """Pass a named intermediate array to the listener of this thread, if there is one."""
    listener = _listener.get()
    if listener is not None:
        listener(name, array)


def is_listening() -> bool:
    """Return whether this thread has a listener."""
    return _listener.get() is not None


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Pass what is recorded inside the `with` block to `listener(name, array)`.

    >>> import numpy as np
    >>> seen = []
    >>> with listening(lambda name, array: seen.append((name, array.shape))):
    ...     record("x_pad", np.zeros((1, 4, 4, 1)))
    >>> seen
    [('x_pad', (1, 4, 4, 1))]
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
