"""The cost of a training step on the compiled engine, predicted from its plan.

A plan lists its steps with their multiply-adds and the bytes that they touch. The speed of this machine for each
kind of step is measured on the plans of a few small networks, once per process: a step is predicted to take as long as
the most similar measured ones per multiply-add, or per byte if nothing is multiplied.
"""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from rot180.engine.compiled import CompiledEngine
from rot180.engine.plan import Plan
from rot180.engine.step import Step
from rot180.engine.threads import apply_threads, most_threads
from rot180.errors import ArgumentError, Rot180Error
from rot180.inside.busy import BUSY, share_of_others
from rot180.inside.machine import best_time
from rot180.nn import Network, network
from rot180.training.trainer import Trainer

__all__ = ["CompiledCost", "StepCost", "compiled_cost"]

SAMPLES = (
    "20x20x1 > conv5x5:24:same relu maxpool2 > conv5x5:40:same relu maxpool2 > fc160 relu > fc12",
    "10x10x1 > conv3x3:12:same relu > conv3x3:24:same relu maxpool2 > fc48 relu > fc12",
    "24x24x1 > conv5x5:5:same tanh avgpool2 > conv5x5:14 tanh avgpool2 > fc90 tanh > fc60 tanh > fc12",
    "24x24x3 > conv5x5:10 leakyrelu maxpool2 > conv3x3:20 relu maxpool2 dropout0.3 > fc24 sigmoid > fc12",
    "16x16x8 > conv3x3:32:same noisyrelu avgpool2 > conv3x3:64:s2 relu > fc200 relu > fc12",
    "12x12x16 > conv1:32 bn relu6 conv3x3:32:same:g32 bn silu ( conv3x3:32:same bn + skip ) relu > gap > fc12",
    "16x16x8 > conv1:16 conv3x3:32:same relu > conv3x3:48:same bn relu maxpool2 > conv5x5:24:same relu > gap > fc12",
    "8x8x24 > ( skip | conv1:8 ) ( skip * gap fc8 hardswish fc32 hardsigmoid ) > gap > fc12",
)
"""Sample networks whose plans contain the usual kinds of steps, at the sizes of small and medium networks."""
NEAREST = 2
"""The number of measured steps of a kind that a prediction uses."""
CALL = 2e-6
"""The time of calling a kernel, in seconds, whatever it does."""
BUDGET = 0.002
"""The time in seconds for which one step is repeated."""


@dataclass(frozen=True)
class StepCost:
    """One step of a plan."""

    layers: str
    step: str
    is_forward: bool
    multiply_adds: int
    """Counted by definition."""
    multiply_adds_made: int
    """Those that are made: fewer by minimal filtering."""
    bytes: int
    predicted: float | None
    """Time in seconds; None for a layer that runs in NumPy, of which no step was measured."""
    measured: float | None
    """Time in seconds, the best of several runs; None if not measured."""


@dataclass(frozen=True)
class CompiledCost:
    """The cost of a training step on the compiled engine; from `compiled_cost`."""

    notation: str
    batch_size: int
    threads: int
    """The number of threads predicted to be fastest."""
    steps: tuple[StepCost, ...]
    beside: float
    """Predicted time outside the steps of the plan, in seconds: copying the images, the loss, testing for infinity."""
    measured_total: float | None
    """Time of whole training steps in seconds, the best of several."""

    @property
    def predicted_total(self) -> float | None:
        """Predicted time of a whole training step, in seconds; None if that of a step is unknown."""
        return None if self.unknown else self.beside + sum(step.predicted or 0.0 for step in self.steps)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The layers that run in NumPy, whose time cannot be predicted."""
        return tuple(dict.fromkeys(step.layers for step in self.steps if step.predicted is None))

    def to_dict(self) -> dict[str, Any]:
        """Return everything, for JSON."""
        return {**vars(self), "steps": [vars(step) for step in self.steps], "predicted_total": self.predicted_total}


@dataclass(frozen=True)
class _Measured:
    """A step that was timed: the logarithms of its work and its bytes, and its seconds."""

    work: float
    bytes: float
    seconds: float


def compiled_cost(
    model: Network, batch_size: int = 32, *, optimizer: str = "adam", measure: bool = False
) -> CompiledCost:
    """Predict how long a training step takes on the compiled engine.

    Parameters
    ----------
    model : Network
        A network whose input shape is known; it is not changed.
    batch_size : int
        Images per step.
    optimizer : str
        The name of the optimizer.
    measure : bool
        Also run each step by itself, and whole training steps, on random images.

    Returns
    -------
    CompiledCost

    Raises
    ------
    ArgumentError
        The engine cannot run this network, or the batch is empty.

    Examples
    --------
    >>> import rot180
    >>> found = compiled_cost(rot180.network("6x6x1 > conv3x3:8 relu > fc4"), 8)
    >>> found.steps[1].step, 0 < found.predicted_total < 1
    ('convolve', True)
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ArgumentError(f"cost: batch_size must be an int, at least 1; it is {batch_size!r}")
    bench = _Bench(model, batch_size, optimizer)
    best: tuple[float, int, list[float | None], float] | None = None
    counts = _thread_counts()
    for threads in counts:
        known, beside = _speeds(threads, batch_size, optimizer)
        seconds = [_predicted(step, known) for step in bench.steps]
        total_seconds = beside + sum(second or 0.0 for second in seconds)
        if best is None or total_seconds < best[0]:
            best = (total_seconds, threads, seconds, beside)
    if best is None:
        raise ArgumentError("cost: no thread is available")
    _, threads, seconds, beside = best
    times: list[float | None] = [None] * len(seconds)
    total = None
    if measure:
        total = min(bench.whole(count) for count in counts)
        times = [min(pair) for pair in zip(*(bench.times(count) for count in counts), strict=True)]
    forward = len(bench.plan.forward)
    return CompiledCost(
        notation=str(model),
        batch_size=batch_size,
        threads=threads,
        steps=tuple(
            StepCost(
                step.layers,
                step.does,
                index < forward,
                step.multiply_adds,
                step.multiply_adds_made,
                step.bytes,
                predicted,
                measured,
            )
            for index, (step, predicted, measured) in enumerate(zip(bench.steps, seconds, times, strict=True))
        ),
        beside=beside,
        measured_total=total,
    )


