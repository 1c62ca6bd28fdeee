"""Threads that share a model take turns: its engines share its parameters, and a plan's buffers are there once."""

from __future__ import annotations

import os
from threading import Lock, RLock
from typing import Any
from weakref import WeakKeyDictionary

from rot180.kernels.turns import Running, refuse_after_fork
from rot180.nn.sequential import Sequential

_OF_MODELS: WeakKeyDictionary[Sequential, _Place] = WeakKeyDictionary()
_making = Lock()


class _Place:
    """Where the lock of a model is; a forked process puts a new one there."""

    def __init__(self) -> None:
        self.lock: Any = RLock()


class Turn:
    """Held while an engine works on its model.

    >>> from rot180.nn import network
    >>> with Turn(network("2 > fc2")):
    ...     "nobody else runs this model"
    'nobody else runs this model'
    """

    def __init__(self, model: Sequential) -> None:
        with _making:
            self._place = _OF_MODELS.setdefault(model, _Place())
        self._running = Running()

    def __enter__(self) -> None:
        refuse_after_fork()
        self._place.lock.acquire()
        try:
            self._running.__enter__()
        except BaseException:
            self._place.lock.release()
            raise

    def __exit__(self, *_: object) -> None:
        self._running.__exit__()
        self._place.lock.release()


def _after_fork() -> None:
    """A thread that held a lock, or was about to make one, stayed behind."""
    global _making
    _making = Lock()
    for place in _OF_MODELS.values():
        place.lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
