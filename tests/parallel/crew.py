"""Processes that are threads: what MPI does, without MPI."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

from rot180.parallel.tree import nodes_of, total


class Member:
    """One of some threads that call the same methods in the same order."""

    def __init__(self, crew, rank):
        self._crew, self.rank, self.size = crew, rank, len(crew.given)
        self.patience, self.failed_together, self.overlaps = None, False, True

    def _exchange(self, own):
        """Return what each member gives."""
        self._crew.given[self.rank] = own
        self.barrier()
        given = list(self._crew.given)
        self.barrier()
        return given

    def sum(self, nodes, leaves):
        assert tuple(nodes) == nodes_of(self.rank, self.size, leaves)
        copies = {node: array.copy() for node, array in nodes.items()}
        return total({node: array for some in self._exchange(copies) for node, array in some.items()}, leaves).copy()

    def begin_sum(self, nodes, leaves):
        total = self.sum(nodes, leaves)
        return lambda: total

    def advance(self):
        pass

    def broadcast(self, array):
        array[...] = self._exchange(array.copy())[0]

    def barrier(self, *, rest=False):
        self._crew.meeting.wait(60)

    @contextmanager
    def one_first(self):
        if self.rank:
            self.barrier()
        yield
        if not self.rank:
            self.barrier()

    def abort(self, status):
        self._crew.meeting.abort()


class Crew:
    """Some members; `run` calls a function with each of them and returns the results, or raises the first error."""

    def __init__(self, size):
        self.given, self.meeting = [None] * size, threading.Barrier(size)

    def run(self, function):
        results, errors = {}, {}

        def work(rank):
            try:
                results[rank] = function(Member(self, rank))
            except BaseException as error:
                errors[rank] = error
                if not isinstance(error, threading.BrokenBarrierError):
                    first.append(error)
                time.sleep(0.2)  # the others may be about to raise the same
                self.meeting.abort()

        first = []
        threads = [threading.Thread(target=work, args=(rank,)) for rank in range(len(self.given))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if first:
            raise first[0]
        return [results[rank] for rank in range(len(self.given))]