def _thread_counts() -> list[int]:
    """Return the numbers of threads that the engine would choose from: only one if other programs occupy the rest."""
    return [1] if share_of_others() >= BUSY else sorted({1, most_threads()})


class _Bench:
    """A copy of a network on the compiled engine, with its plan, and a batch to run it on."""

    def __init__(self, model: Network, batch_size: int, optimizer: str) -> None:
        twin = copy.deepcopy(model)
        self.trainer = Trainer(twin, optimizer=optimizer, loss="auto", engine="compiled")
        try:
            engine = self.trainer.prepare(twin.input_shape)
        except Rot180Error as error:
            raise ArgumentError(f"cost: the compiled engine cannot run this network ({error})") from None
        if not isinstance(engine, CompiledEngine):
            raise ArgumentError("cost: the compiled engine cannot run this network")
        self.engine = engine
        generator = np.random.default_rng(0)
        self.images = generator.random((batch_size, *twin.input_shape), dtype=np.float32).astype(twin.dtype)
        self.target = (
            generator.integers(0, twin.output_shape[-1], batch_size)
            if len(twin.output_shape) == 1
            else np.zeros((batch_size, *twin.output_shape), twin.dtype)
        )
        self.whole(1, budget=0.0)  # so that buffers, winners and deltas have the values of training
        self.plan: Plan = engine.plan(batch_size, self.trainer.optimizer)

    @property
    def steps(self) -> list[Step]:
        return [*self.plan.forward, *self.plan.backward]

    def whole(self, threads: int, *, budget: float = 0.1) -> float:
        """Return the best time of a training step."""
        generator = np.random.default_rng(0)

        def step() -> None:
            apply_threads(threads)
            self.engine._train_step(self.images, self.target, self.trainer.optimizer, generator, True)

        try:
            return best_time(step, budget=budget, least=3)
        finally:
            apply_threads(most_threads())

    def times(self, threads: int) -> list[float]:
        """Return the best time of each step of the plan."""
        apply_threads(threads)
        try:
            return [best_time(step.prepared(), budget=BUDGET) for step in self.steps]
        finally:
            apply_threads(most_threads())


@cache
def _speeds(threads: int, batch_size: int, optimizer: str) -> tuple[dict[str, list[_Measured]], float]:
    """Measure the steps of the sample networks by kind, and the time of a training step outside its plan."""
    known: dict[str, list[_Measured]] = defaultdict(list)
    beside = []
    for bench in _samples(batch_size, optimizer):
        times = bench.times(threads)
        for step, seconds in zip(bench.steps, times, strict=True):
            known[step.does].append(_Measured(math.log(_work(step)), math.log(max(step.bytes, 1)), seconds))
        beside.append(max(bench.whole(threads, budget=0.02) - sum(times), 0.0))
    return dict(known), float(np.median(beside))


@cache
def _samples(batch_size: int, optimizer: str) -> tuple[_Bench, ...]:
    return tuple(_Bench(network(text), batch_size, optimizer) for text in SAMPLES)


def _work(step: Step) -> int:
    return max(step.multiply_adds or step.bytes, 1)


def _predicted(step: Step, known: dict[str, list[_Measured]]) -> float | None:
    """Return the seconds of the nearest measured steps of its kind, each scaled by the work; None if it is in NumPy."""
    if step.does in ("forward in NumPy", "backward in NumPy"):
        return None
    work, size = math.log(_work(step)), math.log(max(step.bytes, 1))
    candidates = known.get(step.does)
    if candidates is None:  # no sample has this kind: as fast as steps that move or multiply as much
        candidates = [one for some in known.values() for one in some if (one.work == one.bytes) == (work == size)]
    nearest = sorted(candidates, key=lambda one: abs(one.work - work) + abs(one.bytes - size))[:NEAREST]
    weights = [1 / (0.1 + abs(one.work - work) + abs(one.bytes - size)) for one in nearest]
    logs = [math.log(_scaled(one, work)) for one in nearest]
    return math.exp(sum(w * value for w, value in zip(weights, logs, strict=True)) / sum(weights))


def _scaled(one: _Measured, work: float) -> float:
    """Scale a time by the work, except for the time of calling a kernel."""
    call = min(one.seconds, CALL)
    return call + max(one.seconds - call, 0.02 * one.seconds) * math.exp(work - one.work)
