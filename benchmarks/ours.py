"""This project as a contender, through its public interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import rot180
from deep import DeepWorkload
from workloads import LEARNING_RATE, ConvPass, Workload

VERSIONS = {"rot180": rot180.__version__, "numpy": np.__version__}

_BEGINNINGS = {
    "forward": "",
    "data": ("data gradient", "pack weights", "pack kernel rows", "transform weights"),
    "weights": ("weight gradient", "add up"),
}
"""How the descriptions of the steps of each pass begin."""


def set_threads(threads: int) -> None:
    """Set the number of cores; Numba and BLAS already have it from the environment."""
    if hasattr(rot180, "set_threads"):
        rot180.set_threads(threads)


class Contender:
    """A training step or a prediction, on one engine."""

    def __init__(self, workload: Workload | DeepWorkload, threads: int, *, engine: str) -> None:
        set_threads(threads)
        self.model = rot180.network(workload.notation).build(seed=0)
        weights = workload.weights()
        state = self.model.state
        if set(weights) != set(state):
            raise ValueError(f"the arrays are {sorted(state)}, the workload has {sorted(weights)}")
        for name, value in weights.items():
            state[name][...] = value
        for layer in self.model.layers:
            if isinstance(layer, rot180.BatchNorm2d):
                layer.frozen = isinstance(workload, DeepWorkload) and workload.frozen
        self.trainer = rot180.Trainer(self.model, optimizer=workload.optimizer, engine=engine)
        self.trainer.optimizer.lr = LEARNING_RATE
        self.step = self._infer if workload.task == "infer" else self._train

    def prepare(self, images: np.ndarray, labels: np.ndarray) -> tuple[Any, Any]:
        """Return the batch as it is: what users pass."""
        return images, labels

    def set_learning_rate(self, rate: float) -> None:
        """Change the optimizer's learning rate."""
        self.trainer.optimizer.lr = rate

    def _train(self, images: np.ndarray, labels: np.ndarray) -> float:
        return self.trainer.step(images, labels)

    def _infer(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        # What rot180.predict does for each batch once the engine exists.
        ready = self.model.preprocessing(images, dtype=self.model.dtype)
        return self.trainer.engine.forward(ready, softmax=True)


def conv_pass(job: ConvPass, threads: int) -> Callable[[], object]:
    """Return a function that runs one pass of one convolution as a training step does: by the engine's steps.

    The convolution follows another one, so that there is a data gradient, and is followed by a ReLU.
    """
    from numba import config

    from rot180 import Conv2d, ReLU, Sequential
    from rot180.engine.planning import make_plan

    set_threads(threads)
    layers = [Conv2d(job.channels, 1, name="below"), ReLU(), Conv2d(job.filters, job.size, padding="same", name="it")]
    model = Sequential([*layers, ReLU()], input_shape=(job.height, job.width, 1)).build(seed=0)
    gradients = {name: np.zeros_like(array) for name, array in model.parameters.items()}
    plan = make_plan(model, job.batch, training=True, threads=config.NUMBA_NUM_THREADS, gradients=gradients)
    generator = np.random.default_rng(180)
    plan.x.inside[:] = generator.random(plan.x.inside.shape)
    plan.run_forward()
    plan.dy.inside[:] = generator.standard_normal(plan.dy.inside.shape)
    plan.run_backward()
    direction = plan.forward if job.which == "forward" else plan.backward
    own = [step for step in direction if step.layers.split()[0] == "it"]
    steps = [step for step in own if step.does.startswith(_BEGINNINGS[job.which])]
    if not any(step.multiply_adds for step in steps):
        raise ImportError(f"the plan has no step for {job.name}")

    calls = [step.prepared() for step in steps]

    def run() -> None:
        for call in calls:
            call()

    return run
