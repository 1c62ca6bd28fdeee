"""Kernels are launched here: a list of them in one go, by a team of threads that outlives it.

The calling thread is the first of its team; the others are helpers. A helper spins for a moment after its work, as the
next launch is usually near, and then sleeps until it is woken. All of that is compiled code that neither needs nor
holds the interpreter's lock, and it is the same on all systems: OpenMP, where there is one, takes as long to start a
kernel as many of them run, and Numba's own work queue far longer.

Only one launch at a time has helpers: if several threads launch kernels at the same time, the others run theirs alone.
Results do not depend on that. A forked process gets helpers of its own.
"""

from __future__ import annotations

import atexit
import ctypes
import os
from collections.abc import Sequence
from functools import cache
from threading import Lock, Thread, local
from time import perf_counter
from typing import Any

import numpy as np

from rot180.files.system import is_windows
from rot180.kernels.compiling import ONE_AT_A_TIME, Addressed, routine, subroutine
from rot180.kernels.entry import Types, block_of, type_of
from rot180.kernels.team import (
    GIVE_WAY,
    LINE,
    OWN_STAGE,
    PATIENCE,
    STAGE,
    STAGE_SHIFT,
    STAGES,
    TAKE,
    TAKEN,
    THREADS,
    WORDS_OF_THREAD,
    Team,
    call_address,
    call_entry,
    load_word,
    pause,
    replace_word,
    store_word,
    take,
)

SPINNING_SECONDS = 2e-4
"""How long a helper waits for the next launch before it sleeps: longer than Python takes between two launches."""

_MOST_LOOPS = 64
"""More loops over `split` than any kernel has."""
_LETTING_GO = 200
"""Spins after a launch in which helpers usually let go of it."""

# Words of a team: what is launched, and what belongs to each helper, besides those of `rot180.kernels.team`.
_NUMBER, _LIST, _COUNT, _SIZE, _FIRST_STAGE = (3 * LINE + i for i in range(5))
_ACQUIRE, _RELEASE, _STOP = (2 * LINE + i for i in range(3, 6))
_ACTIVE, _SLEEPS, _LOCK = 2 * LINE, 3 * LINE, 3 * LINE + 1


@routine
def _alone(kernels, count):
    """Run a list of kernels in this thread."""
    for i in range(count):
        call_entry(load_word(kernels, 2 * i), Team(0, 1, 0), load_word(kernels, 2 * i + 1))


@routine
def _lead(shared, kernels, count, threads):
    """Run a list of kernels with helpers, and return whether they have let go of it."""
    store_word(shared, _LIST, kernels)
    store_word(shared, _COUNT, count)
    store_word(shared, _SIZE, threads)
    # A helper that is late may still go through the loops of a kernel launched before: it must not find its number.
    stage = load_word(shared, STAGE) + _MOST_LOOPS & STAGES
    for thread in range(threads):
        store_word(shared, THREADS + thread * WORDS_OF_THREAD + TAKEN, stage << STAGE_SHIFT)
    store_word(shared, THREADS + OWN_STAGE, stage)
    store_word(shared, STAGE, stage)
    store_word(shared, _FIRST_STAGE, stage)
    store_word(shared, _NUMBER, load_word(shared, _NUMBER) + 1)  # odd: open
    wake(shared, threads)
    team = Team(0, threads, shared)
    for i in range(count):
        call_entry(load_word(kernels, 2 * i), team, load_word(kernels, 2 * i + 1))
    store_word(shared, _NUMBER, load_word(shared, _NUMBER) + 1)  # even: closed
    for _ in range(_LETTING_GO):
        if not is_used(shared, threads):
            return 1
        pause()
    return 0


@subroutine
def wake(shared, threads):
    for thread in range(1, threads):
        own = THREADS + thread * WORDS_OF_THREAD
        if replace_word(shared, own + _SLEEPS, 1, 0):
            call_address(load_word(shared, _RELEASE), load_word(shared, own + _LOCK), 0)


@subroutine
def is_used(shared, threads):
    """Return whether a helper is still in the list of a launch."""
    for thread in range(1, threads):
        if load_word(shared, THREADS + thread * WORDS_OF_THREAD + _ACTIVE) != 0:
            return 1
    return 0


@routine
def _wake(shared, threads):
    wake(shared, threads)


@routine
def _is_used(shared, threads):
    return is_used(shared, threads)


@routine
def _help(shared, thread, spins):
    """Take part in all launches until told to stop."""
    own = THREADS + thread * WORDS_OF_THREAD
    seen, waited = 0, 0
    while load_word(shared, _STOP) == 0:
        number = load_word(shared, _NUMBER)
        if number == seen or number % 2 == 0:
            pause()
            waited += 1
            if waited > spins:
                _sleep(shared, own, number)
                waited = 0
            continue
        seen, waited = number, 0
        store_word(shared, own + _ACTIVE, 1)
        kernels, count = load_word(shared, _LIST), load_word(shared, _COUNT)
        threads, stage = load_word(shared, _SIZE), load_word(shared, _FIRST_STAGE)
        # Closed before this thread was active, the list may be gone, and these may be words of two launches.
        if load_word(shared, _NUMBER) == number and thread < threads:
            store_word(shared, own + OWN_STAGE, stage)
            team = Team(thread, threads, shared)
            for i in range(count):
                if load_word(shared, _NUMBER) != number:
                    break
                call_entry(load_word(kernels, 2 * i), team, load_word(kernels, 2 * i + 1))
        store_word(shared, own + _ACTIVE, 0)


