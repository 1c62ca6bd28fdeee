"""Which of our layers a layer of Keras stands for."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rot180.errors import short
from rot180.interop.keras.activations import LAYERS as ACTIVATIONS
from rot180.interop.keras.convolutions import (
    average_pooling,
    conv2d,
    conv2d_transpose,
    dense,
    depthwise_conv2d,
    global_average_pooling,
    global_max_pooling,
    max_pooling,
    separable_conv2d,
    upsampling,
)
from rot180.interop.keras.network import Building, Call, Value, made
from rot180.nn import Add, BatchNorm2d, Concatenate, Dropout, Flatten, GroupNorm, LayerNorm, Multiply
from rot180.ops.types import Array


def batch_normalization(call: Call, net: Building) -> Value:
    """BatchNorm2d."""
    x = call.input()
    _require_last(call, x)
    call.require("renorm", False)
    call.require("virtual_batch_size", None)
    momentum = float(f"{1 - call.number('momentum', 0.99):.6g}")
    layer = BatchNorm2d(eps=call.number("epsilon", 1e-3), momentum=momentum)
    mean, var = call.variable("moving_mean"), call.variable("moving_variance")
    weight, bias = _scale_and_shift(call, x)
    return net.same(call, layer, x, weight=weight, bias=bias, running_mean=mean, running_var=var)


def layer_normalization(call: Call, net: Building) -> Value:
    """LayerNorm over the channels."""
    x = call.input()
    _require_last(call, x)
    call.require("rms_scaling", False)
    weight, bias = _scale_and_shift(call, x)
    return net.same(call, LayerNorm(eps=call.number("epsilon", 1e-3)), x, weight=weight, bias=bias)


def group_normalization(call: Call, net: Building) -> Value:
    """GroupNorm."""
    x, groups = call.input(), call.get("groups", 32)
    _require_last(call, x)
    groups = x.shape[-1] if groups == -1 else call.whole("groups", 32)
    weight, bias = _scale_and_shift(call, x)
    return net.same(call, GroupNorm(groups, eps=call.number("epsilon", 1e-3)), x, weight=weight, bias=bias)


def _scale_and_shift(call: Call, x: Value) -> list[Any]:
    """Return gamma and beta; one or zero where the layer has none."""
    given = (("gamma", "scale", 1.0), ("beta", "center", 0.0))
    return [
        call.variable(name) if call.get(setting, True) else made(call, x.shape[-1], number)
        for name, setting, number in given
    ]


def _require_last(call: Call, x: Value) -> None:
    """Raise an error unless the axis of a normalization is that of the channels."""
    rank = 3 if x.is_pooled else len(x.shape)
    call.require("axis", -1, rank, [-1], [rank])


def flatten(call: Call, net: Building) -> Value:
    """Flatten, pixel by pixel as in Keras."""
    call.require("data_format", "channels_last")
    x = call.input()
    return net.add(call, Flatten(), x) if x.is_maps else x._replace(is_pooled=False)


def reshape(call: Call, net: Building) -> Value:
    """Flatten; or a vector as a map of one pixel, and back."""
    x, shape = call.input(), call.get("target_shape")
    if not isinstance(shape, list) or len(shape) > 4 or not all(type(size) is int for size in shape):
        raise call.error(f"target_shape must be at most four whole numbers; it is {short(shape)}")
    count = math.prod(x.shape)
    if shape.count(-1) == 1 and (known := -math.prod(shape)) > 0 and count % known == 0:
        shape = [count // known if size == -1 else size for size in shape]
    if shape == [count]:
        return flatten(call, net)
    if not x.is_maps and shape == [1, 1, count]:
        return x._replace(is_pooled=True)
    if tuple(shape) == x.shape:
        return x
    raise call.error(f"only vectors, and maps of one pixel made of vectors, are supported; it is {short(shape)}")


def zero_padding(call: Call, net: Building) -> Value:
    """No layer: the next one adds the zeros."""
    call.require("data_format", "channels_last")
    x, given = call.padded_input(), call.get("padding", 1)
    pairs = [given, given] if isinstance(given, int) else list(given)
    sides = [[side, side] if isinstance(side, int) else list(side) for side in pairs]
    if len(sides) != 2 or not all(
        len(side) == 2 and all(type(n) is int and 0 <= n <= 10_000 for n in side) for side in sides
    ):
        raise call.error(f"padding={short(given)} is not supported")
    if not x.is_maps:
        raise call.error("only maps are padded")
    (top, bottom), (left, right) = x.padding
    rows, columns = sides
    return x._replace(padding=((top + rows[0], bottom + rows[1]), (left + columns[0], right + columns[1])))


def add(call: Call, net: Building) -> Value:
    """Add."""
    values = call.joined()
    if len({(value.shape, value.is_pooled) for value in values}) > 1:
        raise call.error(f"only values of one shape are added; they are {[list(value.shape) for value in values]}")
    return net.add(call, Add(), *values)._replace(is_pooled=values[0].is_pooled)


def multiply(call: Call, net: Building) -> Value:
    """Multiply of maps and a gate."""
    first, *others = sorted(call.joined(), key=lambda value: -math.prod(value.shape))
    for other in others:
        if first.is_maps and other.is_maps and other.shape[:2] == (1, 1) and first.shape[:2] != (1, 1):
            other = net.add(call, Flatten(), other)._replace(is_pooled=True)
        if first.shape != other.shape and not (first.is_maps and other.is_pooled):
            raise call.error(f"only a gate of one value per channel is supported; it is {list(other.shape)}")
        first = net.add(call, Multiply(), first, other)._replace(is_pooled=first.is_pooled)
    return first


def concatenate(call: Call, net: Building) -> Value:
    """Concatenate over the channels."""
    values = call.joined()
    if len({value.is_pooled for value in values}) > 1:
        raise call.error("only channels are concatenated")
    _require_last(call, values[0])
    return net.add(call, Concatenate(), *values)._replace(is_pooled=values[0].is_pooled)


def dropout(call: Call, net: Building) -> Value:
    """Dropout, which does something in training only."""
    call.require("noise_shape", None)
    return net.same(call, Dropout(call.number("rate", 0.5)), call.input())


def left_out(call: Call, net: Building) -> Value:
    """No layer: it does something in training only."""
    net.notes.append(
        f"the layer {call.layer.name} ({call.layer.kind}) does something in training only, and is left out"
    )
    return call.padded_input()


def unchanged(call: Call, net: Building) -> Value:
    """No layer."""
    return call.padded_input()


def rescaling(call: Call, net: Building) -> Value:
    """Part of the preprocessing."""
    scale, offset = (np.asarray(call.get(name, usual), np.float64) for name, usual in (("scale", 1), ("offset", 0)))
    return _scaled(call, net, scale, offset)


def normalization(call: Call, net: Building) -> Value:
    """Part of the preprocessing: (x - mean) / deviation."""
    x = call.input()
    _require_last(call, x)
    call.require("invert", False)
    mean, var = (
        np.asarray(call.get(name), np.float64)
        if call.get(name) is not None
        else call.variable(name).read().astype(np.float64)
        for name in ("mean", "variance")
    )
    deviation = np.maximum(np.sqrt(np.maximum(var, 0)), 1e-7)
    return _scaled(call, net, 1 / deviation, -mean / deviation)


def _scaled(call: Call, net: Building, scale: Array, offset: Array) -> Value:
    """Return the input times a scale plus an offset, which become part of the preprocessing."""
    x = call.input()
    if x.place >= 0 or not x.is_maps:
        raise call.error("it is supported for the images that the model takes only, as its first layer")
    if x.shape[2] not in (1, 3, 4) or any(array.size not in (1, x.shape[2]) for array in (scale, offset)):
        raise call.error(f"one number, or one for each channel, is supported; images of {x.shape[2]} channels are not")
    scale, offset = (np.broadcast_to(array.reshape(-1), x.shape[2:]) for array in (scale, offset))
    before, shift = net.pixels if net.pixels is not None else (np.ones(1), np.zeros(1))
    net.pixels, net.scaling = (before * scale, shift * scale + offset), net.scaling + 1
    return x._replace(scaling=net.scaling)


LAYERS: dict[str, Callable[[Call, Building], Value]] = {
    **ACTIVATIONS,
    "ActivityRegularization": unchanged,
    "Add": add,
    "AlphaDropout": left_out,
    "AveragePooling2D": average_pooling,
    "BatchNormalization": batch_normalization,
    "Concatenate": concatenate,
    "Conv2D": conv2d,
    "Conv2DTranspose": conv2d_transpose,
    "Convolution2D": conv2d,
    "Dense": dense,
    "DepthwiseConv2D": depthwise_conv2d,
    "Dropout": dropout,
    "Flatten": flatten,
    "GaussianDropout": left_out,
    "GaussianNoise": left_out,
    "GlobalAveragePooling2D": global_average_pooling,
    "GlobalMaxPooling2D": global_max_pooling,
    "GroupNormalization": group_normalization,
    "Identity": unchanged,
    "LayerNormalization": layer_normalization,
    "MaxPooling2D": max_pooling,
    "Multiply": multiply,
    "Normalization": normalization,
    "RandomBrightness": left_out,
    "RandomContrast": left_out,
    "RandomCrop": left_out,
    "RandomFlip": left_out,
    "RandomRotation": left_out,
    "RandomTranslation": left_out,
    "RandomZoom": left_out,
    "Rescaling": rescaling,
    "Reshape": reshape,
    "SeparableConv2D": separable_conv2d,
    "SpatialDropout2D": left_out,
    "SyncBatchNormalization": batch_normalization,
    "UpSampling2D": upsampling,
    "ZeroPadding2D": zero_padding,
}
"""What makes layers of each class of Keras."""
