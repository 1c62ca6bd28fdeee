"""Prefetching: batches are read, decoded and augmented while the model trains on the previous one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def read_ahead(make: Callable[[int], T], numbers: Iterable[int], *, workers: int, ahead: int = 2) -> Generator[T]:
    """Yield `make(number)` for each number, in order, computed ahead of time by threads.

    It uses threads because Pillow and NumPy release the interpreter lock while they work, and because nothing has to be
    copied between processes; no process is forked. The results are those of a plain loop, whatever the number of
    workers, as long as `make` depends only on its number. An exception is raised at its place in the order.

    Parameters
    ----------
    make : callable
    numbers : iterable of int
    workers : int
        Number of threads; with 0, the calling thread does the work on demand.
    ahead : int
        Number of finished results that each worker may hold, which bounds the memory.

    Examples
    --------
    >>> list(read_ahead(lambda number: number**2, range(5), workers=2))
    [0, 1, 4, 9, 16]
    """
    if workers < 1:
        yield from map(make, numbers)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="rot180-data")
    try:
        waiting: deque[Future[T]] = deque()
        for number in numbers:
            waiting.append(pool.submit(make, number))
            if len(waiting) > workers * ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # Also if the caller stops early: pending work is dropped, and running work is not waited for.
        pool.shutdown(wait=False, cancel_futures=True)
