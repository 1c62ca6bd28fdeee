"""How many cores the compiled kernels use."""

from __future__ import annotations

import os
import sys

from rot180.errors import ArgumentError
from rot180.parallel.start import cores

_threads: int | None = None


_LAUNCHING = "rot180.kernels.launching"


def set_threads(count: int | None) -> None:
    """Set the number of cores that the compiled kernels use. The results do not depend on it.

    With None, the default, each engine chooses between all cores and one, whichever is faster.

    Raises
    ------
    ArgumentError
        The count is less than one, or more than the process may use.

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
            f"threads must be an integer from 1 to {most}, the cores of this process; it is {count!r} (to use more, "
            f"set NUMBA_NUM_THREADS before Python starts)"
        )
    _threads = count
    if _LAUNCHING in sys.modules:
        apply_threads(count)


def threads() -> int:
    """Return the largest number of cores that the compiled kernels use."""
    return most_threads() if _threads is None else _threads


def most_threads() -> int:
    """Return how many cores the kernels may use: NUMBA_NUM_THREADS, by default the number available to the process.

    The kernels are only asked if they have been imported already: importing takes long.
    """
    if _LAUNCHING in sys.modules:
        return int(sys.modules[_LAUNCHING].most_threads())
    given = os.environ.get("NUMBA_NUM_THREADS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    return cores()


def chosen_threads() -> int | None:
    """Return the number given to `set_threads`, or None."""
    return _threads


def apply_threads(count: int) -> None:
    """Set the number of threads that the calling thread launches kernels with."""
    sys.modules[_LAUNCHING].use_threads(count)
