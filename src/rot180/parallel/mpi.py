"""The communicator on MPI. Importing this module starts MPI; after that no process may be forked.

All waiting is done here, by asking again and again whether the others are done: so that signals are handled, a process
that is lost is noticed, and processes that wait leave the cores to those that work.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate, pairwise
from typing import Any, cast

import numpy as np
from mpi4py import MPI

from rot180.errors import ParallelError
from rot180.ops.types import Array
from rot180.parallel.tree import Node, nodes_of, total

SMALL = 4096
"""Bytes up to which everything is sent to everybody, in one exchange instead of two."""

EAGER = 2000
"""How often to ask without a pause; then in ever longer ones, up to LONGEST_PAUSE seconds."""

LONGEST_PAUSE, LONGEST_REST = 0.001, 0.05

ADVANCES = 16
"""How often to ask when sums go on beside other work: each time, MPI moves a few kilobytes of each message."""

_let_others_run: Callable[[], object] = getattr(os, "sched_yield", lambda: None)
"""Called without a pause, too: several processes may share a core."""

SECONDS_TO_ABORT = 1
"""After these, a process that cannot end the others ends itself: the network may be down."""


SECONDS_TO_PASS_ON = 0.05
"""A launcher that is told to end all may drop what it has not read of our messages yet."""


class MpiCommunicator:
    """All processes that were started together.

    Attributes
    ----------
    overlaps : bool
        Whether sums are worth being begun while the process computes: if they go over a network.
    cores : int
        This process's share of the cores that it may use, at least 1.
    """

    def __init__(self) -> None:
        self._world = MPI.COMM_WORLD
        self.rank, self.size = self._world.rank, self._world.size
        self.patience: float | None = None
        self.failed_together = False
        self._machine = self._world.Split_type(MPI.COMM_TYPE_SHARED)
        self.overlaps = self._machine.size < self.size
        # The first and the second rounds of sums that are begun, each in order, whatever is sent between them.
        self._rounds = self._world.Dup(), self._world.Dup()
        self._begun: deque[_Begun] = deque()
        self.cores = self._share_of_cores()

    def _share_of_cores(self) -> int:
        """Return how many cores each process has of those that it shares with others of its machine."""
        count = os.cpu_count() or 1
        own = np.zeros(count, np.uint8)
        own[[core for core in getattr(os, "sched_getaffinity", lambda _: range(count))(0) if core < count]] = 1
        masks = np.empty((self._machine.size, count), np.uint8)
        self._machine.Allgather(own, masks)
        return max(1, int(own.sum()) // int((masks == own).all(axis=1).sum()))

    def sum(self, nodes: Mapping[Node, Array], leaves: int) -> Array:
        """Return the sum over all leaves of the tree, the same bits on every process.

        Each process adds up one stretch of the arrays for all others: it receives that stretch of all nodes, and sends
        the sum. So every number is sent about twice, whatever the number of processes.
        """
        begun = _Begun(self._exchange((self._world, self._world), nodes, leaves))
        while begun.result is None:
            self._wait_for(begun.request)
            begun.go_on()
        return begun.result

    def begin_sum(self, nodes: Mapping[Node, Array], leaves: int) -> Callable[[], Array]:
        """Begin a sum, and return what waits for it; if it would not overlap, it is made at once."""
        if not self.overlaps:
            made = self.sum(nodes, leaves)
            return lambda: made
        begun = _Begun(self._exchange(self._rounds, nodes, leaves))
        self._begun.append(begun)

        def wait() -> Array:
            self._wait(lambda: begun.result is not None)
            return cast(Array, begun.result)

        return wait

    def advance(self) -> None:
        """Let the sums that are begun go on, without waiting."""
        for _ in range(ADVANCES):
            self._go_on()

    def _go_on(self) -> None:
        """Ask once, and begin the next rounds of sums whose first ones are over."""
        while self._begun and self._begun[0].result is not None:
            self._begun.popleft()
        for begun in self._begun:
            if begun.result is None and self._is_done(begun.request):
                begun.go_on()
            if begun.rounds == 1:
                return  # all processes must begin the second rounds in the same order

    def _exchange(
        self, rounds: tuple[MPI.Intracomm, MPI.Intracomm], nodes: Mapping[Node, Array], leaves: int
    ) -> Generator[MPI.Request, None, Array]:
        """Begin the rounds of a sum one by one, each when the request before it is done, and return the sum."""
        own = list(nodes.values())
        length, dtype = len(own[0]), own[0].dtype
        theirs = [nodes_of(rank, self.size, leaves) for rank in range(self.size)]
        everybody = [node for some in theirs for node in some]
        if length * dtype.itemsize <= SMALL:
            received = np.empty((len(everybody), length), dtype)
            shares = [len(some) * length for some in theirs]
            sent = own[0] if len(own) == 1 else np.concatenate(own)
            yield rounds[0].Iallgatherv(sent, [received, shares, _starts(shares), _type(dtype)])
            return total(dict(zip(everybody, received, strict=True)), leaves)
        ends = [length * rank // self.size for rank in range(self.size + 1)]
        widths = [end - start for start, end in pairwise(ends)]
        width = widths[self.rank]
        if len(own) == 1:
            sent = own[0]
        else:
            sent = np.concatenate([array[a:b] for a, b in pairwise(ends) for array in own])
        outgoing = [len(own) * one for one in widths]
        incoming = [len(some) * width for some in theirs]
        received = np.empty((len(everybody), width), dtype)
        yield rounds[0].Ialltoallv(
            [sent, outgoing, _starts(outgoing), _type(dtype)],
            [received, incoming, _starts(incoming), _type(dtype)],
        )
        part = np.ascontiguousarray(total(dict(zip(everybody, received, strict=True)), leaves))
        result = np.empty(length, dtype)
        yield rounds[1].Iallgatherv(part, [result, widths, ends[:-1], _type(dtype)])
        return result

    def broadcast(self, array: Array) -> None:
        """Copy the array of process 0 into those of all others, in place."""
        whole = np.ascontiguousarray(array)
        self._wait_for(self._world.Ibcast(whole.view(np.uint8) if whole.ndim else whole))
        if whole is not array:
            array[...] = whole

    def barrier(self, *, rest: bool = False) -> None:
        """Return when all processes have called it."""
        self._wait_for(self._world.Ibarrier(), rest=rest)

    @contextmanager
    def one_first(self) -> Iterator[None]:
        """Let the first process of each machine finish the block before the others of that machine enter it."""
        if self._machine.rank:
            self._wait_for(self._machine.Ibarrier(), rest=True)
            yield
        else:
            yield
            self._wait_for(self._machine.Ibarrier(), rest=True)

    def abort(self, status: int) -> None:
        """End all processes at once; this one at the latest after a second, whatever the network does."""
        try:
            # The system ends a process that hangs in MPI, which may keep all of Python's threads waiting.
            if hasattr(signal, "alarm"):
                signal.alarm(SECONDS_TO_ABORT)
            sys.stdout.flush()
            sys.stderr.flush()
            time.sleep(SECONDS_TO_PASS_ON)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # MPI would add its own message to ours
            self._world.Abort(status)
        finally:
            os._exit(status)

    def _wait(self, is_done: Callable[[], bool], *, rest: bool = False) -> None:
        """Wait until an exchange is done.

        Raises
        ------
        ParallelError
            It took longer than `patience`, or the connection is lost.
        """
        asked, pause = 0, 0.0
        deadline = None if rest or self.patience is None else time.monotonic() + self.patience
        while not is_done():
            self._go_on()
            asked += 1
            if asked < EAGER:
                _let_others_run()
                continue
            time.sleep(pause)
            pause = min(pause + 5e-6, LONGEST_REST if rest else LONGEST_PAUSE)
            if deadline is not None and time.monotonic() > deadline:
                raise ParallelError(
                    f"process {self.rank} has waited {self.patience:g} seconds for the others: one of them hangs, or "
                    f"the network is interrupted; resume from the last checkpoint, or wait longer with --watchdog"
                )

    def _wait_for(self, request: MPI.Request, *, rest: bool = False) -> None:
        self._wait(lambda: self._is_done(request), rest=rest)

    def _is_done(self, request: MPI.Request) -> bool:
        try:
            return bool(request.Test())
        except MPI.Exception as error:
            raise ParallelError(
                f"process {self.rank} has lost the others ({error}); resume from the last checkpoint"
            ) from None


class _Begun:
    """A sum that is begun, by its first round; `result` is there when it is done."""

    def __init__(self, exchange: Generator[MPI.Request, None, Array]) -> None:
        self._exchange = exchange
        self.request, self.rounds = next(exchange), 1
        self.result: Array | None = None

    def go_on(self) -> None:
        """After a round, begin the next one; if there is none, take the result."""
        self.rounds += 1
        try:
            self.request = next(self._exchange)
        except StopIteration as end:
            self.result = end.value


def _starts(counts: list[int]) -> list[int]:
    return [0, *accumulate(counts)][:-1]


def _type(dtype: np.dtype[Any]) -> MPI.Datatype:
    return {"f4": MPI.FLOAT, "f8": MPI.DOUBLE, "i8": MPI.INT64_T, "u1": MPI.BYTE}[dtype.str[1:]]
