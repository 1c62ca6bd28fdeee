"""Choose whether a step runs on all cores or on one, by which was faster recently.

Very small networks are faster on one core. And if another program occupies one of the cores, the thread there may be
stopped while it has units of a kernel, for which all others wait. Since the results do not depend on the number of
threads, the engine is free to choose.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Self

from rot180.engine.threads import apply_threads, chosen_threads

UNTIMED = 2
"""Runs of a plan that are not timed: kernels are loaded or compiled, and buffers are touched for the first time."""
REMEMBERED = 64
"""The number of plans whose times are kept."""
PATIENCE = 1.0
"""Time in seconds after which the other number of threads is tried again."""
SHARE = 50
"""A slow trial is repeated after increasing multiples of its own time, up to this one: trials cost at most 2%."""


class Governor:
    """Chooses between two numbers of threads by the time that each takes.

    `with governor.running(plan)` around a run sets the threads and measures the time. If `set_threads` has been called,
    its choice is kept.

    Parameters
    ----------
    most : int
        All threads; with one there is nothing to choose.
    clock : callable
        Returns the time in seconds.

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
        self._known: dict[Hashable, _Times] = {}
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
        if not self._began:
            return
        if self._now < self._most:
            apply_threads(self._most)  # the choice must not affect the calling thread
        if kind is None:
            self.took(self._plan, self._now, self._clock() - self._began)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Leave a run for a moment that is not its own."""
        left = self._clock()
        yield
        apply_threads(self._now)
        if self._began:
            self._began += self._clock() - left

    def threads(self, plan: Hashable) -> int:
        """Return how many threads the next run of this plan should take."""
        times = self._known.get(plan)
        if times is None or times.runs < UNTIMED:
            return self._most
        other = self._most + 1 - times.best
        if times.best in times.seconds and (other not in times.seconds or self._clock() >= times.retry):
            return other
        return times.best

    def took(self, plan: Hashable, threads: int, seconds: float) -> None:
        """Record the time of a run."""
        if self._most == 1:
            return
        times = self._known.get(plan)
        if times is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            times = self._known[plan] = _Times(self._most)
        times.runs += 1
        if times.runs > UNTIMED:
            times.learn(threads, seconds, self._clock())


@dataclass(slots=True)
class _Times:
    """The times of one plan: the better number of threads, and when to try the other again."""

    best: int
    runs: int = 0
    seconds: dict[int, float] = field(default_factory=dict)
    failed: int = 0
    retry: float = 0.0

    def learn(self, threads: int, seconds: float, now: float) -> None:
        is_try = threads != self.best
        known = self.seconds
        known[threads] = seconds if is_try or threads not in known else 0.5 * (known[threads] + seconds)
        best = min(known, key=lambda count: (known[count], -count))
        if best != self.best and not is_try:  # it became slow, perhaps only for a moment
            self.failed, self.retry = 0, now + 2 * max(seconds, 0.01 * PATIENCE)
        elif is_try:
            self.failed = self.failed + 1 if best == self.best else 0
            self.retry = now + max(PATIENCE, min(SHARE, 4 * 2**self.failed) * seconds)
        self.best = best
