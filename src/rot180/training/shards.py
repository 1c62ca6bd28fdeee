"""Shards, the parts of a batch, and a pass through one of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from rot180.engine import Engine
from rot180.engine.halts import Halt
from rot180.errors import ArgumentError, NonFiniteError
from rot180.nn.batch_norm import BatchNorm2d
from rot180.nn.validation import whole_number
from rot180.ops.types import Array
from rot180.training.trainer import Trainer


class Shard(NamedTuple):
    """A part of a batch, as it is trained on.

    A shard without images has the batch's first one, so that it can be passed through like the others, and a `size`
    of 0, with which it is weighted.
    """

    number: int
    size: int
    images: Array
    labels: Array
    weights: Array | None


class ShardPass:
    """A pass through one shard, and what comes of it.

    Attributes
    ----------
    numbers : (4 + M,) float64
        Sums over the shard's images: loss, correct predictions; whether something was not finite, and whether the
        training is to stop; then the statistics as the shard would have them, times its images.
    failure : NonFiniteError or None
    """

    def __init__(self, trainer: Trainer, engine: Engine, shard: Shard, generator: np.random.Generator) -> None:
        self.number, self.size = shard.number, shard.size
        self._trainer, self.engine, self._shard, self._generator = trainer, engine, shard, generator
        self.numbers = np.zeros(0)
        self.failure: NonFiniteError | None = None

    def halts(self, whole: int | None, least: int | None) -> Iterator[Halt]:
        """Run, as `Engine.form` describes it; the model's statistics are as before in the end."""
        trainer, (_, size, images, labels, weights) = self._trainer, self._shard
        statistics = list(trainer.model.statistics.values())
        before = [array.copy() for array in statistics]
        result, failure = yield from trainer.form(
            self.engine, images, labels, weights, self._generator, whole=whole, least=least
        )
        self.failure = failure if size else None
        sums = [result.loss * size, result.correct, failure is not None] if size else [0.0, 0.0, 0.0]
        learned = [self.weigh(array.reshape(-1).astype(np.float64)) for array in statistics]
        self.numbers = np.concatenate([sums, [bool(trainer.stop_reason)], *learned])
        for array, old in zip(statistics, before, strict=True):
            np.copyto(array, old)

    def weigh(self, array: Array) -> Array:
        """Multiply a mean over the shard's images by their number, in place, and return it."""
        if self.size:
            array *= self.size
        else:
            array[...] = 0  # the image that stands in may give anything
        return array


def read_shards(value: int) -> int:
    """Check a number of shards.

    >>> read_shards(8)
    8
    """
    shards = whole_number(value, "shards")
    if shards & (shards - 1):
        raise ArgumentError(f"shards must be a power of two, such as 8; it is {shards}")
    return shards


def synchronizes(trainer: Trainer) -> bool:
    """Return whether there is batch normalization, to be synchronized between shards.

    Raises
    ------
    ArgumentError
        It cannot be.
    """
    norms = [layer for layer in trainer.model.layers if isinstance(layer, BatchNorm2d)]
    for layer in norms:
        if trainer.engine.name != "compiled":
            raise ArgumentError(
                f"batch normalization is synchronized by the compiled engine alone; this is the {trainer.engine.name} "
                f"engine: leave out the engine, or the synchronization"
            )
        if type(layer) is not BatchNorm2d:
            raise ArgumentError(
                f"{layer.name}: {type(layer).__name__} is a class of your own, which cannot be synchronized between "
                f"shards; use BatchNorm2d, or leave out the synchronization"
            )
    return bool(norms)
