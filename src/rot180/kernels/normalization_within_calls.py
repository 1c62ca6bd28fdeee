"""The calls of normalization within an image, for the engine's plans and for the twins."""

from __future__ import annotations

import numpy as np

from rot180.kernels.call import Call, Scratch, packed
from rot180.kernels.channelwise import parts_of, period_of
from rot180.kernels.elementwise import NOTHING
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.normalization_within import group_gradients, group_normalize, layer_gradients, layer_normalize
from rot180.kernels.simd import lane_count_of
from rot180.ops.types import Array


class GroupNormalization:
    """Group normalization of maps (N, H, W, C), and the activation after it.

    Parameters
    ----------
    gamma, beta : (C,)
    groups : int
        As many as channels for instance normalization.
    eps : float
    kind, slope : int, float
        The activation: a kind of `kernels.activation`, and its number.
    threads : int
        The most threads.
    scratch : Scratch
        Provides arrays whose contents need not last.
    """

    def __init__(
        self,
        gamma: Array,
        beta: Array,
        groups: int,
        eps: float,
        *,
        kind: int = NOTHING,
        slope: float = 0.0,
        threads: int,
        scratch: Scratch,
    ) -> None:
        self._given = (gamma, beta, groups, float(eps))
        self._activation = (kind, float(slope))
        self._threads, self._scratch = threads, scratch

    def forward(self, x: FeatureMap, y: FeatureMap) -> Call:
        """Normalize and apply the activation."""
        sizes = packed((x.height, x.width, *x.place, *y.place))
        return Call(group_normalize, (x.array, y.array, *self._given, *self._sums(x), *self._activation, sizes))

    def backward(self, dy: FeatureMap, x: FeatureMap, dx: FeatureMap, gradients: Array) -> Call:
        """Write dx, and the gradients of scale and shift to `gradients` (2, C)."""
        sizes = packed((x.height, x.width, *dy.place, *x.place, *dx.place))
        N, C = len(x.array), x.array.shape[3]
        shares, row = self._scratch((N, 2, C), np.float64), self._scratch((self._threads, x.width * C))
        table, *sums = self._sums(x)
        scratch = (gradients, shares, table, row, *sums)
        return Call(group_gradients, (dy.array, x.array, dx.array, *self._given, *scratch, *self._activation, sizes))

    def _sums(self, x: FeatureMap) -> tuple[Array, Array, Array]:
        period = period_of(x.array.shape[3], x.width, x.array.dtype)
        shape = (self._threads, 2, period)
        return self._scratch((self._threads, 5, period)), self._scratch(shape), self._scratch(shape, np.float64)


class LayerNormalization:
    """Normalization of the channels of each pixel; parameters as those of `GroupNormalization`."""

    def __init__(self, gamma: Array, beta: Array, eps: float, *, scratch: Scratch) -> None:
        self._gamma, self._beta, self._eps, self._scratch = gamma, beta, float(eps), scratch

    def forward(self, x: FeatureMap, y: FeatureMap) -> Call:
        """Normalize."""
        sizes = packed((x.height, x.width, *x.place, *y.place))
        return Call(layer_normalize, (x.array, y.array, self._gamma, self._beta, self._eps, sizes))

    def backward(self, dy: FeatureMap, x: FeatureMap, dx: FeatureMap, gradients: Array) -> Call:
        """Write dx, and the gradients of scale and shift to `gradients` (2, C)."""
        sizes = packed((x.height, x.width, *dy.place, *x.place, *dx.place))
        C, lanes = x.array.shape[3], lane_count_of(x.array.dtype)
        parts = parts_of(len(x.array) * x.height)
        scratch = (self._scratch((parts, 2, C), np.float64), self._scratch((parts, 2, -(-C // lanes) * lanes)))
        maps = (dy.array, x.array, dx.array)
        return Call(layer_gradients, (*maps, self._gamma, self._eps, gradients, *scratch, sizes))
