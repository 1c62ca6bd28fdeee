"""Transposed convolution as a layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.errors import ArgumentError
from rot180.nn.convolution_layer import ConvolutionLayer
from rot180.nn.hyper import Hyper
from rot180.nn.initializer import Initializer
from rot180.nn.layer import Shape
from rot180.nn.validation import as_pair
from rot180.nn.word import join, size
from rot180.ops.conv_transpose2d import conv_transpose2d, conv_transpose2d_backward, transposed_shape
from rot180.ops.types import Array, Pair


class ConvTranspose2d(ConvolutionLayer):
    """Enlarge feature maps with learned filters: the data gradient of a convolution as a layer.

    Parameters
    ----------
    out_channels : int
        Number of filters F.
    kernel_size : int or (int, int)
        Rows and columns over which a pixel is spread.
    stride, padding, output_padding, dilation, groups, algorithm
        As in `rot180.ops.conv_transpose2d`: a stride enlarges, and padding crops.
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
    >>> layer = ConvTranspose2d(8, 2, stride=2)
    >>> layer.output_shape((7, 7, 16)), layer.weight_shape((7, 7, 16))
    ((14, 14, 8), (2, 2, 8, 16))
    """

    kind = "convt"
    padding = Hyper(as_pair, 0)
    output_padding = Hyper(as_pair, 0)

    def __init__(
        self,
        out_channels: int,
        kernel_size: Pair,
        *,
        stride: Pair = 1,
        padding: Pair = 0,
        output_padding: Pair = 0,
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
        self.output_padding = output_padding
        if any(more >= step for more, step in zip(self.output_padding, self.stride, strict=True)):
            raise ArgumentError(
                f"ConvTranspose2d: output_padding must be below the stride; it is {output_padding}, stride {stride}"
            )

    @property
    def options(self) -> dict[str, Any]:
        """Return the keyword arguments that `ops.conv_transpose2d` and its backward take, besides the algorithm."""
        return {
            "stride": self.stride,
            "padding": self.padding,
            "output_padding": self.output_padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (OH, OW, F)."""
        self.check_input("a transposed convolution", input_shape)
        self.check_algorithm(self.label)
        return transposed_shape(self.label, (1, *input_shape), self.weight_shape(input_shape), **self.options)[1:]

    def weight_shape(self, input_shape: Shape) -> Shape:
        """Return (KH, KW, F/groups, C)."""
        return (*self.kernel_size, self.out_channels // self.groups, input_shape[2])

    def fans(self, input_shape: Shape) -> tuple[int, int]:
        """Return how many inputs an output sums on average, and how many outputs an input reaches.

        With a stride only one tap of the kernel in `stride` meets a pixel of the input, in rows and in columns.
        """
        kernel_height, kernel_width, filters, channels = self.weight_shape(input_shape)
        taps = kernel_height * kernel_width
        steps = self.stride[0] * self.stride[1]
        return max(taps * (channels // self.groups) // steps, 1), taps * filters

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Array]:
        """Return y (N, OH, OW, F) and x."""
        bias = self.parameters.get("bias")
        return conv_transpose2d(x, self.weight, bias, algorithm=self.algorithm, **self.options), x

    def backward(self, dy: Array, saved: Array, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dx and the gradients of weight and bias."""
        dx, dw, db = conv_transpose2d_backward(
            dy, saved, self.weight, needs=self.needs(needs_dx), algorithm=self.algorithm, **self.options
        )
        return dx, self.gradients(dw, db)

    def multiply_adds(self, input_shape: Shape) -> int:
        """Return H*W*C * KH*KW*F/groups."""
        height, width, channels = input_shape
        kernel_height, kernel_width, filters, _ = self.weight_shape(input_shape)
        return height * width * channels * kernel_height * kernel_width * filters

    def to_notation(self) -> str:
        """Return the layer as `convt2x2:16:s2`."""
        return join(
            f"convt{self.kernel_size[0]}x{self.kernel_size[1]}:{self.out_channels}",
            f"pad{size(self.padding)}" if self.padding != (0, 0) else "",
            f"outpad{size(self.output_padding)}" if self.output_padding != (0, 0) else "",
            *self.window_options(),
        )
