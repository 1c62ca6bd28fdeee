"""Layers across channels: local response normalization, channel shuffling and slices."""

from __future__ import annotations

import numpy as np

from rot180.errors import ShapeError
from rot180.nn.hyper import Hyper
from rot180.nn.layer import Layer, Shape
from rot180.nn.validation import positive_number, real_number, whole_number
from rot180.nn.word import join, number
from rot180.ops.channels import (
    channel_shuffle,
    channel_shuffle_backward,
    channel_slice,
    channel_slice_backward,
    local_response_norm,
    local_response_norm_backward,
)
from rot180.ops.types import Array


class LocalResponseNorm(Layer):
    """Divide each channel by a power of the mean square of its neighbors: x / (k + alpha * mean)**beta.

    Parameters
    ----------
    size : int
        Channels in a window, of which the middle one is normalized.
    alpha, beta, k : float
        As in the formula, with PyTorch's defaults: the sum of squares is divided by `size`, as in PyTorch, and not as
        in the original paper.
    name
        As in `Layer`.

    References
    ----------
    Krizhevsky, Sutskever and Hinton (2012), ImageNet classification with deep convolutional neural networks.

    Examples
    --------
    >>> LocalResponseNorm(1, alpha=1, beta=0.5, k=1).forward(np.array([[2.0, 0.0]]))[0].round(4)  # 2 / sqrt(1 + 4)
    array([[0.8944, 0.    ]])
    """

    kind = "lrn"
    size = Hyper(whole_number)
    alpha = Hyper(real_number)
    beta = Hyper(real_number)
    k = Hyper(positive_number)

    def __init__(
        self, size: int = 5, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, name: str = ""
    ) -> None:
        super().__init__(name=name)
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Array]:
        """Return y and x."""
        return local_response_norm(x, self.size, alpha=self.alpha, beta=self.beta, k=self.k), x

    def backward(self, dy: Array, saved: Array, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dx, to which each channel and its neighbors contribute."""
        if not needs_dx:
            return None, {}
        return local_response_norm_backward(dy, saved, self.size, alpha=self.alpha, beta=self.beta, k=self.k), {}

    def to_notation(self) -> str:
        """Return the layer as `lrn5` or `lrn5:k=2`."""
        return join(
            f"lrn{self.size}",
            "" if self.alpha == 1e-4 else f"alpha={number(self.alpha)}",
            "" if self.beta == 0.75 else f"beta={number(self.beta)}",
            "" if self.k == 1 else f"k={number(self.k)}",
        )


class ChannelShuffle(Layer):
    """Interleave the channels of several groups, so that the next grouped convolution sees channels of all of them.

    Parameters
    ----------
    groups : int
        Divides the channels.
    name
        As in `Layer`.

    References
    ----------
    Zhang, Zhou, Lin and Sun (2018), arXiv:1707.01083.

    Examples
    --------
    >>> ChannelShuffle(2).forward(np.array([[0.0, 1.0, 2.0, 3.0]]))[0]
    array([[0., 2., 1., 3.]])
    """

    kind = "shuffle"
    groups = Hyper(whole_number)

    def __init__(self, groups: int, *, name: str = "") -> None:
        super().__init__(name=name)
        self.groups = groups

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        if input_shape[-1] % self.groups:
            raise ShapeError(
                f"{self.label}: groups must divide the input's channels; groups is {self.groups}, "
                f"the input {input_shape} has {input_shape[-1]}"
            )
        return input_shape

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, None]:
        """Return y; backward needs nothing."""
        return channel_shuffle(x, self.groups), None

    def backward(self, dy: Array, saved: None, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dy, its channels moved back."""
        return channel_shuffle_backward(dy, self.groups) if needs_dx else None, {}

    def to_notation(self) -> str:
        """Return the layer as `shuffle2`."""
        return f"shuffle{self.groups}"


class ChannelSlice(Layer):
    """Keep some neighboring channels, as in ShuffleNet V2, where half of them skip a block.

    Parameters
    ----------
    out_channels : int
        How many.
    start : int
        The first of them, counted from 0.
    name
        As in `Layer`.

    References
    ----------
    Ma, Zhang, Zheng and Sun (2018), arXiv:1807.11164.

    Examples
    --------
    >>> ChannelSlice(2, start=1).forward(np.array([[0.0, 1.0, 2.0, 3.0]]))[0]
    array([[1., 2.]])
    """

    kind = "slice"
    out_channels = Hyper(whole_number)
    start = Hyper(lambda value, name: whole_number(value, name, 0))

    def __init__(self, out_channels: int, *, start: int = 0, name: str = "") -> None:
        super().__init__(name=name)
        self.out_channels = out_channels
        self.start = start

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape with fewer channels."""
        if self.start + self.out_channels > input_shape[-1]:
            raise ShapeError(
                f"{self.label}: the slice must lie inside the input's channels; it is {self.start} to "
                f"{self.start + self.out_channels}, the input {input_shape} has {input_shape[-1]}"
            )
        return (*input_shape[:-1], self.out_channels)

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, int]:
        """Return y and the number of x's channels."""
        return channel_slice(x, self.out_channels, self.start), x.shape[-1]

    def backward(self, dy: Array, saved: int, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dy in its place among zeros."""
        return channel_slice_backward(dy, saved, self.start) if needs_dx else None, {}

    def to_notation(self) -> str:
        """Return the layer as `slice58` or `slice58:from58`."""
        return join(f"slice{self.out_channels}", f"from{self.start}" if self.start else "")
