"""One thread inside parallel jobs: joblib's jobs share the processors already.

The results do not depend on the number of threads, so only the time does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from joblib.parallel import get_active_backend

from rot180.engine.threads import chosen_threads, set_threads

_lock = Lock()
_running = 0
_before: int | None = None


def in_parallel_job() -> bool:
    """Return whether this code was called by a job of `joblib.Parallel` that may run beside others."""
    backend, _ = get_active_backend()
    return bool(backend.nesting_level)


@contextmanager
def one_thread_in_jobs() -> Iterator[None]:
    """Let the compiled kernels use one thread if this is a parallel job.

    The number of threads belongs to the process. Where jobs are threads of one process, it is restored when the last of
    them is done.
    """
    global _running, _before
    if not in_parallel_job():
        yield
        return
    with _lock:
        if not _running:
            _before = chosen_threads()
            set_threads(1)
        _running += 1
    try:
        yield
    finally:
        with _lock:
            _running -= 1
            if not _running:
                set_threads(_before)
