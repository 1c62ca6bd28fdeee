"""The numbers that a normalization brings to mean 0 and variance 1 together, and its arrays that explain can show.

BatchNorm2d       a channel, over the batch              mean[c], var[c]
GroupNorm         a group of channels of an image        mean[n,g], var[n,g]
InstanceNorm2d    a channel of an image                  mean[n,c], var[n,c]
LayerNorm         the last axes of an image              mean[n,i,j], var[n,i,j], or fewer axes
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from rot180.nn.batch_norm import BatchNorm2d
from rot180.nn.group_norm import GroupNorm, InstanceNorm2d, LayerNorm
from rot180.nn.layer import Layer, Shape
from rot180.nn.normalization import Normalization

Index = tuple[int, ...]


@dataclass(frozen=True)
class Sets:
    """The sets of a normalization in a batch.

    Attributes
    ----------
    layer : Normalization
    shape : tuple of int
        The shape of the input, with the batch in front.
    """

    layer: Normalization
    shape: Shape

    @property
    def statistics_shape(self) -> Shape:
        """The shape of mean and variance; their first axis is that of the images, except for batch normalization."""
        if isinstance(self.layer, LayerNorm):
            return self.shape[: -self.layer.axes]
        return self.shape[-1:] if isinstance(self.layer, BatchNorm2d) else (self.shape[0], self._groups)

    @property
    def size(self) -> int:
        """The number of values in a set."""
        return math.prod(self.shape) // math.prod(self.statistics_shape)

    @property
    def _groups(self) -> int:
        return self.layer.num_groups if isinstance(self.layer, GroupNorm) else self.shape[-1]

    def of(self, index: Index) -> Index:
        """Return the index of the mean and variance that normalize a value."""
        if isinstance(self.layer, LayerNorm):
            return index[: -self.layer.axes]
        if isinstance(self.layer, BatchNorm2d):
            return index[-1:]
        return index[0], index[-1] * self._groups // self.shape[-1]

    def members(self, of: Index) -> Iterator[Index]:
        """Yield the indices of the values that a mean and variance are taken over."""
        axes = [range(n) for n in self.shape]
        if isinstance(self.layer, LayerNorm):
            axes[: len(of)] = [range(i, i + 1) for i in of]
        elif isinstance(self.layer, BatchNorm2d):
            axes[-1] = range(of[0], of[0] + 1)
        else:
            wide = self.shape[-1] // self._groups
            axes[0], axes[-1] = range(of[0], of[0] + 1), range(of[1] * wide, (of[1] + 1) * wide)
        yield from product(*axes)

    def parameter(self, index: Index) -> Index:
        """Return the index of the scale and shift of a value."""
        return index[-self.layer.axes :] if isinstance(self.layer, LayerNorm) else index[-1:]

    def sharing(self, parameter: Index) -> Iterator[Index]:
        """Yield the indices of the values with this scale and shift."""
        first = self.shape[: len(self.shape) - len(parameter)]
        yield from ((*place, *parameter) for place in product(*map(range, first)))


def own_arrays(layer: Layer, input_shape: Shape) -> dict[str, tuple[Shape, bool]]:
    """Return the shape, for one image, of each array of a normalization besides its parameters, and whether each image
    has its own; none for other layers.

    >>> from rot180.nn import BatchNorm2d, GroupNorm
    >>> own_arrays(BatchNorm2d(), (7, 5, 8))["mean"], own_arrays(GroupNorm(4), (7, 5, 8))["mean"]
    (((8,), False), ((4,), True))
    """
    if not isinstance(layer, (BatchNorm2d, GroupNorm, InstanceNorm2d, LayerNorm)):
        return {}
    shape = Sets(layer, (1, *input_shape)).statistics_shape
    of_image = not isinstance(layer, BatchNorm2d)
    statistic = (shape[1:] if of_image else shape, of_image)
    return {"mean": statistic, "var": statistic, "normalized": (input_shape, True)}
