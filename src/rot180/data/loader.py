"""Work done ahead of whoever needs it: batches are read, decoded and altered while the one before is learned from."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def read_ahead(make: Callable[[int], T], numbers: Iterable[int], *, workers: int, ahead: int = 2) -> Generator[T]:
    """Yield `make(number)` for each number, in order, made by threads ahead of time.

    Threads, because Pillow and NumPy let others run while they work, and because nothing has to be copied between
    processes; no process is forked. What comes is what a plain loop would give, whatever the number of workers, as long
    as `make` depends on its number alone. An exception comes at its place in the order.

    Parameters
    ----------
    make : callable
    numbers : iterable of int
    workers : int
        Threads; with 0 the caller's own thread does the work when it asks.
    ahead : int
        Results that each worker may have waiting: what bounds the memory.

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
        # Also when the caller stops half-way: what has not begun is dropped, what has is not waited for.
        pool.shutdown(wait=False, cancel_futures=True)
