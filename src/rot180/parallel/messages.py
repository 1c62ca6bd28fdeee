"""Texts between processes, made of broadcasts and sums."""

from __future__ import annotations

import numpy as np

from rot180.ops.types import Array
from rot180.parallel.communicator import Communicator
from rot180.parallel.tree import Partial


def share_text(communicator: Communicator, text: str = "") -> str:
    """Return the text of process 0, on every process."""
    data = np.frombuffer(text.encode(), np.uint8).copy()
    length = np.array([len(data)], np.int64)
    communicator.broadcast(length)
    if communicator.rank:
        data = np.empty(int(length[0]), np.uint8)
    if len(data):
        communicator.broadcast(data)
    return data.tobytes().decode()


def everywhere(communicator: Communicator, array: Array) -> Array:
    """Return the sum of the arrays of all processes, on every process.

    >>> from rot180.parallel.communicator import ALONE
    >>> everywhere(ALONE, np.array([1, 2])).tolist()
    [1, 2]
    """
    partial = Partial()
    partial.add(communicator.rank, array.copy())
    return communicator.sum(partial.nodes, communicator.size)


def counts(communicator: Communicator, own: int) -> list[int]:
    """Return the number that each process gives, in their order."""
    given = np.zeros(communicator.size, np.int64)
    given[communicator.rank] = own
    return [int(number) for number in everywhere(communicator, given)]


def first_text(communicator: Communicator, text: str | None) -> str | None:
    """Return the text of the first process that has one, on every process; None if none has.

    >>> from rot180.parallel.communicator import ALONE
    >>> first_text(ALONE, None), first_text(ALONE, "stop")
    (None, 'stop')
    """
    data = b"" if text is None else text.encode()
    lengths = counts(communicator, -1 if text is None else len(data))
    whose = next((rank for rank, length in enumerate(lengths) if length >= 0), None)
    if whose is None:
        return None
    # A sum of which all terms but one are zero is a broadcast from that one.
    own = np.zeros(lengths[whose], np.uint8)
    if communicator.rank == whose:
        own[:] = np.frombuffer(data, np.uint8)
    return everywhere(communicator, own).tobytes().decode()
