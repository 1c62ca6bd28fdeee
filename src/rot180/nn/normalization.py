"""The common part of all normalizations: the learned scale and shift that follow them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rot180.errors import ShapeError
from rot180.nn.hyper import Hyper
from rot180.nn.layer import Layer, Shape
from rot180.nn.validation import positive_number
from rot180.nn.word import number
from rot180.ops.types import Array

EPS = 1e-5
"""The usual number added to a variance, as in PyTorch."""


class Normalization(Layer):
    """A layer that subtracts a mean, divides by a standard deviation, and then scales and shifts what it obtained.

    y = weight * (x - mean) / sqrt(var + eps) + bias. The weight (gamma) starts at one and the bias (beta) at zero, so
    that a new layer only normalizes. Without `affine` they stay so, and there is nothing to learn.
    """

    eps = Hyper(positive_number)
    affine = Hyper(lambda value, _: bool(value))

    def __init__(self, *, eps: float, affine: bool, name: str, lr_factor: float) -> None:
        super().__init__(name=name, lr_factor=lr_factor)
        self.eps = eps
        self.affine = affine

    @property
    def has_parameters(self) -> bool:
        """Whether scale and shift are learned."""
        return self.affine

    def weight_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of scale and shift: one of each per channel."""
        return input_shape[-1:]

    def parameter_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the shapes of weight and bias."""
        return dict.fromkeys(("weight", "bias"), self.weight_shape(input_shape)) if self.affine else {}

    def build(
        self, input_shape: Shape, generator: np.random.Generator, *, dtype: Any = np.float32, activation: str = "linear"
    ) -> None:
        """Set the weight to one and the bias to zero."""
        self.output_shape(input_shape)
        shapes = self.parameter_shapes(input_shape)
        self.parameters = {name: np.full(shape, name == "weight", dtype) for name, shape in shapes.items()}

    def scale_and_shift(self, x: Array) -> tuple[Array, Array]:
        """Return weight and bias for a batch: the parameters, or ones and zeros."""
        if self.affine:
            return self.parameter("weight"), self.parameter("bias")
        shape = self.weight_shape(x.shape[1:])
        return np.ones(shape, x.dtype), np.zeros(shape, x.dtype)

    def gradients(self, dweight: Array, dbias: Array) -> dict[str, Array]:
        """Return the gradients by local name."""
        return {"weight": dweight, "bias": dbias} if self.affine else {}

    def require_several(self, input_shape: Shape, together: Shape) -> None:
        """Raise ShapeError if a mean would be taken over a single value, which is then always normalized to zero."""
        if math.prod(together) < 2:
            raise ShapeError(
                f"{self.label}: a single value has no variance; the input {input_shape} gives one value to normalize "
                f"at a time; normalize more values together, or leave the layer out"
            )

    def options(self, *, affine: bool = True) -> tuple[str, ...]:
        """Return the options of the notation; `affine` is the default of the layer."""
        return (
            "" if self.eps == EPS else f"eps={number(self.eps)}",
            "" if self.affine == affine else "affine" if self.affine else "noaffine",
            "" if self.lr_factor == 1 else f"lr={number(self.lr_factor)}",
        )
