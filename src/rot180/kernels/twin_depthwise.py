"""The depthwise cases of the compiled twins of `rot180.ops.conv2d`; arguments are already checked."""

from __future__ import annotations

import numpy as np

from rot180.kernels.call import packed
from rot180.kernels.depthwise import repeat_channels, sum_repeats
from rot180.kernels.depthwise_calls import Depthwise
from rot180.kernels.feature_map import FeatureMap, new_map
from rot180.kernels.finishing import biased
from rot180.kernels.memory import aligned
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array


def depthwise_conv2d(x: Array, w: Array, bias: Array, g: Geometry, y: Array) -> None:
    """Fill y (N, OH, OW, F) from x (N, H, W, C) and w (KH, KW, 1, F), whose F is a multiple of C."""
    _calls(_roomy(w), g).forward(_images(x, g, w.shape[3]), _map(y), biased(bias))()


def depthwise_data_gradient(delta: Array, w: Array, g: Geometry, x_shape: tuple[int, ...]) -> Array:
    """Return dx."""
    dx = np.empty((*x_shape[:3], w.shape[3]), w.dtype)
    calls = _calls(_roomy(w), g)
    calls.data_gradient(_padded(delta, calls.delta_room()), _map(dx), zeros_around=True)()
    if dx.shape == x_shape:
        return dx
    total = np.empty(x_shape, w.dtype)
    sum_repeats(dx, total, packed((0, 0)))
    return total


def depthwise_weight_gradient(delta: Array, x: Array, g: Geometry, w_shape: tuple[int, ...]) -> Array:
    """Return dw; there is room for a register after the end of delta."""
    dw = np.empty(w_shape, x.dtype)
    for call in _calls(dw, g).weight_gradient(_images(x, g, w_shape[3]), _map(delta), dw):
        call()
    return dw


def _calls(w: Array, g: Geometry) -> Depthwise:
    return Depthwise(w, g, scratch=lambda shape, dtype=None: aligned(shape, dtype or w.dtype))


def _images(x: Array, g: Geometry, filters: int) -> FeatureMap:
    """Return images with columns of zeros around them, and each channel repeated for its filters."""
    padded = _padded(x, g.padding[1])
    if x.shape[3] == filters:
        return padded
    repeated = aligned((*padded.array.shape[:3], filters), x.dtype)
    repeat_channels(padded.array, repeated)
    return FeatureMap(repeated, *padded.place, padded.height, padded.width)


def _padded(array: Array, columns: tuple[int, int]) -> FeatureMap:
    padded = new_map(len(array), array.shape[1:], ((0, 0), columns), array.dtype)
    padded.inside[...] = array
    return padded


def _roomy(array: Array) -> Array:
    roomy = aligned(array.shape, array.dtype)
    roomy[...] = array
    return roomy


def _map(array: Array) -> FeatureMap:
    return FeatureMap(array, 0, 0, *array.shape[1:3])
