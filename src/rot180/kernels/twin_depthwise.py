"""The depthwise cases of the compiled twins of `rot180.ops.conv2d`; arguments are already checked."""

from __future__ import annotations

import numpy as np

from rot180.kernels.call import packed
from rot180.kernels.depthwise import repeat_channels, sum_repeats
from rot180.kernels.depthwise_calls import Depthwise
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.memory import aligned
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array


def depthwise_conv2d(x: Array, w: Array, bias: Array, g: Geometry, y: Array) -> None:
    """Fill y (N, OH, OW, F) from x (N, H, W, C) and w (KH, KW, 1, F), whose F is a multiple of C."""
    _calls(_roomy(w), g).forward(_map(_repeated(x, w.shape[3])), bias, _map(y))()


def depthwise_data_gradient(delta: Array, w: Array, g: Geometry, x_shape: tuple[int, ...]) -> Array:
    """Return dx; there is room for a register after the end of delta."""
    dx = np.empty((*x_shape[:3], w.shape[3]), w.dtype)
    _calls(_roomy(w), g).data_gradient(_map(delta), _map(dx))()
    if dx.shape == x_shape:
        return dx
    total = np.empty(x_shape, w.dtype)
    sum_repeats(dx, total, packed((0, 0)))
    return total


def depthwise_weight_gradient(delta: Array, x: Array, g: Geometry, w_shape: tuple[int, ...]) -> Array:
    """Return dw; there is room for a register after the end of delta."""
    dw = np.empty(w_shape, x.dtype)
    for call in _calls(dw, g).weight_gradient(_map(_repeated(x, w_shape[3])), _map(delta), dw):
        call()
    return dw


def _calls(w: Array, g: Geometry) -> Depthwise:
    return Depthwise(w, g, scratch=lambda shape, dtype=None: aligned(shape, dtype or w.dtype))


def _repeated(x: Array, filters: int) -> Array:
    """Return x with each channel repeated for its filters, with room after the end."""
    if x.shape[3] == filters:
        return _roomy(x)
    repeated = aligned((*x.shape[:3], filters), x.dtype)
    repeat_channels(x, repeated)
    return repeated


def _roomy(array: Array) -> Array:
    roomy = aligned(array.shape, array.dtype)
    roomy[...] = array
    return roomy


def _map(array: Array) -> FeatureMap:
    return FeatureMap(array, 0, 0, *array.shape[1:3])
