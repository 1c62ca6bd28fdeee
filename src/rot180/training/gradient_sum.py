"""The sum of the gradients of all shards, which begins while they are being formed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rot180.engine.halts import Final
from rot180.ops.types import Array
from rot180.parallel.communicator import Communicator
from rot180.parallel.tree import Partial, leaves_of

LEAST_PIECE, MOST_PIECES = 1 << 18, 8
"""Bytes of a piece, at least, and how many pieces at most: with more of them, delays would add up."""


def piece_of(gradient: Array) -> int:
    """Return how many numbers of a gradient are worth a sum of their own.

    >>> piece_of(np.zeros(100_000, np.float32)), piece_of(np.zeros(10_000_000, np.float32))
    (65536, 1250000)
    """
    return max(LEAST_PIECE // gradient.itemsize, gradient.size // MOST_PIECES)


class GradientSum:
    """Sums piece by piece, each as soon as this process's last shard has added its own.

    Parameters
    ----------
    communicator : Communicator
    shards : int
        Of all processes; they add the same pieces in the same order.
    """

    def __init__(self, communicator: Communicator, shards: int) -> None:
        self._communicator, self._shards = communicator, shards
        self._last = leaves_of(communicator.rank, communicator.size, shards)[-1]
        self._partials: dict[Final, Partial] = {}
        self._waits: dict[Final, Callable[[], Array]] = {}

    def add(self, shard: int, piece: Final, gradient: Array) -> None:
        """Add what a shard has of a piece."""
        partial = self._partials.setdefault(piece, Partial())
        partial.add(shard, gradient)
        if shard == self._last:
            self._waits[piece] = self._communicator.begin_sum(partial.nodes, self._shards)

    def mean(self, count: int) -> Array:
        """Return the flat sum divided by the number of images, once it is there."""
        mean = np.zeros(0)
        for piece, wait in self._waits.items():
            total = wait()
            if not mean.size:
                mean = np.empty(sum(one.size for one in self._waits), total.dtype)
            total /= count
            piece.put_into(mean, total)
        return mean
