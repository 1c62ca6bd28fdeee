"""What processes that train together ask of each other, and the answer of a process that is alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Protocol

from rot180.ops.types import Array
from rot180.parallel.tree import Node, total


class Communicator(Protocol):
    """Some processes, each with its rank, which all call the same methods in the same order."""

    @property
    def rank(self) -> int:
        """The number of this process, from 0; only process 0 writes files."""

    @property
    def size(self) -> int:
        """The number of processes."""

    patience: float | None
    """Seconds to wait for the others before one of them counts as lost; None: for ever."""

    failed_together: bool
    """Whether all processes have raised the same error, which process 0 shows and records."""

    @property
    def overlaps(self) -> bool:
        """Whether sums are worth being begun while the process computes."""

    def sum(self, nodes: Mapping[Node, Array], leaves: int) -> Array:
        """Return the sum over all leaves of the tree (`rot180.parallel.tree`), the same bits on every process.

        Parameters
        ----------
        nodes : dict of node to (M,) array
            This process's part: the nodes of `Partial` over `leaves_of(rank, size, leaves)`; M and the type are the
            same everywhere.
        leaves : int
            Of the whole tree, at least one for each process.
        """

    def begin_sum(self, nodes: Mapping[Node, Array], leaves: int) -> Callable[[], Array]:
        """Begin what `sum` does, and return what waits for it. Nothing of the nodes may be changed any more.

        If it `overlaps`, the sum goes on meanwhile, when the process lets it `advance`.
        """

    def advance(self) -> None:
        """Let the sums that are begun go on, without waiting."""

    def broadcast(self, array: Array) -> None:
        """Copy the array of process 0 into those of all others, in place; all have the same shape and type."""

    def barrier(self, *, rest: bool = False) -> None:
        """Return when all processes have called it. To `rest` is to wait for as long as it takes."""

    def one_first(self) -> AbstractContextManager[object]:
        """Let the first process of each machine finish the `with` block before the others of that machine enter it."""

    def abort(self, status: int) -> None:
        """End all processes at once with this exit status; does not return."""


class Alone:
    """A single process: there is nobody to ask or to wait for.

    >>> Alone().rank, Alone().size
    (0, 1)
    """

    rank, size, overlaps = 0, 1, False
    patience: float | None = None
    failed_together = False

    def sum(self, nodes: Mapping[Node, Array], leaves: int) -> Array:
        """Return the sum of all leaves."""
        return total(nodes, leaves)

    def begin_sum(self, nodes: Mapping[Node, Array], leaves: int) -> Callable[[], Array]:
        """Sum all leaves when the result is asked for."""
        return partial(total, nodes, leaves)

    def advance(self) -> None:
        """Do nothing."""

    def broadcast(self, array: Array) -> None:
        """Do nothing."""

    def barrier(self, *, rest: bool = False) -> None:
        """Do nothing."""

    def one_first(self) -> AbstractContextManager[object]:
        """Do nothing."""
        return nullcontext()

    def abort(self, status: int) -> None:
        """End the process."""
        os._exit(status)


ALONE: Communicator = Alone()
