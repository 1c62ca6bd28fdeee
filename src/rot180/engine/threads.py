"""How many cores the compiled kernels use."""

from __future__ import annotations

import os
import sys

from rot180.errors import ArgumentError

_threads: int | None = None


def set_threads(count: int) -> None:
    """Let the compiled kernels use `count` cores from now on. The results do not depend on it.

    Raises
    ------
    ArgumentError
        Less than one, or more than the process may use.

    Examples
    --------
    >>> set_threads(1)
    >>> threads()
    1
    """
    most = most_threads()
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= most:
        raise ArgumentError(
            f"threads must be a whole number from 1 to {most}, the cores of this process; it is {count!r} (more than "
            f"that only if NUMBA_NUM_THREADS is set before Python starts)"
        )
    global _threads
    _threads = count
    if "numba" in sys.modules:
        apply_threads()


def threads() -> int:
    """Return how many cores the compiled kernels use."""
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


def apply_threads() -> None:
    """Tell Numba, whose setting belongs to the calling thread."""
    if _threads is not None:
        from numba import set_num_threads

        set_num_threads(_threads)
