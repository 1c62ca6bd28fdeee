"""The common part of convolution and the fully connected layer: weight, bias and their initialization."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from rot180.nn.hyper import Hyper
from rot180.nn.initializer import Initializer, as_initializer, initialize
from rot180.nn.layer import Layer, Shape
from rot180.nn.word import number
from rot180.ops.types import Array

if TYPE_CHECKING:
    from rot180.nn.network import Network


class Weighted(Layer):
    """A layer with a weight array and a bias (outputs,) that starts at zero."""

    groups = 1
    bias = Hyper(lambda value, _: bool(value))
    initializer = Hyper(lambda value, name: as_initializer(value, name.partition(":")[0]))

    def __init__(self, *, bias: bool, initializer: str | Initializer, name: str, lr_factor: float) -> None:
        super().__init__(name=name, lr_factor=lr_factor)
        self.bias = bias
        self.initializer = initializer

    @property
    def outputs(self) -> int:
        """The number of filters or units, each of which has a bias."""
        raise NotImplementedError

    def weight_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the weight for this input."""
        raise NotImplementedError

    def fans(self, input_shape: Shape) -> tuple[int, int]:
        """Return how many inputs an output sums, and how many outputs an input reaches; for the initializers."""
        shape = self.weight_shape(input_shape)
        return math.prod(shape[:-1]), math.prod(shape[:-2]) * shape[-1] // self.groups

    @property
    def weight(self) -> Array:
        """The live weight array; raises ArgumentError before `build`."""
        return self.parameter("weight")

    def parameter_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the shapes of weight and bias."""
        weight = self.weight_shape(input_shape)
        return {"weight": weight, "bias": (self.outputs,)} if self.bias else {"weight": weight}

    def build(
        self, input_shape: Shape, generator: np.random.Generator, *, dtype: Any = np.float32, activation: str = "linear"
    ) -> None:
        """Draw the weight and set the bias to zero."""
        self.output_shape(input_shape)
        fan_in, fan_out = self.fans(input_shape)
        weight = initialize(
            self.initializer,
            self.weight_shape(input_shape),
            fan_in=fan_in,
            fan_out=fan_out,
            generator=generator,
            dtype=dtype,
            activation=activation,
        )
        self.parameters = {"weight": weight}
        if self.bias:
            self.parameters["bias"] = np.zeros(self.outputs, dtype)

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


def build_with_zeros(model: Network, dtype: Any) -> None:
    """Build a network without drawing initial weights, which would take most of the time of loading it."""
    initializers = {layer: layer.initializer for layer in model.layers if isinstance(layer, Weighted)}
    for layer in initializers:
        layer.initializer = "zeros"
    model.build(dtype=dtype)
    for layer, initializer in initializers.items():
        layer.initializer = initializer
