"""The common part of convolution and transposed convolution: their arguments, channels and groups."""

from __future__ import annotations

from typing import Any

from rot180.errors import ArgumentError, ShapeError, did_you_mean
from rot180.nn.hyper import Hyper
from rot180.nn.initializer import Initializer
from rot180.nn.layer import Shape
from rot180.nn.validation import as_pair, maps_only, optional_whole_number, whole_number
from rot180.nn.weighted import Weighted
from rot180.nn.word import size
from rot180.ops import conv_winograd
from rot180.ops.conv2d import ALGORITHMS
from rot180.ops.types import Pair


def _algorithm(value: Any, name: str) -> str:
    if value not in ("auto", *ALGORITHMS):
        owner = name.partition(":")[0]
        raise ArgumentError(f"{owner}: unknown algorithm {value!r}{did_you_mean(str(value), ('auto', *ALGORITHMS))}")
    return str(value)


class ConvolutionLayer(Weighted):
    """A layer that slides filters over feature maps."""

    out_channels = Hyper(whole_number)
    kernel_size = Hyper(as_pair)
    stride = Hyper(as_pair)
    dilation = Hyper(as_pair)
    in_channels = Hyper(optional_whole_number)
    algorithm = Hyper(_algorithm)
    groups = Hyper(whole_number)

    def __init__(
        self,
        out_channels: int,
        kernel_size: Pair,
        *,
        stride: Pair,
        dilation: Pair,
        groups: int,
        bias: bool,
        initializer: str | Initializer,
        in_channels: int | None,
        algorithm: str,
        name: str,
        lr_factor: float,
    ) -> None:
        super().__init__(bias=bias, initializer=initializer, name=name, lr_factor=lr_factor)
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.dilation = dilation
        self.groups = groups
        self.in_channels = in_channels
        self.algorithm = algorithm
        own = type(self).__name__
        if self.out_channels % self.groups or (self.in_channels or 0) % self.groups:
            raise ArgumentError(
                f"{own}: groups must divide in_channels and out_channels; it is {groups}, in_channels {in_channels}, "
                f"out_channels {out_channels}"
            )
        self.check_algorithm(own)

    @property
    def outputs(self) -> int:
        """The number of filters."""
        return self.out_channels

    def check_input(self, what: str, input_shape: Shape) -> None:
        """Raise ShapeError if this input does not fit the layer, called `what`."""
        maps_only(self.label, what, input_shape)
        channels = input_shape[2]
        if self.in_channels not in (None, channels):
            raise ShapeError(
                f"{self.label}: the input has {channels} channels but in_channels is {self.in_channels} "
                f"(input {input_shape}); give in_channels={channels} or leave it out"
            )

    def check_algorithm(self, name: str) -> None:
        """Raise ArgumentError if the algorithm is not made for the kernel, stride, dilation and groups."""
        if self.algorithm == "winograd":
            conv_winograd.check(name, self.kernel_size, self.stride, self.dilation, self.groups)

    def window_options(self) -> tuple[str, ...]:
        """Return the options of the notation from the stride on."""
        return (
            f"s{size(self.stride)}" if self.stride != (1, 1) else "",
            f"d{size(self.dilation)}" if self.dilation != (1, 1) else "",
            f"g{self.groups}" if self.groups > 1 else "",
            f"algorithm={self.algorithm}" if self.algorithm != "auto" else "",
            *self.weight_options(),
        )
