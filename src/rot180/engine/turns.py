"""Who may run compiled kernels when: threads that share a model take turns, and a forked process is refused in time.

Engines of one model share its parameters, and a plan's buffers are there once. Engines of different models may run at
the same time where Numba's threads allow it: OpenMP and TBB do, the work queue that Numba brings along for systems
without them ends the process.

GNU's OpenMP does not outlive a fork: it ends the child at its first kernel. What waits for the child would not be told
why.
"""

from __future__ import annotations

import os
from threading import Lock, RLock
from typing import Any
from weakref import WeakKeyDictionary

from numba import threading_layer

from rot180.errors import Rot180Error
from rot180.files import system
from rot180.nn.sequential import Sequential

_EVERYBODY = RLock()
_OF_MODELS: WeakKeyDictionary[Sequential, Any] = WeakKeyDictionary()
_MAKING = Lock()
_overlapping_is_safe = False
_forked_too_late = False


class Turn:
    """Held while an engine works on its model.

    >>> from rot180.nn import network
    >>> with Turn(network("2 > fc2")):
    ...     "nobody else runs this model"
    'nobody else runs this model'
    """

    def __init__(self, model: Sequential) -> None:
        with _MAKING:
            self._lock = _OF_MODELS.setdefault(model, RLock())
        self._held: list[bool] = []

    def __enter__(self) -> None:
        if _forked_too_late:
            raise Rot180Error(
                "this process was forked from one that had run compiled kernels, which OpenMP does not survive; start "
                "it with multiprocessing's 'spawn', or use engine='numpy'"
            )
        self._lock.acquire()
        alone = not _overlapping_is_safe and not _find_out()
        if alone:
            _EVERYBODY.acquire()
        self._held.append(alone)

    def __exit__(self, *_: object) -> None:
        if self._held.pop():
            _EVERYBODY.release()
        self._lock.release()


def _layer() -> str:
    """Numba's threads, known once they have been used."""
    try:
        return str(threading_layer())
    except ValueError:
        return ""


def _find_out() -> bool:
    global _overlapping_is_safe
    _overlapping_is_safe = _layer() in ("omp", "tbb")
    return _overlapping_is_safe


def _after_fork() -> None:
    global _forked_too_late
    _forked_too_late = _layer() == "omp" and not system.openmp_survives_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
