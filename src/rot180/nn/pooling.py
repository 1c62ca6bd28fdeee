"""Pooling: each window is reduced to its maximum or its mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.nn.hyper import Hyper
from rot180.nn.layer import Layer, Shape
from rot180.nn.validation import as_pair, maps_only, plain_padding
from rot180.nn.word import join, padding_option, size
from rot180.ops.geometry import Geometry, pool_geometry
from rot180.ops.pooling import avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward
from rot180.ops.types import Array, Padding, Pair


class _Pool2d(Layer):
    """The common part of both poolings: the geometry of the windows."""

    kind = "pool"
    kernel_size = Hyper(as_pair)
    stride = Hyper(as_pair)
    padding: Hyper[Padding] = Hyper(lambda value, _: plain_padding(value))
    ceil_mode = Hyper(lambda value, _: bool(value))

    def __init__(
        self,
        kernel_size: Pair,
        *,
        stride: Pair | None = None,
        padding: Padding = "valid",
        ceil_mode: bool = False,
        name: str = "",
    ) -> None:
        super().__init__(name=name)
        self.kernel_size = kernel_size
        self.stride = self.kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode

    @property
    def options(self) -> dict[str, Any]:
        """Return the keyword arguments that the operations take."""
        return {"stride": self.stride, "padding": self.padding, "ceil_mode": self.ceil_mode}

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (OH, OW, C)."""
        maps_only(self.label, "pooling", input_shape)
        g = self.geometry(input_shape)
        return g.out_height, g.out_width, input_shape[2]

    def geometry(self, input_shape: Shape) -> Geometry:
        """Return the geometry of the windows; raise ShapeError if none fits."""
        height, width, _ = input_shape
        return pool_geometry(
            height,
            width,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            ceil_mode=self.ceil_mode,
            name=self.label,
        )

    def _word(self, stem: str, *options: str) -> str:
        stride = "" if self.stride == self.kernel_size else f"s{size(self.stride)}"
        ceil = "ceil" if self.ceil_mode else ""
        return join(f"{stem}{size(self.kernel_size)}", padding_option(self.padding), stride, ceil, *options)


class MaxPool2d(_Pool2d):
    """Take the maximum of each window; in case of ties the first, in row-major order, receives all of delta.

    Parameters
    ----------
    kernel_size : int or (int, int)
        Rows and columns of the window, in pixels.
    stride : int, (int, int) or None
        Distance between windows in pixels; None places them side by side.
    padding
        As in `rot180.ops.conv2d`; padded with -inf.
    ceil_mode : bool
        Whether the last windows may reach beyond the padded image, as in PyTorch, instead of leaving pixels over.
    name
        As in `Layer`.

    Examples
    --------
    >>> MaxPool2d(2).output_shape((28, 28, 8))
    (14, 14, 8)
    >>> MaxPool2d(3, stride=2).output_shape((112, 112, 8))
    (55, 55, 8)
    >>> MaxPool2d(3, stride=2, ceil_mode=True).output_shape((112, 112, 8))
    (56, 56, 8)
    """

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, tuple[Array, Shape]]:
        """Return y (N, OH, OW, C), and the position of each maximum."""
        y, winners = max_pool2d(x, self.kernel_size, **self.options)
        return y, (winners, x.shape)

    def backward(
        self, dy: Array, saved: tuple[Array, Shape], *, needs_dx: bool = True
    ) -> tuple[Array | None, dict[str, Array]]:
        """Return dx: each delta at the position of its maximum."""
        winners, shape = saved
        return max_pool2d_backward(dy, winners, shape, self.kernel_size, **self.options) if needs_dx else None, {}

    def to_notation(self) -> str:
        """Return the layer as `maxpool2`."""
        return self._word("maxpool")


class AvgPool2d(_Pool2d):
    """Take the mean of each window.

    Parameters
    ----------
    kernel_size, stride, ceil_mode, name
        As in `MaxPool2d`.
    padding
        As in `rot180.ops.conv2d`; padded with zeros.
    count_include_pad : bool
        Whether the padding counts in the mean; what lies beyond it never does.

    Examples
    --------
    >>> AvgPool2d((2, 4)).output_shape((28, 28, 8))
    (14, 7, 8)
    """

    count_include_pad = Hyper(lambda value, _: bool(value))

    def __init__(
        self,
        kernel_size: Pair,
        *,
        stride: Pair | None = None,
        padding: Padding = "valid",
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        name: str = "",
    ) -> None:
        super().__init__(kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode, name=name)
        self.count_include_pad = count_include_pad

    @property
    def options(self) -> dict[str, Any]:
        """Return the keyword arguments that the operations take."""
        return {**super().options, "count_include_pad": self.count_include_pad}

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Shape]:
        """Return y (N, OH, OW, C) and the shape of x."""
        return avg_pool2d(x, self.kernel_size, **self.options), x.shape

    def backward(self, dy: Array, saved: Shape, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dx: each delta divided equally over its window."""
        return avg_pool2d_backward(dy, saved, self.kernel_size, **self.options) if needs_dx else None, {}

    def to_notation(self) -> str:
        """Return the layer as `avgpool2`."""
        return self._word("avgpool", "" if self.count_include_pad else "excludepad")
