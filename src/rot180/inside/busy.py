"""Whether other programs keep the processors busy, in which case timings do not describe this machine."""

from __future__ import annotations

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor

__all__ = ["BUSY", "share_of_others", "warning"]

BUSY = 0.15
"""The share of the processors above which timings are misleading."""
_BYTES = bytes(2**20)
_SECONDS = 0.06


def share_of_others(seconds: float = _SECONDS) -> float:
    """Return the share of all processors that this process did not get although it needed them, from 0 to 1.

    One thread per processor computes without the interpreter's lock; the time that the system gave them is
    compared with the elapsed time.

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
    """Return the warning for timings taken while others had this share; empty if none is needed.

    >>> warning(0.02), warning(0.4)
    ('', 'other programs use 40% of the processors: times are longer than when idle')
    """
    if share < BUSY:
        return ""
    return f"other programs use {100 * share:.0f}% of the processors: times are longer than when idle"
