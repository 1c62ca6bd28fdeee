"""Flatten feature maps to one row of numbers."""

from __future__ import annotations

import math

import numpy as np

from rot180.nn.layer import Layer, Shape
from rot180.ops.types import Array


class Flatten(Layer):
    """Join the feature maps of each image into one row, pixel by pixel, channels innermost.

    Examples
    --------
    >>> Flatten().output_shape((7, 7, 64))
    (3136,)
    """

    kind = "flatten"

    def __init__(self, *, name: str = "") -> None:
        super().__init__(name=name)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (H*W*C,)."""
        return (math.prod(input_shape),)

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Shape]:
        """Return x as (N, H*W*C), and its shape."""
        return x.reshape(x.shape[0], math.prod(x.shape[1:])), x.shape

    def backward(self, dy: Array, saved: Shape, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dy in the shape of x."""
        return dy.reshape(saved) if needs_dx else None, {}

    def to_notation(self) -> str:
        """Return `flatten`."""
        return "flatten"
