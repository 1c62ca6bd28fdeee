"""Whether a step runs on all cores or on one: what was faster lately.

All threads of a kernel must be done before the next one starts. Where another program takes one of the cores, each of
some thirty kernels waits until the system lets that thread run again: a step of 1.3 ms was measured to take 290 ms on
two cores of which one was busy, and 4 ms on one of them. Very small networks are faster on one core anyway. As the
results do not depend on the number of threads, the engine is free to choose.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from time import perf_counter
from typing import Self

from rot180.engine.threads import apply_threads, chosen_threads

UNTIMED = 2
"""Runs of a plan that are not timed: kernels are loaded or compiled, buffers are touched for the first time."""
REMEMBERED = 64
"""Plans whose times are kept."""
PATIENCE = 1.0
"""Seconds after which the other number of threads is tried again."""
SHARE = 50
"""A try that took long is repeated after this many times its own time: at most 2% are spent on tries."""


class Governor:
    """Chooses between two numbers of threads by the time that each took.

    `with governor.running(plan)` around a run sets the threads and takes the time. Who has called `set_threads` has
    chosen already.

    Parameters
    ----------
    most : int
        All threads; with one there is nothing to choose.
    clock : callable
        Seconds.

    Examples
    --------
    >>> governor = Governor(2)
    >>> for _ in range(10):
    ...     count = governor.threads("a plan")
    ...     governor.took("a plan", count, 0.3 if count == 2 else 0.004)
    >>> governor.threads("a plan")
    1
    """

    def __init__(self, most: int, clock: Callable[[], float] = perf_counter) -> None:
        self._most, self._clock = most, clock
        self._current = most
        self._retry = 0.0
        self._runs: dict[Hashable, int] = {}
        self._seconds: dict[Hashable, dict[int, float]] = {}
        self._plan: Hashable = None
        self._now, self._began = most, 0.0

    def running(self, plan: Hashable) -> Self:
        """Return itself, for a `with` around one run of this plan."""
        self._plan = plan
        return self

    def __enter__(self) -> None:
        chosen = chosen_threads()
        self._now = self.threads(self._plan) if chosen is None else chosen
        apply_threads(self._now)
        self._began = 0.0 if chosen is not None or self._most == 1 else self._clock()

    def __exit__(self, kind: object, *_: object) -> None:
        if self._began and kind is None:
            self.took(self._plan, self._now, self._clock() - self._began)

    def threads(self, plan: Hashable) -> int:
        """Return how many threads the next run of this plan should take."""
        if self._most == 1 or self._runs.get(plan, 0) < UNTIMED:
            return self._current
        other = 1 if self._current != 1 else self._most
        seconds = self._seconds.setdefault(plan, {})
        if self._current in seconds and (other not in seconds or self._clock() >= self._retry):
            return other
        return self._current

    def took(self, plan: Hashable, threads: int, seconds: float) -> None:
        """Learn from a run."""
        if self._most == 1:
            return
        if len(self._runs) >= REMEMBERED and plan not in self._runs:
            self._runs.clear()
            self._seconds.clear()
        runs = self._runs[plan] = self._runs.get(plan, 0) + 1
        if runs <= UNTIMED:
            return
        known = self._seconds.setdefault(plan, {})
        is_try = threads != self._current
        known[threads] = seconds if is_try or threads not in known else 0.5 * (known[threads] + seconds)
        best = min(known, key=lambda count: (known[count], -count))
        now = self._clock()
        if is_try:
            self._retry = now + max(PATIENCE, SHARE * seconds)
        elif best != self._current:  # it became slow; perhaps for a moment only
            self._retry = now + max(0.02 * PATIENCE, 0.2 * SHARE * seconds)
        self._current = best
