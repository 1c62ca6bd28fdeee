"""The calls of batch normalization, for the engine's plans and for the twins."""

from __future__ import annotations

import numpy as np

from rot180.kernels.call import Call, Scratch, packed
from rot180.kernels.channelwise import parts_of, period_of
from rot180.kernels.elementwise import NOTHING
from rot180.kernels.feature_map import FeatureMap, joined
from rot180.kernels.normalization import batch_moments, norm_data_gradient, norm_sums, normalize
from rot180.ops.types import Array

PART_PIXELS = 128
"""Numbers of each position that a part has at least: with fewer, parts would be added up as long as they are summed."""


class Normalization:
    """Batch normalization of maps (N, H, W, C), and the activation after it.

    Parameters
    ----------
    gamma, beta, mean, var : (C,)
        Scale, shift, and the mean and variance to use; `moments` writes those of a batch there.
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
        mean: Array,
        var: Array,
        eps: float,
        *,
        kind: int = NOTHING,
        slope: float = 0.0,
        threads: int,
        scratch: Scratch,
    ) -> None:
        self._given = (mean, var, gamma, beta, float(eps))
        self._activation = (kind, float(slope))
        self._threads, self._scratch = threads, scratch

    def moments(self, x: FeatureMap) -> Call:
        """Write mean and biased variance of each channel over a batch."""
        mean, var, *_ = self._given
        (x,) = joined(x)
        pivots = self._scratch((period_of(x.array.shape[3], x.width, x.array.dtype),))
        scratch = (pivots, *self._sums(x))
        return Call(batch_moments, (x.array, *scratch, mean, var, packed((x.height, x.width, *x.place))))

    def forward(self, x: FeatureMap, y: FeatureMap, shortcut: FeatureMap | None = None) -> Call:
        """Normalize, add the shortcut if there is one, and apply the activation."""
        added = shortcut or x
        sizes = packed((x.height, x.width, *x.place, *added.place, *y.place))
        maps = (x.array, added.array, y.array, shortcut is not None)
        return Call(normalize, (*maps, *self._given, self._table(x, 3), *self._activation, sizes))

    def parameter_gradients(self, dy: FeatureMap, x: FeatureMap, dgamma: Array, dbeta: Array) -> Call:
        """Write the gradients of scale and shift."""
        dy, x = joined(dy, x)
        sizes = packed((x.height, x.width, *dy.place, *x.place))
        scratch = (self._table(x, 3), self._row(x), *self._sums(x))
        maps = (dy.array, x.array)
        return Call(norm_sums, (*maps, *self._given, *scratch, dgamma, dbeta, *self._activation, sizes))

    def data_gradient(self, dy: FeatureMap, x: FeatureMap, dx: FeatureMap, dgamma: Array, dbeta: Array) -> Call:
        """Write dx, given the other gradients."""
        sizes = packed((x.height, x.width, *dy.place, *x.place, *dx.place))
        maps = (dy.array, x.array, dx.array)
        scratch = (self._table(x, 5), self._row(x))
        return Call(norm_data_gradient, (*maps, *self._given, dgamma, dbeta, *scratch, *self._activation, sizes))

    def _table(self, x: FeatureMap, rows: int) -> Array:
        return self._scratch((rows, period_of(x.array.shape[3], x.width, x.array.dtype)))

    def _row(self, x: FeatureMap) -> Array:
        return self._scratch((self._threads, x.width * x.array.shape[3]))

    def _sums(self, x: FeatureMap) -> tuple[Array, Array]:
        rows, C = len(x.array) * x.height, x.array.shape[3]
        period = period_of(C, x.width, x.array.dtype)
        parts = parts_of(rows, rows * x.width * C // (PART_PIXELS * period))
        return self._scratch((parts, 2, period)), self._scratch((parts, 2, period), np.float64)
