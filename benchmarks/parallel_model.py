"""What a step of data-parallel training takes, from measured parts: the model behind `parallel_scaling.py`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from statistics import median

import numpy as np

from rot180.engine.halts import Final
from rot180.parallel.communicator import ALONE, Communicator
from rot180.parallel.messages import counts
from rot180.training import Trainer
from rot180.training.gradient_sum import piece_of


@dataclass(frozen=True)
class Link:
    """What connects a machine with the others."""

    bandwidth: float
    """Bits per second."""
    delay: float
    """Seconds until a small message has arrived."""

    def round(self, machines: int, size: float) -> float:
        """Return how long one of the two rounds of a sum of so many bytes takes: each sends its share to all others."""
        others = machines - 1
        return size * 8 / self.bandwidth * others / machines + self.delay * others


@dataclass(frozen=True)
class Parts:
    """What a step on one machine takes, in seconds."""

    fixed: float
    """Of a gradient, whatever the number of images."""
    image: float
    """For each image."""
    update: float
    """With everything that is done once to the sum of the gradients."""
    pieces: tuple[tuple[float, int], ...]
    """After what share of the gradient's time how many bytes of it are complete."""
    halts: tuple[float, ...]
    """After what shares of the gradient's time a machine looks whether a round is over, to begin the next one."""
    slowed: float = 0.0
    """By how much the gradient takes longer while its sum goes on, which needs the cores as well."""

    @property
    def size(self) -> int:
        """The bytes of the gradient."""
        return sum(size for _, size in self.pieces)

    def alone(self, images: int) -> float:
        """Return the seconds of a step on one machine."""
        return self.fixed + self.image * images + self.update

    def step(self, machines: int, images: int, link: Link, *, compressed: float = 1, overlap: bool = True) -> float:
        """Return the seconds of a step in which each machine has `images` images.

        The sum of a piece begins when it is complete; without `overlap`, after the backward pass. The link serves one
        round after the other. A sum of losses and counts follows, in one round of messages.
        """
        gradient = self.fixed + self.image * images + (self.slowed if overlap else 0.0)
        halts = [share * gradient for share in self.halts] if overlap else []
        ready = [(share * gradient if overlap else gradient, 1, size / compressed) for share, size in self.pieces]
        heapify(ready)
        now, done = 0.0, gradient
        while ready:
            begun, number, size = heappop(ready)
            now = max(now, begun) + link.round(machines, size)
            noticed = next((halt for halt in halts if halt >= now), max(now, gradient))
            if number == 1:
                heappush(ready, (noticed, 2, size))
            done = max(done, noticed)
        return done + link.delay * (machines - 1) + self.update


def measure(trainer: Trainer, sizes: tuple[int, int], repeats: int, together: Communicator = ALONE) -> Parts:
    """Measure the parts of a step from batches of two sizes: medians of what the slowest process takes."""

    def slowest(seconds: float) -> float:
        return max(counts(together, round(seconds * 1e9))) / 1e9

    model, generator, seconds = trainer.model, np.random.default_rng(0), []
    engine = trainer.engine
    for size in sizes:
        images = generator.standard_normal((size, *model.input_shape)).astype(np.float32)
        labels = np.arange(size) % model.output_shape[0]
        runs = []
        for _ in range(repeats + 2):
            together.barrier()
            began, complete, halts, own = time.perf_counter(), [], [], []
            for piece in trainer.form(engine, images, labels, None, generator, least=piece_of(engine.gradient)):
                halts.append(time.perf_counter() - began)
                if not isinstance(piece, Final):
                    continue
                complete.append((time.perf_counter() - began, piece.size))
                own.append(piece.taken_from(engine.gradient) * size)  # as for a sum
            own_seconds = time.perf_counter() - began
            complete = [(at / own_seconds, numbers) for at, numbers in complete]
            runs.append((slowest(own_seconds), complete, [at / own_seconds for at in halts]))
        runs = sorted(runs[2:], key=lambda run: run[0])
        seconds.append(runs[len(runs) // 2])
    (first, *_), (second, complete, halts) = seconds
    updates = []
    for _ in range(repeats + 1):
        together.barrier()
        began = time.perf_counter()
        mean = np.concatenate(own)
        mean /= sizes[1]
        trainer.apply(mean, sizes[1], update=True)
        updates.append(slowest(time.perf_counter() - began))
    image = max((second - first) / (sizes[1] - sizes[0]), 1e-9) if sizes[1] > sizes[0] else 0.0
    pieces = tuple((share, numbers * engine.gradient.itemsize) for share, numbers in complete)
    return Parts(second - image * sizes[1], image, median(updates[1:]), pieces, tuple(halts))
