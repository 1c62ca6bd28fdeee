"""Threads that share a model take turns: engines share the parameters, and each plan has one set of buffers."""

from __future__ import annotations

import os
from threading import Lock, RLock
from typing import Any
from weakref import WeakKeyDictionary

from rot180.nn.network import Network

_OF_MODELS: WeakKeyDictionary[Network, _Place] = WeakKeyDictionary()
_making = Lock()


class _Place:
    """Holds the lock of a model; a forked process replaces it."""

    def __init__(self) -> None:
        self.lock: Any = RLock()


class ModelLock:
    """Held while an engine works on its model.

    >>> from rot180.nn import network
    >>> with ModelLock(network("2 > fc2")):
    ...     "no other thread runs this model"
    'no other thread runs this model'
    """

    def __init__(self, model: Network) -> None:
        with _making:
            self._place = _OF_MODELS.setdefault(model, _Place())

    def __enter__(self) -> None:
        self._place.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._place.lock.release()


def _after_fork() -> None:
    """Reset the locks: a thread that held one, or was about to create one, does not exist in the forked process."""
    global _making
    _making = Lock()
    for place in _OF_MODELS.values():
        place.lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
