"""This project as a contender, through its public interface."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

import rot180
from rot180.ops import softmax
from workloads import LEARNING_RATE, ConvPass, Workload

VERSIONS = {"rot180": rot180.__version__, "numpy": np.__version__}


def set_threads(threads: int) -> None:
    """Say how many cores to use; the environment has said it already to Numba and BLAS."""
    if hasattr(rot180, "set_threads"):
        rot180.set_threads(threads)


class Contender:
    """A training step or a prediction, on one engine."""

    def __init__(self, workload: Workload, threads: int, *, engine: str) -> None:
        set_threads(threads)
        self.model = rot180.network(workload.notation).build(seed=0)
        weights = workload.weights()
        parameters = self.model.parameters
        if set(weights) != set(parameters):
            raise ValueError(f"the parameters are {sorted(parameters)}, the workload has {sorted(weights)}")
        for name, value in weights.items():
            parameters[name][...] = value
        self.trainer = rot180.Trainer(self.model, optimizer="adam", engine=engine)
        self.trainer.optimizer.lr = LEARNING_RATE
        self.step = self._infer if workload.task == "infer" else self._train

    def prepare(self, images: np.ndarray, labels: np.ndarray) -> tuple[Any, Any]:
        """Return the batch as it is: what users hand over."""
        return images, labels

    def set_learning_rate(self, rate: float) -> None:
        """Change the optimizer's learning rate."""
        self.trainer.optimizer.lr = rate

    def _train(self, images: np.ndarray, labels: np.ndarray) -> float:
        return self.trainer.step(images, labels)

    def _infer(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        # What rot180.predict does for each batch, on an engine that is there already.
        ready = self.model.preprocessing(images, dtype=self.model.dtype)
        return softmax(self.trainer.engine.forward(ready))


def conv_pass(job: ConvPass, threads: int) -> Callable[[], object]:
    """Return a function that runs one pass of one convolution with the compiled twins of `rot180.ops`.

    Raises
    ------
    ImportError
        The kernels are not there.
    """
    from rot180.kernels import conv2d, conv2d_backward

    set_threads(threads)
    x, w, dy = job.arrays()
    if job.which == "forward":
        return lambda: conv2d(x, w, padding="same")
    needs = {"data": ("x",), "weights": ("w",)}[job.which]
    options: dict[str, Any] = {"padding": "same", "needs": needs}
    if "algorithm" in inspect.signature(conv2d_backward).parameters:
        options["algorithm"] = "auto"
    return lambda: conv2d_backward(dy, x, w, **options)
