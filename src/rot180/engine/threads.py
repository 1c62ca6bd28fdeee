"""How many cores the compiled kernels use."""

from __future__ import annotations

import os

from rot180.errors import ArgumentError

_threads: int | None = None


def set_threads(count: int) -> None:
    """Let the compiled kernels use `count` cores from now on. The results do not depend on it.

    Raises
    ------
    ArgumentError
        Less than one, or more than the process was started for (NUMBA_NUM_THREADS, by default every core).
    """
    from numba import config

    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= config.NUMBA_NUM_THREADS:
        raise ArgumentError(
            f"threads must be from 1 to {config.NUMBA_NUM_THREADS}; it is {count!r} (set NUMBA_NUM_THREADS before the "
            f"start to allow more)"
        )
    global _threads
    _threads = count
    apply_threads()


def threads() -> int:
    """Return how many cores the kernels use."""
    if _threads is not None:
        return _threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def apply_threads() -> None:
    """Tell Numba, whose setting belongs to the calling thread."""
    if _threads is not None:
        from numba import set_num_threads

        set_num_threads(_threads)
