"""Convolution as a layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.errors import ShapeError
from rot180.nn.convolution_layer import ConvolutionLayer
from rot180.nn.hyper import Hyper
from rot180.nn.initializer import Initializer
from rot180.nn.layer import Shape
from rot180.nn.validation import plain_padding
from rot180.nn.word import join, padding_option
from rot180.ops.conv2d import conv2d, conv2d_backward
from rot180.ops.geometry import Geometry, geometry
from rot180.ops.types import Array, Padding, Pair


class Conv2d(ConvolutionLayer):
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
    padding: Hyper[Padding] = Hyper(lambda value, _: plain_padding(value))

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
        super().__init__(
            out_channels,
            kernel_size,
            stride=stride,
            dilation=dilation,
            groups=groups,
            bias=bias,
            initializer=initializer,
            in_channels=in_channels,
            algorithm=algorithm,
            name=name,
            lr_factor=lr_factor,
        )
        self.padding = padding

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
        self.check_input("a convolution", input_shape)
        if input_shape[2] % self.groups:
            raise ShapeError(
                f"{self.label}: groups must divide the input's channels; groups is {self.groups}, "
                f"the input {input_shape} has {input_shape[2]}"
            )
        g = self.geometry(input_shape)
        return g.out_height, g.out_width, self.out_channels

    def geometry(self, input_shape: Shape) -> Geometry:
        """Return the geometry of the windows; raise ShapeError if none fits."""
        height, width, _ = input_shape
        self.check_algorithm(self.label)
        return geometry(
            height,
            width,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            name=self.label,
        )

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
            *self.window_options(),
        )
