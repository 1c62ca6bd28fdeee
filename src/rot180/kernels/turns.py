"""Which threads and processes may run compiled kernels, and when.

Kernels may run at the same time in several threads if Numba's threading layer allows it: OpenMP and TBB do; the work
queue that Numba provides for systems without them aborts the process.

GNU's OpenMP does not survive a fork: it ends the child at its first kernel, and a process that waits for the child
would not learn why.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import Any

from numba import threading_layer

from rot180.errors import Rot180Error
from rot180.files import system

_everybody = RLock()
_overlapping_is_safe = False
_forked_too_late = False


class Running:
    """A lock held while kernels run; the thread that holds it may enter it again.

    >>> with Running():
    ...     "no kernel of another thread can end this process"
    'no kernel of another thread can end this process'
    """

    def __init__(self) -> None:
        self._held: list[Any] = []

    def __enter__(self) -> None:
        refuse_after_fork()
        lock = None if _overlapping_is_safe or _find_out() else _everybody
        if lock is not None:
            lock.acquire()
        self._held.append(lock)

    def __exit__(self, *_: object) -> None:
        lock = self._held.pop()
        if lock is not None:
            lock.release()


def running(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with its calls inside `Running`."""

    @wraps(function)
    def guarded(*arguments: Any, **keywords: Any) -> Any:
        with Running():
            return function(*arguments, **keywords)

    return guarded


def refuse_after_fork() -> None:
    """Raise Rot180Error in a process that OpenMP would abort."""
    if _forked_too_late:
        raise Rot180Error(
            "this process was forked from one that had run compiled kernels, which OpenMP does not survive; start "
            "it with multiprocessing's 'spawn', or use engine='numpy'"
        )


def _layer() -> str:
    """Return Numba's threading layer, which is known once it has been used."""
    try:
        return str(threading_layer())
    except ValueError:
        return ""


def _find_out() -> bool:
    global _overlapping_is_safe
    _overlapping_is_safe = _layer() in ("omp", "tbb")
    return _overlapping_is_safe


def _after_fork() -> None:
    global _everybody, _forked_too_late
    _everybody = RLock()  # a thread that held it does not exist in the child
    _forked_too_late = _layer() == "omp" and not system.openmp_survives_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
