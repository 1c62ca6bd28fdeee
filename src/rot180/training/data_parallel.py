"""Data-parallel training: each batch is cut into shards, whose gradients are summed in a fixed order.

A shard's gradient depends on the seed, the epoch, the batch and the shard's number, never on the process that forms it;
and the sum over shards is that of a fixed tree (`rot180.parallel.tree`). So a training with S shards has the same bits
on 1, 2, 4, ... processes. Statistics of normalization are those of a shard, unless they are synchronized; the running
ones are the mean over the shards of what each would have made of them.

Gradients travel in pieces while the backward pass of a process's last shard goes on: where one is complete, the pass
halts (`rot180.engine.halts`), and its sum begins.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from rot180.engine import StepResult, make_engine
from rot180.engine.halts import Final, Mean
from rot180.errors import ArgumentError, NonFiniteError, ParallelError
from rot180.nn.preprocessing import Preprocessing
from rot180.ops.types import Array
from rot180.parallel.communicator import Communicator
from rot180.parallel.messages import counts, first_text, share_text
from rot180.parallel.tree import Partial, leaves_of
from rot180.training.diagnosis import NOT_FOUND
from rot180.training.gradient_sum import GradientSum, piece_of
from rot180.training.progress import Progress
from rot180.training.shards import Shard, ShardPass, synchronizes
from rot180.training.state import COUNTED, flat_state
from rot180.training.streams import stream
from rot180.training.trainer import Trainer


class DataParallel:
    """Trains on batches that are cut into shards, together with other processes or alone.

    Parameters
    ----------
    trainer : Trainer
        Prepared, alike on all processes.
    communicator : Communicator
    shards : int, optional
        Into how many parts each batch is cut; by default one for each process.
    synchronized : bool
        Whether batch normalization uses the mean and variance of the whole batch. A process then passes through all of
        its shards in step, each with an engine of its own.

    Raises
    ------
    ArgumentError
        There are fewer shards than processes, or the network's batch normalization cannot be synchronized.
    """

    def __init__(
        self, trainer: Trainer, communicator: Communicator, shards: int | None = None, *, synchronized: bool = False
    ) -> None:
        self._trainer, self.communicator = trainer, communicator
        self.shards = communicator.size if shards is None else shards
        if self.shards < communicator.size:
            raise ArgumentError(
                f"each process needs a shard of its own; there are {communicator.size} processes and --shards "
                f"{self.shards}: give more shards, or start fewer processes"
            )
        self.own = leaves_of(communicator.rank, communicator.size, self.shards)
        self._synchronized = synchronized and synchronizes(trainer)
        self._engines = [trainer.engine] * len(self.own)
        if self._synchronized:
            self._engines[1:] = [make_engine("compiled", trainer.model, trainer.loss) for _ in self.own[1:]]
        self._has_run = False
        self.stop_reason = ""

    def cut(self, chosen: Array) -> Iterator[tuple[int, int, Array]]:
        """Yield this process's shards of a batch: their numbers, how many images they have, and which."""
        for number in self.own:
            start, stop = (edge * len(chosen) // self.shards for edge in (number, number + 1))
            yield number, stop - start, chosen[start:stop] if stop > start else chosen[:1]

    def run_batch(self, shards: list[Shard], count: int, epoch: int, batch: int, *, update: bool) -> StepResult:
        """Train on this process's shards of a batch of `count` images, and on those of the others.

        Raises
        ------
        NonFiniteError
            On every process, if the loss or a gradient of any shard is infinite or NaN.
        """
        if not self._has_run:
            with self.communicator.one_first():  # which compiles for the others
                for shard, engine in zip(shards, self._engines, strict=True):
                    engine.compile(len(shard.labels), synchronized=self._synchronized)
            self._has_run = True
        passes = [
            ShardPass(self._trainer, engine, shard, stream(self._trainer.seed, "noise", epoch, batch, shard.number))
            for shard, engine in zip(shards, self._engines, strict=True)
        ]
        gradients = GradientSum(self.communicator, self.shards)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what is not finite is looked for
            for group in [passes] if self._synchronized else [[one] for one in passes]:
                self._pass_together(group, count, gradients)
        measured = self._sum([one.numbers for one in passes])
        (loss, correct, failed, stopping), learned = measured[:4], measured[4:] / count
        mean = gradients.mean(count)
        if failed:
            self._raise_first([one.failure for one in passes if one.failure is not None])
        start = 0
        for array in self._trainer.model.statistics.values():
            np.copyto(array, learned[start : start + array.size].reshape(array.shape), casting="unsafe")
            start += array.size
        self._trainer.apply(mean, count, update=update)
        if stopping:
            self.agree()
        return StepResult(loss / count, int(correct))

    def _pass_together(self, group: list[ShardPass], count: int, gradients: GradientSum) -> None:
        """Pass through some shards of a batch of `count` images in step."""
        whole = count if self._synchronized else None
        least = piece_of(self._trainer.engine.gradient) if self.communicator.overlaps else None
        for halts in zip(*(one.halts(whole, least) for one in group), strict=True):
            self.communicator.advance()
            for one, halt in zip(group, halts, strict=True):
                if isinstance(halt, Final):
                    gradients.add(one.number, halt, one.weigh(halt.taken_from(one.engine.gradient)))
            means = [halt.array for halt in halts if isinstance(halt, Mean)]
            if means:
                mean = self._sum([one.weigh(array) for one, array in zip(group, means, strict=True)]) / count
                for array in means:
                    array[:] = mean

    def _sum(self, arrays: Iterable[Array]) -> Array:
        """Return the sum over all shards, of which this process has these arrays."""
        partial = Partial()
        for number, array in zip(self.own, arrays, strict=True):
            partial.add(number, array)
        return self.communicator.sum(partial.nodes, self.shards)

    def _raise_first(self, failures: list[NonFiniteError]) -> None:
        """Raise the first error of any shard on all processes, one whose origin was found if there is one."""
        self.communicator.failed_together = True

        def first(some: list[NonFiniteError]) -> str | None:
            own = [json.dumps([str(error), error.step, error.layer, error.array]) for error in some]
            return first_text(self.communicator, own[0] if own else None)

        found = first([error for error in failures if error.array != NOT_FOUND]) or first(failures)
        text, step, layer, array = json.loads(found or "[]")
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
