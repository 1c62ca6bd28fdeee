"""The common part of convolution and the fully connected layer: weight, bias and their initialization."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rot180.errors import ArgumentError
from rot180.nn.hyper import Hyper
from rot180.nn.initializer import Initializer, as_initializer, initialize
from rot180.nn.layer import Layer, Shape
from rot180.nn.word import number
from rot180.ops.types import Array


class Weighted(Layer):
    """A layer with a weight array, whose last axis is the outputs, and a bias (outputs,) that starts at zero."""

    groups = 1
    bias = Hyper(lambda value, _: bool(value))
    initializer = Hyper(lambda value, name: as_initializer(value, name.partition(":")[0]))

    def __init__(self, *, bias: bool, initializer: str | Initializer, name: str, lr_factor: float) -> None:
        super().__init__(name=name, lr_factor=lr_factor)
        self.bias = bias
        self.initializer = initializer

    def weight_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the weight for this input."""
        raise NotImplementedError

    @property
    def weight(self) -> Array:
        """The live weight array; raises ArgumentError before `build`."""
        if "weight" not in self.parameters:
            raise ArgumentError(f"{self.label} has no parameters yet; call build(input_shape) first")
        return self.parameters["weight"]

    def parameter_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the shapes of weight and bias."""
        weight = self.weight_shape(input_shape)
        return {"weight": weight, "bias": weight[-1:]} if self.bias else {"weight": weight}

    def build(
        self, input_shape: Shape, generator: np.random.Generator, *, dtype: Any = np.float32, activation: str = "linear"
    ) -> None:
        """Draw the weight and set the bias to zero."""
        self.output_shape(input_shape)
        shape = self.weight_shape(input_shape)
        weight = initialize(
            self.initializer,
            shape,
            fan_in=math.prod(shape[:-1]),
            fan_out=math.prod(shape[:-2]) * shape[-1] // self.groups,
            generator=generator,
            dtype=dtype,
            activation=activation,
        )
        self.parameters = {"weight": weight}
        if self.bias:
            self.parameters["bias"] = np.zeros(shape[-1], dtype)

    def needs(self, needs_dx: bool) -> tuple[str, ...]:
        """Return the gradients that the backward operation should compute."""
        return (*("x" * needs_dx), "w", *("b" * self.bias))

    def gradients(self, dw: Array | None, db: Array | None) -> dict[str, Array]:
        """Return the gradients by local name."""
        return {name: array for name, array in (("weight", dw), ("bias", db)) if array is not None}

    def weight_options(self) -> tuple[str, ...]:
        """Return the options of the notation for bias, initializer and learning-rate factor."""
        is_named = isinstance(self.initializer, str) and self.initializer != "auto"
        return (
            "" if self.bias else "nobias",
            f"init={self.initializer}" if is_named else "",
            "" if self.lr_factor == 1 else f"lr={number(self.lr_factor)}",
        )
