"""Enlarging feature maps by interpolation."""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.errors import ArgumentError, did_you_mean
from rot180.nn.hyper import Hyper
from rot180.nn.layer import Layer, Shape
from rot180.nn.validation import as_pair, maps_only
from rot180.nn.word import join, size
from rot180.ops.geometry import geometry
from rot180.ops.resize import MODES, resize2d, resize2d_backward
from rot180.ops.types import Array, Pair


def _mode(value: Any, name: str) -> str:
    if value not in MODES:
        raise ArgumentError(f"{name.partition(':')[0]}: unknown mode {value!r}{did_you_mean(str(value), MODES)}")
    return str(value)


class Upsample(Layer):
    """Multiply rows and columns by interpolation.

    Parameters
    ----------
    scale_factor : int or (int, int)
        Factors of rows and columns.
    mode : {"nearest", "bilinear"}
        "nearest" repeats pixels; "bilinear" interpolates between their centers, as PyTorch does with
        `align_corners=False`.
    name
        As in `Layer`.

    Examples
    --------
    >>> Upsample(2).output_shape((7, 5, 64))
    (14, 10, 64)
    """

    kind = "up"
    scale_factor = Hyper(as_pair)
    mode = Hyper(_mode)

    def __init__(self, scale_factor: Pair, *, mode: str = "nearest", name: str = "") -> None:
        super().__init__(name=name)
        self.scale_factor = scale_factor
        self.mode = mode

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the rows and columns times their factors."""
        maps_only(self.label, "resizing", input_shape)
        height, width = (n * factor for n, factor in zip(input_shape, self.scale_factor, strict=False))
        geometry(height, width, 1, name=self.label)  # a result of lawful size
        return height, width, input_shape[2]

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Shape]:
        """Return y (N, OH, OW, C) and the shape of x."""
        height, width, _ = self.output_shape(x.shape[1:])
        return resize2d(x, (height, width), self.mode), x.shape

    def backward(self, dy: Array, saved: Shape, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dx: each delta at the pixels that it was interpolated from, with the same weights."""
        return resize2d_backward(dy, saved, self.mode) if needs_dx else None, {}

    def to_notation(self) -> str:
        """Return the layer as `up2` or `up2:bilinear`."""
        return join(f"up{size(self.scale_factor)}", "" if self.mode == "nearest" else self.mode)
