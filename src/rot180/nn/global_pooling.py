"""Pooling to a given size: one value per channel, or a given number of rows and columns."""

from __future__ import annotations

import numpy as np

from rot180.nn.hyper import Hyper
from rot180.nn.layer import Layer, Shape
from rot180.nn.validation import as_pair, maps_only
from rot180.ops.geometry import Geometry, geometry
from rot180.ops.resize import (
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward,
    global_avg_pool2d,
    global_avg_pool2d_backward,
    global_max_pool2d,
    global_max_pool2d_backward,
)
from rot180.ops.types import Array, Pair


class _GlobalPool2d(Layer):
    """Pooling of whole maps: (H, W, C) to (C,), which a fully connected layer takes as it is."""

    kind = "pool"

    def __init__(self, *, name: str = "") -> None:
        super().__init__(name=name)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (C,)."""
        maps_only(self.label, "pooling", input_shape)
        return input_shape[2:]

    def geometry(self, input_shape: Shape) -> Geometry:
        """Return the geometry of the only window, which holds the whole map."""
        height, width, _ = input_shape
        return geometry(height, width, (height, width), name=self.label)


class GlobalAvgPool2d(_GlobalPool2d):
    """Take the mean of each map.

    References
    ----------
    Lin, Chen and Yan (2014), arXiv:1312.4400.

    Examples
    --------
    >>> GlobalAvgPool2d().output_shape((7, 7, 512))
    (512,)
    """

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Shape]:
        """Return y (N, C) and the shape of x."""
        return global_avg_pool2d(x), x.shape

    def backward(self, dy: Array, saved: Shape, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dx: each delta divided equally over its map."""
        return global_avg_pool2d_backward(dy, saved) if needs_dx else None, {}

    def to_notation(self) -> str:
        """Return `gap`."""
        return "gap"


class GlobalMaxPool2d(_GlobalPool2d):
    """Take the maximum of each map; in case of ties the first, in row-major order, receives all of delta.

    Examples
    --------
    >>> GlobalMaxPool2d().output_shape((7, 7, 512))
    (512,)
    """

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, tuple[Array, Shape]]:
        """Return y (N, C), and the position of each maximum."""
        y, winners = global_max_pool2d(x)
        return y, (winners, x.shape)

    def backward(
        self, dy: Array, saved: tuple[Array, Shape], *, needs_dx: bool = True
    ) -> tuple[Array | None, dict[str, Array]]:
        """Return dx: each delta at the position of its maximum."""
        return global_max_pool2d_backward(dy, *saved) if needs_dx else None, {}

    def to_notation(self) -> str:
        """Return `gmp`."""
        return "gmp"


class AdaptiveAvgPool2d(Layer):
    """Take the mean of windows that divide the maps evenly into a given number of rows and columns.

    Parameters
    ----------
    output_size : int or (int, int)
        Rows and columns of the result, whatever the size of the maps. Where they do not divide it, neighboring windows
        share pixels.
    name
        As in `Layer`.

    Examples
    --------
    >>> AdaptiveAvgPool2d(7).output_shape((15, 10, 64))
    (7, 7, 64)
    """

    kind = "pool"
    output_size = Hyper(as_pair)

    def __init__(self, output_size: Pair, *, name: str = "") -> None:
        super().__init__(name=name)
        self.output_size = output_size

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (OH, OW, C)."""
        maps_only(self.label, "pooling", input_shape)
        return (*self.output_size, input_shape[2])

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Shape]:
        """Return y (N, OH, OW, C) and the shape of x."""
        return adaptive_avg_pool2d(x, self.output_size), x.shape

    def backward(self, dy: Array, saved: Shape, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dx: each delta divided equally over its window."""
        return adaptive_avg_pool2d_backward(dy, saved) if needs_dx else None, {}

    def to_notation(self) -> str:
        """Return the layer as `adaptavg7x7`."""
        return f"adaptavg{self.output_size[0]}x{self.output_size[1]}"
