"""The steps that Muon makes orthogonal, in place of the gradients that the update kernels take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from rot180.kernels.averaging import ema
from rot180.kernels.call import Call
from rot180.kernels.launching import most_threads
from rot180.kernels.memory import aligned
from rot180.kernels.orthogonal_calls import Orthogonalize
from rot180.nn.arena import Arena
from rot180.ops.muon import length
from rot180.ops.types import Array


class OrthogonalSteps:
    """Turns the gradients of some parameters into directions, along which SGD then steps.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        The parameters.
    dtype : float32 or float64
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], dtype: Any) -> None:
        self.shapes = {name: (math.prod(shape[:-1]), shape[-1]) for name, shape in shapes.items()}

        def scratch(shape: tuple[int, ...], dtype: Any = dtype) -> Array:
            return aligned(shape, dtype)

        self._dtype = dtype
        threads = most_threads()
        self._of_shape = {
            shape: Orthogonalize(shape, dtype, threads=threads, scratch=scratch) for shape in set(self.shapes.values())
        }

    def calls(self) -> list[Call]:
        """Return the calls of kernels with arguments of all types that occur."""
        calls = [call for one in self._of_shape.values() for call in one.calls]
        flat = np.zeros(1, self._dtype)
        return [*calls, Call(ema, (flat, flat, 0.5))] if calls else []

    def __call__(self, gradients: Arena, means: Arena, beta: float) -> None:
        """Update the running means, and put the directions where the gradients are."""
        for name, shape in self.shapes.items():
            gradient, mean = gradients.part([name]), means.part([name])
            ema(mean, gradient, 1 - beta)
            ema(gradient, mean, beta)  # Nesterov's look ahead
            self._of_shape[shape](gradient.reshape(shape), length(shape))
