"""Layers of one's own that hold other layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.nn import Conv2d, ReLU
from rot180.nn.layer import Layer, Shape
from rot180.ops.types import Array


class Residual(Layer):
    """y = x + second(relu(first(x))), its two convolutions' arrays listed under names of its own."""

    kind = "residual"

    def __init__(self, padding: int = 1) -> None:
        super().__init__()
        self.padding = padding

    def build(
        self, input_shape: Shape, generator: np.random.Generator, *, dtype: Any = np.float32, activation: str = "linear"
    ) -> None:
        self.first = Conv2d(input_shape[2], 3, padding=1)
        self.relu = ReLU()
        self.second = Conv2d(input_shape[2], 3, padding=1)
        self.first.build(input_shape, generator, dtype=dtype, activation="relu")
        self.second.build(input_shape, generator, dtype=dtype)
        self.parameters = {
            f"{name}.{local}": array
            for name, layer in (("first", self.first), ("second", self.second))
            for local, array in layer.parameters.items()
        }

    def forward(self, x: Array, *, training: bool = False, generator: Any = None) -> tuple[Array, Any]:
        hidden, saved_first = self.first.forward(x)
        hidden, saved_relu = self.relu.forward(hidden)
        y, saved_second = self.second.forward(hidden)
        return x + 0.5 * y, (saved_first, saved_relu, saved_second)

    def backward(self, dy: Array, saved: Any, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        delta, second = self.second.backward(0.5 * dy, saved[2])
        delta, _ = self.relu.backward(delta, saved[1])
        delta, first = self.first.backward(delta, saved[0])
        gradients = {
            **{f"first.{local}": gradient for local, gradient in first.items()},
            **{f"second.{local}": gradient for local, gradient in second.items()},
        }
        return dy + delta, gradients


class Shared(Layer):
    """Scale and shift, whose parameters are views of one array of its own that forward reads."""

    kind = "shared"

    def build(
        self, input_shape: Shape, generator: np.random.Generator, *, dtype: Any = np.float32, activation: str = "linear"
    ) -> None:
        self._sub = np.ones((input_shape[-1], 2), dtype)
        self._sub[:, 1] = 0.1
        self.parameters = {"scale": self._sub[:, 0], "shift": self._sub[:, 1]}

    def forward(self, x: Array, *, training: bool = False, generator: Any = None) -> tuple[Array, Any]:
        return x * self._sub[:, 0] + self._sub[:, 1], x

    def backward(self, dy: Array, saved: Array, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        axes = tuple(range(dy.ndim - 1))
        return dy * self._sub[:, 0], {"scale": (dy * saved).sum(axes), "shift": dy.sum(axes)}
