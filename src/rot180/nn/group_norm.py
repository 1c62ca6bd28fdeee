"""Normalization within one image: layer, group and instance normalization."""

from __future__ import annotations

import numpy as np

from rot180.errors import ShapeError
from rot180.nn.hyper import Hyper
from rot180.nn.layer import Shape
from rot180.nn.normalization import EPS, Normalization
from rot180.nn.validation import maps_only, whole_number
from rot180.nn.word import join
from rot180.ops.group_norm import group_norm, group_norm_backward, layer_norm, layer_norm_backward
from rot180.ops.types import Array


class LayerNorm(Normalization):
    """Normalize over the last axes of one image: the channels of each pixel, or the whole image.

    Parameters
    ----------
    axes : int
        How many of the last axes are normalized together. 1, the default, takes the channels of each pixel (or all
        values of a vector), as in ConvNeXt and transformers: PyTorch's `LayerNorm(C)` on channels-last arrays. 3 takes
        the whole image: PyTorch's `LayerNorm((H, W, C))`.
    eps : float
        Added to the variance.
    affine : bool
        Whether each normalized value has a learned scale and shift; PyTorch's `elementwise_affine`.
    name, lr_factor
        As in `Layer`.

    References
    ----------
    Ba, Kiros and Hinton (2016), arXiv:1607.06450.

    Examples
    --------
    >>> LayerNorm().parameter_shapes((7, 7, 64)), LayerNorm(3).parameter_shapes((7, 7, 64))["weight"]
    ({'weight': (64,), 'bias': (64,)}, (7, 7, 64))
    """

    kind = "ln"
    axes = Hyper(whole_number)

    def __init__(
        self, axes: int = 1, *, eps: float = EPS, affine: bool = True, name: str = "", lr_factor: float = 1.0
    ) -> None:
        super().__init__(eps=eps, affine=affine, name=name, lr_factor=lr_factor)
        self.axes = axes

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        if self.axes > len(input_shape):
            raise ShapeError(
                f"{self.label}: axes must be at most {len(input_shape)} for {input_shape}; it is {self.axes}"
            )
        self.require_several(input_shape, input_shape[-self.axes :])
        return input_shape

    def weight_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of scale and shift: one of each per value that is normalized together."""
        return input_shape[-self.axes :]

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Array]:
        """Return y and x."""
        weight, bias = self.scale_and_shift(x)
        return layer_norm(x, weight, bias, axes=self.axes, eps=self.eps), x

    def backward(self, dy: Array, saved: Array, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dx and the gradients of weight and bias."""
        dx, dweight, dbias = layer_norm_backward(
            dy, saved, self.scale_and_shift(saved)[0], axes=self.axes, eps=self.eps
        )
        return dx if needs_dx else None, self.gradients(dweight, dbias)

    def to_notation(self) -> str:
        """Return `ln` or `ln:axes=3`."""
        return join("ln", "" if self.axes == 1 else f"axes={self.axes}", *self.options())


class _ByChannels(Normalization):
    """Normalization of groups of channels over all pixels of one image."""

    def groups_of(self, channels: int) -> int:
        """Return the number of groups."""
        raise NotImplementedError

    def forward(
        self, x: Array, *, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Array]:
        """Return y and x."""
        weight, bias = self.scale_and_shift(x)
        return group_norm(x, weight, bias, self.groups_of(x.shape[-1]), eps=self.eps), x

    def backward(self, dy: Array, saved: Array, *, needs_dx: bool = True) -> tuple[Array | None, dict[str, Array]]:
        """Return dx and the gradients of weight and bias."""
        weight, _ = self.scale_and_shift(saved)
        dx, dweight, dbias = group_norm_backward(dy, saved, weight, self.groups_of(saved.shape[-1]), eps=self.eps)
        return dx if needs_dx else None, self.gradients(dweight, dbias)


class GroupNorm(_ByChannels):
    """Normalize groups of neighboring channels over all pixels of one image.

    Parameters
    ----------
    num_groups : int
        Divides the channels. One group takes the whole image; as many groups as channels is `InstanceNorm2d`.
    eps : float
        Added to the variance.
    affine : bool
        Whether each channel has a learned scale and shift.
    name, lr_factor
        As in `Layer`.

    References
    ----------
    Wu and He (2018), arXiv:1803.08494.

    Examples
    --------
    >>> layer = GroupNorm(2)
    >>> layer.output_shape((8, 8, 6)), layer.parameter_shapes((8, 8, 6))["weight"]
    ((8, 8, 6), (6,))
    """

    kind = "gn"
    num_groups = Hyper(whole_number)

    def __init__(
        self, num_groups: int, *, eps: float = EPS, affine: bool = True, name: str = "", lr_factor: float = 1.0
    ) -> None:
        super().__init__(eps=eps, affine=affine, name=name, lr_factor=lr_factor)
        self.num_groups = num_groups

    def groups_of(self, channels: int) -> int:
        """Return the number of groups."""
        return self.num_groups

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        if input_shape[-1] % self.num_groups:
            raise ShapeError(
                f"{self.label}: num_groups must divide the input's channels; it is {self.num_groups}, the input "
                f"{input_shape} has {input_shape[-1]}"
            )
        self.require_several(input_shape, (*input_shape[:-1], input_shape[-1] // self.num_groups))
        return input_shape

    def to_notation(self) -> str:
        """Return the layer as `gn4`."""
        return join(f"gn{self.num_groups}", *self.options())


class InstanceNorm2d(_ByChannels):
    """Normalize each channel of each image over its pixels.

    Parameters
    ----------
    eps : float
        Added to the variance.
    affine : bool
        Whether each channel has a learned scale and shift; as in PyTorch, it has none by default.
    name, lr_factor
        As in `Layer`.

    References
    ----------
    Ulyanov, Vedaldi and Lempitsky (2016), arXiv:1607.08022.

    Examples
    --------
    >>> y, _ = InstanceNorm2d().forward(np.array([1.0, 3.0]).reshape(1, 1, 2, 1))
    >>> y.round(3).ravel()
    array([-1.,  1.])
    """

    kind = "in"

    def __init__(self, *, eps: float = EPS, affine: bool = False, name: str = "", lr_factor: float = 1.0) -> None:
        super().__init__(eps=eps, affine=affine, name=name, lr_factor=lr_factor)

    def groups_of(self, channels: int) -> int:
        """Return one group per channel."""
        return channels

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape, (H, W, C)."""
        maps_only(self.label, "instance normalization", input_shape)
        self.require_several(input_shape, input_shape[:2])
        return input_shape

    def to_notation(self) -> str:
        """Return `in` or `in:affine`."""
        return join("in", *self.options(affine=False))
