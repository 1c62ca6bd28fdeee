"""Data-parallel training: each batch is cut into shards, whose gradients are summed in a fixed order.

A shard's gradient depends on the seed, the epoch, the batch and the shard's number, never on the process that forms it;
and the sum over shards is that of a fixed tree (`rot180.parallel.tree`). So a training with S shards has the same bits
on 1, 2, 4, ... processes. Statistics of normalization are those of a shard; the running ones are the mean over the
shards of what each would have made of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rot180.engine import StepResult
from rot180.errors import ArgumentError, NonFiniteError, ParallelError
from rot180.nn.preprocessing import Preprocessing
from rot180.nn.validation import whole_number
from rot180.ops.types import Array
from rot180.parallel.communicator import Communicator
from rot180.parallel.messages import counts, first_text, share_text
from rot180.parallel.tree import Partial, leaves_of
from rot180.training.state import COUNTED, flat_state
from rot180.training.streams import stream
from rot180.training.trainer import Trainer

if TYPE_CHECKING:
    from rot180.training.loop import Progress


class Shard(NamedTuple):
    """A part of a batch, as it is trained on."""

    number: int
    images: Array
    labels: Array
    weights: Array | None


class DataParallel:
    """Trains on batches that are cut into shards, together with other processes or alone.

    Parameters
    ----------
    trainer : Trainer
        Prepared, alike on all processes.
    communicator : Communicator
    shards : int, optional
        Into how many parts each batch is cut; by default one for each process.

    Raises
    ------
    ArgumentError
        There are fewer shards than processes.
    """

    def __init__(self, trainer: Trainer, communicator: Communicator, shards: int | None = None) -> None:
        self._trainer, self.communicator = trainer, communicator
        self.shards = communicator.size if shards is None else shards
        if self.shards < communicator.size:
            raise ArgumentError(
                f"each process needs a shard of its own; there are {communicator.size} processes and --shards "
                f"{self.shards}: give more shards, or start fewer processes"
            )
        self.own = leaves_of(communicator.rank, communicator.size, self.shards)
        self._statistics = list(trainer.model.statistics.values())
        self._gradient = trainer.engine.gradient_size
        self._has_run = False
        self.stop_reason = ""

    def cut(self, chosen: Array) -> Iterator[tuple[int, Array]]:
        """Yield the numbers of this process's shards of a batch, and their parts of it."""
        for number in self.own:
            yield number, chosen[number * len(chosen) // self.shards : (number + 1) * len(chosen) // self.shards]

    def run_batch(self, parts: list[Shard], count: int, epoch: int, batch: int, *, update: bool) -> StepResult:
        """Train on this process's shards of a batch of `count` images, and on those of the others.

        Raises
        ------
        NonFiniteError
            On every process, if the loss or a gradient of any shard is infinite or NaN.
        """
        if self._has_run:
            sums, measured, failure = self._form(parts, epoch, batch)
        else:
            with self.communicator.one_first():  # which compiles for the others
                sums, measured, failure = self._form(parts, epoch, batch)
            self._has_run = True
        loss, correct, failed, stopping = self.communicator.sum(measured.nodes, self.shards)
        if failed:
            self._raise_first(failure)
        total = self.communicator.sum(sums.nodes, self.shards)
        total /= count
        start = self._gradient
        for array in self._statistics:
            np.copyto(array, total[start : start + array.size].reshape(array.shape), casting="unsafe")
            start += array.size
        self._trainer.apply(total[: self._gradient], count, update=update)
        if stopping:
            self.agree()
        return StepResult(loss / count, int(correct))

    def _form(self, parts: list[Shard], epoch: int, batch: int) -> tuple[Partial, Partial, NonFiniteError | None]:
        """Return this process's sums of gradients and statistics, and those of losses and counts."""
        trainer, failure = self._trainer, None
        before = [array.copy() for array in self._statistics]
        size = self._gradient + sum(array.size for array in before)
        sums, measured = Partial(), Partial()
        for part in parts:
            for array, old in zip(self._statistics, before, strict=True):
                np.copyto(array, old)
            own, count = np.zeros(size, trainer.model.dtype), len(part.labels)
            numbers = np.array([0.0, 0.0, 0.0, bool(trainer.stop_reason)])
            if count and failure is None:
                generator = stream(trainer.seed, "noise", epoch, batch, part.number)
                try:
                    result, gradient = trainer.form(part.images, part.labels, part.weights, generator)
                except NonFiniteError as error:
                    failure, numbers[2] = error, 1
                else:
                    # A mean over the shard; weighted by images, the means combine into that of the batch.
                    np.multiply(gradient, count, out=own[: self._gradient])
                    start = self._gradient
                    for array in self._statistics:
                        np.multiply(array.reshape(-1), count, out=own[start : start + array.size], casting="unsafe")
                        start += array.size
                    numbers[:2] = result.loss * count, result.correct
            sums.add(part.number, own)
            measured.add(part.number, numbers)
        return sums, measured, failure

    def _raise_first(self, failure: NonFiniteError | None) -> None:
        """Raise the error of the first process that has one, on all of them."""
        own, self.communicator.failed_together = None, True
        if failure is not None:
            own = json.dumps([str(failure), failure.step, failure.layer, failure.array])
        text, step, layer, array = json.loads(first_text(self.communicator, own) or "[]")
        raise NonFiniteError(text, step=step, layer=layer, array=array)

    def agree(self) -> str:
        """Let all processes know whether one of them was asked to stop, and return its reason."""
        self.stop_reason = first_text(self.communicator, self._trainer.stop_reason or None) or ""
        return self.stop_reason

    def start_alike(self, progress: Progress, labels: Array) -> None:
        """Copy everything that training continues from, `Progress` and arrays, from process 0 to all others.

        Raises
        ------
        ArgumentError
            The labels of the training images are not the same everywhere.
        """
        trainer, model = self._trainer, self._trainer.model
        communicator = self.communicator
        communicator.barrier(rest=True)  # the first may have read checkpoints, or trained a last layer
        self._compare(
            [labels],
            lambda ranks: ArgumentError(
                f"all processes must read the same data; the training labels of process {ranks} differ from those of "
                f"process 0"
            ),
        )
        table = {
            "counters": {name: getattr(progress, name) for name in COUNTED},
            "steps": trainer.optimizer.step_count,
            "averaged": 0 if trainer.average is None else trainer.average.updates,
            "preprocessing": model.preprocessing.to_dict(),
            "has_best": bool(progress.best_parameters),
        }
        table = json.loads(share_text(communicator, json.dumps(table)))
        model.preprocessing = Preprocessing.from_dict(table["preprocessing"])
        trainer.optimizer.step_count = table["steps"]
        if trainer.average is not None:
            trainer.average.updates = table["averaged"]
        for name, value in table["counters"].items():
            setattr(progress, name, value)
        if table["has_best"] and not progress.best_parameters:
            progress.best_parameters = {name: np.empty_like(array) for name, array in model.state.items()}
        for array in self._arrays(progress.best_parameters):
            communicator.broadcast(array)

    def _arrays(self, best: dict[str, Array]) -> Iterator[Array]:
        trainer = self._trainer
        yield from trainer.model.state.values()
        yield from flat_state(trainer.optimizer.state).values()
        if trainer.average is not None:
            yield from trainer.average.arrays.values()
        yield from best.values()

    def compare(self, epoch: int) -> None:
        """Compare weights, statistics and the optimizer's state with those of process 0.

        Raises
        ------
        ParallelError
            They differ: a fault of memory or of the network, as all processes compute the same from the same sums.
        """
        self._compare(
            self._arrays({}),
            lambda ranks: ParallelError(
                f"epoch {epoch}: the weights of process {ranks} differ from those of process 0, by a fault of memory "
                f"or network; resume from the last checkpoint"
            ),
        )

    def _compare(self, arrays: Iterable[Array], error: Callable[[str], Exception]) -> None:
        """Raise an error on all processes if arrays differ from those of process 0, with the numbers of the others."""
        digest = hashlib.sha256()
        for array in arrays:
            digest.update(f"{array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        first = np.frombuffer(digest.digest(), np.uint8).copy()
        self.communicator.broadcast(first)
        unlike = counts(self.communicator, int(first.tobytes() != digest.digest()))
        if any(unlike):
            self.communicator.failed_together = True
            raise error(", ".join(str(rank) for rank, differs in enumerate(unlike) if differs))


def read_shards(value: int) -> int:
    """Check a number of shards.

    >>> read_shards(8)
    8
    """
    shards = whole_number(value, "shards")
    if shards & (shards - 1):
        raise ArgumentError(f"shards must be a power of two, such as 8; it is {shards}")
    return shards
