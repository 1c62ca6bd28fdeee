"""How many cores the compiled kernels use."""

from __future__ import annotations

import os
import sys

from rot180.errors import ArgumentError

_threads: int | None = None


def set_threads(count: int | None) -> None:
    """Let the compiled kernels use `count` cores from now on. The results do not depend on it.

    With None, as at the start, each engine chooses between all cores and one by what is faster.

    Raises
    ------
    ArgumentError
        Less than one, or more than the process may use.

    Examples
    --------
    >>> set_threads(1)
    >>> threads()
    1
    >>> set_threads(None)
    """
    global _threads
    if count is None:
        _threads = None
        return
    most = most_threads()
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= most:
        raise ArgumentError(
            f"threads must be a whole number from 1 to {most}, the cores of this process; it is {count!r} (more than "
            f"that only if NUMBA_NUM_THREADS is set before Python starts)"
        )
    _threads = count
    if "numba" in sys.modules:
        apply_threads(count)


def threads() -> int:
    """Return how many cores the compiled kernels use at most."""
    return most_threads() if _threads is None else _threads


def most_threads() -> int:
    """Return how many cores the kernels may use: NUMBA_NUM_THREADS, by default those that the system gives the process.

    Asked of Numba only if it has been imported already: that takes long.
    """
    if "numba" in sys.modules:
        from numba import config

        return int(config.NUMBA_NUM_THREADS)
    given = os.environ.get("NUMBA_NUM_THREADS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def chosen_threads() -> int | None:
    """Return what `set_threads` was told, if it was."""
    return _threads


def apply_threads(count: int) -> None:
    """Tell Numba, whose setting belongs to the calling thread."""
    sys.modules["numba"].set_num_threads(count)
