"""The compiled twins of `rot180.ops.conv2d`: any stride, padding, dilation and groups.

Arguments are checked by the same code as for the reference, then padded, packed and passed to the kernels. The engine
makes the same calls, but with buffers of its own that it need not allocate and pad each time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from rot180.errors import ShapeError
from rot180.kernels.call import Call, Scratch, packed
from rot180.kernels.convolution_calls import Convolution
from rot180.kernels.copying import copy
from rot180.kernels.feature_map import NO_PADDING, FeatureMap, Sides, new_map
from rot180.kernels.finishing import biased
from rot180.kernels.launching import most_threads
from rot180.kernels.memory import aligned
from rot180.kernels.operands import contiguous, float_type
from rot180.kernels.pointwise_calls import Pointwise, is_pointwise
from rot180.kernels.twin_depthwise import depthwise_conv2d, depthwise_data_gradient, depthwise_weight_gradient
from rot180.kernels.winograd_calls import Winograd, delta_room, image_room, is_filtered
from rot180.kernels.winograd_weights_calls import filters_weights, weight_gradient_by_tiles
from rot180.ops.conv2d import _geometry, _with_unfolded, check_needs
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array, Padding, Pair


def conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = "valid",
    dilation: Pair = 1,
    groups: int = 1,
    algorithm: str = "auto",
    x_col: Array | None = None,
) -> Array:
    """Compiled twin of `rot180.ops.conv2d`.

    `algorithm` "winograd" is computed by minimal filtering, and so is "auto" where the engine does; the other names and
    `x_col` are checked and make no difference.
    """
    name = "conv2d"
    g = _geometry(name, x, w, stride, padding, dilation, groups, algorithm)
    _with_unfolded(name, algorithm, x_col, x, g)
    dtype = float_type(name, x=x, w=w)
    if b is not None:
        dtype = float_type(name, x=x, w=w, b=b)
        if b.shape != (w.shape[3],):
            raise ShapeError(f"conv2d: b must have one value per filter, shape ({w.shape[3]},); it has {b.shape}")
    y = np.empty((x.shape[0], g.out_height, g.out_width, w.shape[3]), dtype)
    bias = np.zeros(w.shape[3], dtype) if b is None else contiguous(b, dtype)
    if groups > 1 and w.shape[2] == 1:
        depthwise_conv2d(contiguous(x, dtype), contiguous(w, dtype), bias, g, y)
        return y
    out = FeatureMap(y, 0, 0, g.out_height, g.out_width)
    if is_pointwise(w, g, groups):
        pack, multiply = _products(contiguous(w, dtype), g).forward(_padded(x, g.padding, dtype), out, biased(bias))
        if pack:
            pack()
        multiply()
        return y
    if is_filtered(algorithm, g, groups, w.shape):
        filtering = _filtering(w, g, len(x), dtype)
        for call in filtering.forward(_in_room(contiguous(x, dtype), image_room(g)), out, biased(bias)):
            call()
        return y
    calls = _calls(contiguous(w, dtype), g, groups, len(x))
    weights, convolve, _ = calls.forward(_padded(x, g.padding, dtype), out, biased(bias))
    if weights.pack:
        weights.pack()
    convolve()
    return y


def conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    *,
    stride: Pair = 1,
    padding: Padding = "valid",
    dilation: Pair = 1,
    groups: int = 1,
    algorithm: str = "auto",
    x_col: Array | None = None,
    needs: Iterable[str] = ("x", "w", "b"),
) -> tuple[Array | None, Array | None, Array | None]:
    """Compiled twin of `rot180.ops.conv2d_backward`; for `algorithm` and `x_col` see `conv2d`."""
    name = "conv2d_backward"
    g = _geometry(name, x, w, stride, padding, dilation, groups, algorithm)
    _with_unfolded(name, algorithm, x_col, x, g)
    dtype = float_type(name, dy=dy, x=x, w=w)
    expected = (x.shape[0], g.out_height, g.out_width, w.shape[3])
    if dy.shape != expected:
        raise ShapeError(
            f"{name}: dy must have the shape of the output, {expected}; it has {dy.shape} "
            f"(x {x.shape}, w {w.shape}); pass the same arguments as to conv2d"
        )
    wanted = check_needs(name, needs)
    calls = _calls(contiguous(w, dtype), g, groups, len(x))
    delta = FeatureMap(aligned(dy.shape, dtype), 0, 0, g.out_height, g.out_width)
    delta.array[...] = dy
    dx: Array | None = None
    dw: Array | None = None
    db: Array | None = None
    is_depthwise = groups > 1 and w.shape[2] == 1
    if "x" in wanted and is_depthwise:
        dx = depthwise_data_gradient(delta.array, contiguous(w, dtype), g, x.shape)
    elif "x" in wanted and is_pointwise(w, g, groups):
        dx = np.zeros(x.shape, dtype)
        for call in _products(contiguous(w, dtype), g).data_gradient(delta, FeatureMap(dx, 0, 0, g.height, g.width)):
            call()
    elif "x" in wanted and is_filtered(algorithm, g, groups, w.shape):
        dx = np.empty(x.shape, dtype)
        filtering = _filtering(w, g, len(x), dtype)
        room = _in_room(delta.array, delta_room(g))
        for call in filtering.data_gradient(room, FeatureMap(dx, 0, 0, g.height, g.width)):
            call()
    elif "x" in wanted:
        dx = np.empty(x.shape, dtype)
        for call in _data_gradient(calls, delta, FeatureMap(dx, 0, 0, g.height, g.width)):
            call()
    if "w" in wanted and is_depthwise:
        dw = depthwise_weight_gradient(delta.array, contiguous(x, dtype), g, w.shape)
    elif "w" in wanted and filters_weights(algorithm, g, groups, w.shape, len(x)):
        dw = np.empty(w.shape, dtype)
        image, threads = _in_room(contiguous(x, dtype), g.padding), most_threads()
        weight_gradient_by_tiles(image, delta, dw, g, threads=threads, scratch=_scratch(dw))()
    elif "w" in wanted:
        dw = np.zeros(w.shape, dtype)  # stays so if there are no images
        correlate, add_up = calls.weight_gradient(_padded(x, g.padding, dtype), delta, dw)
        correlate()
        if add_up:
            add_up()
    if "b" in wanted:
        db = np.empty(w.shape[3], dtype)
        calls.bias_gradient(delta, db)()
    return dx, dw, db


def _calls(w: Array, g: Geometry, groups: int, count: int) -> Convolution:
    return Convolution(w, g, groups, count=count, threads=most_threads(), scratch=_scratch(w))


def _products(w: Array, g: Geometry) -> Pointwise:
    return Pointwise(w, g, threads=most_threads(), scratch=_scratch(w))


def _scratch(w: Array) -> Scratch:
    return lambda shape, dtype=None: aligned(shape, dtype or w.dtype)


def _filtering(w: Array, g: Geometry, count: int, dtype: np.dtype[Any]) -> Winograd:
    taps = aligned(w.shape, dtype)  # room for a register after the end
    taps[...] = w
    return Winograd(taps, g, count=count, threads=most_threads(), scratch=_scratch(taps))


def _padded(x: Array, padding: Sides, dtype: np.dtype[Any]) -> FeatureMap:
    """Return images with zeros around them, where the windows need some."""
    image = FeatureMap(contiguous(x, dtype), 0, 0, *x.shape[1:3])
    return image if padding == NO_PADDING else _in_room(image.array, padding)


def _in_room(x: Array, padding: Sides) -> FeatureMap:
    """Return a copy of contiguous images with zeros around them, and room for a register after the end."""
    xp = new_map(len(x), x.shape[1:], padding, x.dtype)
    _copy(FeatureMap(x, 0, 0, *x.shape[1:3]), xp)
    return xp


def _data_gradient(calls: Convolution, delta: FeatureMap, dx: FeatureMap) -> list[Call]:
    """Fold kernel rows, or convolve padded delta with the rotated kernel; `rot180.ops.conv_rotation` derives it."""
    if calls.folds:
        return [*calls.folded_data_gradient(delta, dx)]
    if calls.delta_room() != (0, 0):
        delta = _padded(delta.array, ((0, 0), calls.delta_room()), delta.array.dtype)
    pack, parts = calls.data_gradient(delta, dx)
    return [pack, *(part for part, _ in parts)]


def _copy(x: FeatureMap, y: FeatureMap) -> None:
    copy(x.array, y.array, packed((x.height, x.width, *x.place, *y.place, 1, 1)))
