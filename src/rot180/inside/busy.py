"""Whether other programs keep the processors busy: what is timed then says more about them than about this machine."""

from __future__ import annotations

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor

__all__ = ["BUSY", "share_of_others", "warning"]

BUSY = 0.15
"""A share of the processors from which times mislead."""
_BYTES = bytes(2**20)
_SECONDS = 0.06


def share_of_others(seconds: float = _SECONDS) -> float:
    """Return the share of all processors that this process did not get, from 0 to 1, although it wanted them.

    One thread for each processor computes without the interpreter's lock; the time that the system gave them is
    compared with the time that passed.

    Examples
    --------
    >>> 0 <= share_of_others(0.01) <= 1
    True
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def work(_: int) -> float:
        start, computed = time.perf_counter(), time.thread_time()
        while (passed := time.perf_counter() - start) < seconds:
            hashlib.sha256(_BYTES).digest()
        return (time.thread_time() - computed) / passed

    with ThreadPoolExecutor(count) as pool:
        shares = list(pool.map(work, range(count)))
    return min(max(1 - sum(shares) / count, 0.0), 1.0)


def warning(share: float) -> str:
    """Return what to say of times that were taken while others had this share; empty where there is nothing to say.

    >>> warning(0.02), warning(0.4)
    ('', 'others use 40% of the processors: times are larger than on an idle machine')
    """
    if share < BUSY:
        return ""
    return f"others use {100 * share:.0f}% of the processors: times are larger than on an idle machine"