@subroutine
def _sleep(shared, own, number):
    """Sleep until the next launch; whoever takes back the word decides whether the lock is released."""
    store_word(shared, own + _SLEEPS, 1)
    is_next = load_word(shared, _NUMBER) != number or load_word(shared, _STOP) != 0
    if not (is_next and replace_word(shared, own + _SLEEPS, 1, 0)):
        call_address(load_word(shared, _ACQUIRE), load_word(shared, own + _LOCK), 1)


@routine
def _spin(count):
    for _ in range(count):
        pause()


def _spins(seconds: float) -> int:
    """Return how many spins take so long on this processor."""
    some = 2_000
    _spin(some)
    began = perf_counter()
    _spin(some)
    return max(100, int(some * seconds / max(perf_counter() - began, 1e-7)))


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _address_of_give_way() -> int:
    """Return the address of the system's function that lets another thread have the core."""
    if is_windows():
        return _address(ctypes.CDLL("kernel32").SwitchToThread)
    return _address(ctypes.CDLL(None).sched_yield)


class _Helpers:
    """The helpers of this process, started when they are first needed."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._words = np.zeros(THREADS + most * WORDS_OF_THREAD + LINE, np.int64)
        address = self._words.ctypes.data
        self.shared = address + -address % (8 * LINE)
        self._at = (self.shared - address) // 8
        spins = _spins(SPINNING_SECONDS)
        self._set(PATIENCE, spins)
        self._set(TAKE, take.address(("i",) * 4))
        self._set(GIVE_WAY, _address_of_give_way())
        self._set(_ACQUIRE, _address(ctypes.pythonapi.PyThread_acquire_lock))
        self._set(_RELEASE, _address(ctypes.pythonapi.PyThread_release_lock))
        allocate, acquire = ctypes.pythonapi.PyThread_allocate_lock, ctypes.pythonapi.PyThread_acquire_lock
        allocate.restype, acquire.argtypes = ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_int)
        self._threads = []
        for thread in range(1, most):
            lock = allocate()
            acquire(lock, 1)
            self._set(THREADS + thread * WORDS_OF_THREAD + _LOCK, lock)
            self._threads.append(Thread(target=_help, args=(self.shared, thread, spins), daemon=True))
            self._threads[-1].start()
        self._kept: Any = None

    def _set(self, place: int, value: int) -> None:
        self._words[self._at + place] = value

    def lead(self, launch: Launch, threads: int) -> None:
        """Launch a list of kernels."""
        # A helper that is not running may still be in the list; it does nothing there, but the list must exist.
        if self._kept is not None and not _is_used(self.shared, self._most):
            self._kept = None
        self._kept = None if _lead(self.shared, *launch.words, threads) else (self._kept, launch)

    def stop(self) -> None:
        """End all of them."""
        self._set(_STOP, 1)
        _wake(self.shared, self._most)
        for one in self._threads:
            one.join()


class _Chosen(local):
    threads = 0


def _stop() -> None:
    """End the helpers: no thread may run compiled code while the interpreter is taken down."""
    # The lock is kept: whoever still launches kernels does so alone.
    if _turn.acquire(timeout=10) and _helpers is not None:
        _helpers.stop()


def _after_fork() -> None:
    global _helpers, _turn
    _helpers, _turn = None, Lock()  # threads do not exist in the child, nor whoever held the lock


atexit.register(_stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
    # No other thread compiles meanwhile: in the child, nobody would ever release the locks that it holds.
    os.register_at_fork(before=ONE_AT_A_TIME.acquire, after_in_parent=ONE_AT_A_TIME.release)
    os.register_at_fork(after_in_child=ONE_AT_A_TIME.release)

_chosen = _Chosen()
_turn = Lock()
_helpers: _Helpers | None = None


@cache
def most_threads() -> int:
    """Return how many threads a team has at most."""
    given = os.environ.get("NUMBA_NUM_THREADS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_threads(count: int) -> None:
    """Launch the kernels of the calling thread with so many threads from now on; at first, with as many as possible."""
    _chosen.threads = count


def threads_in_use() -> int:
    """Return how many threads the calling thread launches kernels with."""
    return _chosen.threads or most_threads()


class Kernel(Addressed):
    """A kernel, compiled for each combination of types that it is launched with."""

    _compiler = "KernelCompiler"

    def signature(self, types: Types) -> Any:
        """Return what Numba compiles it for: the team comes first."""
        from numba import typeof

        return (typeof(Team(0, 1, 0)), *super().signature(types))

    def __call__(self, *arguments: Any) -> None:
        """Launch it alone."""
        Launch([(self, arguments)])()


class Launch:
    """A list of kernels and their arguments, launched together as often as wanted.

    Each kernel is done before the next begins. Arrays are read and written where they are.
    """

    def __init__(self, calls: Sequence[tuple[Kernel, tuple[Any, ...]]]) -> None:
        entries = [kernel.address(tuple(map(type_of, arguments))) for kernel, arguments in calls]
        blocks = [block_of(arguments) for _, arguments in calls]
        words = np.array([(entry, block.ctypes.data) for entry, block in zip(entries, blocks, strict=True)], np.int64)
        self._kept = words, blocks, [arguments for _, arguments in calls]
        self.words = words.ctypes.data, len(calls)

    def alone(self) -> None:
        """Launch in the calling thread alone: what is over before other threads are awake."""
        _alone(*self.words)

    def __call__(self) -> None:
        """Launch."""
        global _helpers
        threads = min(_chosen.threads or most_threads(), most_threads())
        if threads == 1 or not _turn.acquire(blocking=False):
            self.alone()
            return
        try:
            if _helpers is None:
                _helpers = _Helpers(most_threads())
            _helpers.lead(self, threads)
        finally:
            _turn.release()
