"""Convolution as a layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.errors import ArgumentError, ShapeError, did_you_mean
from rot180.nn.hyper import Hyper
from rot180.nn.initializer import Initializer
from rot180.nn.layer import Shape
from rot180.nn.validation import as_pair, maps_only, optional_whole_number, plain_padding, whole_number
from rot180.nn.weighted import Weighted
from rot180.nn.word import join, padding_option, size
from rot180.ops import conv_winograd
from rot180.ops.conv2d import ALGORITHMS, conv2d, conv2d_backward
from rot180.ops.geometry import Geometry, geometry
from rot180.ops.types import Array, Padding, Pair


def convolution_algorithm(value: Any, name: str) -> str:
    """Check the name of a convolution algorithm."""
    if value not in ("auto", *ALGORITHMS):
        owner = name.partition(":")[0]
        raise ArgumentError(f"{owner}: unknown algorithm {value!r}{did_you_mean(str(value), ('auto', *ALGORITHMS))}")
    return str(value)


def check_algorithm(layer: Any, name: str) -> None:
    """Raise ArgumentError if the algorithm of a convolution or transposed convolution is not made for its geometry."""
    if layer.algorithm == "winograd":
        conv_winograd.check(name, layer.kernel_size, layer.stride, layer.dilation, layer.groups)


class Conv2d(Weighted):
    """Cross-correlate feature maps with learned filters.

    Parameters
    ----------
    out_channels : int
        Number of filters F.
    kernel_size : int or (int, int)
        Rows and columns of each filter, in pixels.
    stride, padding, dilation, groups, algorithm
        As in `rot180.ops.conv2d`.
    bias : bool
        Whether each filter has a bias, which starts at zero.
    initializer : str or function
        How to draw the initial weights; see `rot180.nn.initializer`.
    in_channels : int or None
        Channels of the input; None accepts any number.
    name, lr_factor
        As in `Layer`.

    Raises
    ------
    ArgumentError
        A value is invalid.

    Examples
    --------
    >>> layer = Conv2d(8, 5, padding="same")
    >>> layer.output_shape((28, 28, 1)), layer
    ((28, 28, 8), Conv2d(8, (5, 5), padding='same'))
    """

    kind = "conv"
    out_channels = Hyper(whole_number)
    kernel_size = Hyper(as_pair)
    stride = Hyper(as_pair)
    padding: Hyper[Padding] = Hyper(lambda value, _: plain_padding(value))
    dilation = Hyper(as_pair)
    in_channels = Hyper(optional_whole_number)
    algorithm = Hyper(convolution_algorithm)
    groups = Hyper(whole_number)

    def __init__(
        self,
        out_channels: int,
        kernel_size: Pair,
        *,
        stride: Pair = 1,
        padding: Padding = "valid",
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        initializer: str | Initializer = "auto",
        in_channels: int | None = None,
        algorithm: str = "auto",
        name: str = "",
        lr_factor: float = 1.0,
    ) -> None:
        super().__init__(bias=bias, initializer=initializer, name=name, lr_factor=lr_factor)
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups
        self.in_channels = in_channels
        self.algorithm = algorithm
        if self.out_channels % self.groups or (self.in_channels or 0) % self.groups:
            raise ArgumentError(
                f"Conv2d: groups must divide in_channels and out_channels; it is {groups}, in_channels {in_channels}, "
                f"out_channels {out_channels}"
            )
        check_algorithm(self, "Conv2d")

    @property
    def options(self) -> dict[str, Any]:
        """Return the keyword arguments that `ops.conv2d` and `ops.conv2d_backward` take."""
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
            "algorithm": self.algorithm,
        }

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (OH, OW, F)."""
        maps_only(self.label, "a convolution", input_shape)
        channels = input_shape[2]
        if self.in_channels not in (None, channels):
            raise ShapeError(
                f"{self.label}: the input has {channels} channels but in_channels is {self.in_channels} "
                f"(input {input_shape}); give in_channels={channels} or leave it out"
            )
        if channels % self.groups:
            raise ShapeError(
                f"{self.label}: groups must divide the input's channels; groups is {self.groups}, "
                f"the input {input_shape} has {channels}"
            )
        g = self.geometry(input_shape)
        return g.out_height, g.out_width, self.out_channels

    def geometry(self, input_shape: Shape) -> Geometry:
        """Return the geometry of the windows; raise ShapeError if none fits."""
        height, width, _ = input_shape
        check_algorithm(self, self.label)
        return geometry(
            height,
            width,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            name=self.label,
        )

    @property
    def outputs(self) -> int:
        """The number of filters."""
        return self.out_channels

    def weight_shape(self, input_shape: Shape) -> Shape:
        """Return (KH, KW, C/groups, F)."""
        return (*self.kernel_size, input_shape[2] // self.groups, self.out_channels)

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Array]:
        """Return y (N, OH, OW, F) and x."""
        return conv2d(x, self.weight, self.parameters.get("bias"), **self.options), x

    def backward(self, dy: Array, saved: Array, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dx and the gradients of weight and bias."""
        dx, dw, db = conv2d_backward(dy, saved, self.weight, needs=self.needs(needs_dx), **self.options)
        return dx, self.gradients(dw, db)

    def multiply_adds(self, input_shape: Shape) -> int:
        """Return OH*OW*F * KH*KW*C/groups."""
        height, width, filters = self.output_shape(input_shape)
        kernel_height, kernel_width = self.kernel_size
        return height * width * filters * kernel_height * kernel_width * (input_shape[2] // self.groups)

    def to_notation(self) -> str:
        """Return the layer as `conv5x5:32:same`."""
        return join(
            f"conv{self.kernel_size[0]}x{self.kernel_size[1]}:{self.out_channels}",
            padding_option(self.padding),
            f"s{size(self.stride)}" if self.stride != (1, 1) else "",
            f"d{size(self.dilation)}" if self.dilation != (1, 1) else "",
            f"g{self.groups}" if self.groups > 1 else "",
            f"algorithm={self.algorithm}" if self.algorithm != "auto" else "",
            *self.weight_options(),
        )
