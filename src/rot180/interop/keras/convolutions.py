"""Convolutions, pooling and fully connected layers of Keras as layers."""

from __future__ import annotations

import math
from functools import partial

from rot180.interop.keras.activations import activated
from rot180.interop.keras.network import NO_PADDING, Building, Call, Value, reshaped
from rot180.nn import (
    AvgPool2d,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    GlobalMaxPool2d,
    Linear,
    MaxPool2d,
    ReLU,
    ReLU6,
    Upsample,
)
from rot180.ops.types import Padding


def conv2d(call: Call, net: Building) -> Value:
    """Conv2d; on maps that were pooled to one pixel, Linear."""
    x, w = _maps(call), call.variable("kernel")
    kernel, filters = call.pair("kernel_size"), call.whole("filters")
    if x.is_pooled:
        if kernel != (1, 1) or call.whole("groups", 1) != 1:
            raise call.error("after global pooling only 1 x 1 convolutions without groups are supported")
        return _linear(call, net, x, filters)
    layer = Conv2d(
        filters,
        kernel,
        stride=call.pair("strides"),
        padding=_padding(call, x, kernel),
        dilation=call.pair("dilation_rate"),
        groups=call.whole("groups", 1),
        bias=bool(call.get("use_bias", True)),
    )
    return activated(call, net, net.add(call, layer, x, weight=w, bias=call.bias()))


def depthwise_conv2d(call: Call, net: Building) -> Value:
    """Conv2d with a group for each channel."""
    x = _maps(call)
    name = "depthwise_kernel" if "depthwise_kernel" in call.variables else "kernel"
    return activated(call, net, _depthwise(call, net, x, name, has_bias=bool(call.get("use_bias", True))))


def separable_conv2d(call: Call, net: Building) -> Value:
    """A depthwise convolution without bias, and a 1 x 1 convolution."""
    x = _depthwise(call, net, _maps(call), "depthwise_kernel", has_bias=False)
    layer = Conv2d(call.whole("filters"), 1, bias=bool(call.get("use_bias", True)))
    y = net.add(call, layer, x, weight=call.variable("pointwise_kernel"), bias=call.bias())
    return activated(call, net, y)


def _depthwise(call: Call, net: Building, x: Value, name: str, *, has_bias: bool) -> Value:
    if x.is_pooled:
        raise call.error("after global pooling it is not supported")
    w, channels = call.variable(name), x.shape[2]
    filters = channels * call.whole("depth_multiplier", 1)
    layer = Conv2d(
        filters,
        call.pair("kernel_size"),
        stride=call.pair("strides"),
        padding=_padding(call, x, call.pair("kernel_size")),
        dilation=call.pair("dilation_rate"),
        groups=channels,
        bias=has_bias,
    )
    # (KH, KW, C, M) -> (KH, KW, 1, C*M)
    weight = reshaped(w, (*w.shape[:2], 1, filters)) if w.shape[2:3] == (channels,) else w
    return net.add(call, layer, x, weight=weight, bias=call.bias() if has_bias else None)


def conv2d_transpose(call: Call, net: Building) -> Value:
    """ConvTranspose2d, if as much is cut off on each side."""
    x, w = _maps(call), call.variable("kernel")
    kernel, stride = call.pair("kernel_size"), call.pair("strides")
    if x.is_pooled or x.padding != NO_PADDING or call.pair("dilation_rate") != (1, 1) or call.get("output_padding"):
        raise call.error("with dilation_rate, output_padding or added zeros it is not supported")
    excess = [size - step for size, step in zip(kernel, stride, strict=True)]
    is_same = call.get("padding", "valid") == "same"
    if is_same and any(more > 0 and more % 2 for more in excess):
        raise call.error(f"padding='same' with kernels of {kernel} and strides of {stride} cuts off unequal sides")
    top, left = (max(more, 0) // 2 if is_same else 0 for more in excess)
    layer = ConvTranspose2d(
        call.whole("filters"),
        kernel,
        stride=stride,
        padding=(top, left),
        output_padding=(max(-excess[0], 0), max(-excess[1], 0)),
        groups=call.whole("groups", 1),
        bias=bool(call.get("use_bias", True)),
    )
    return activated(call, net, net.add(call, layer, x, weight=w, bias=call.bias()))


def dense(call: Call, net: Building) -> Value:
    """Linear; on the channels of maps, a 1 x 1 convolution."""
    x, units = call.input(), call.whole("units")
    if not x.is_maps:
        return _linear(call, net, x, units)
    w = call.variable("kernel")
    layer = Conv2d(units, 1, bias=bool(call.get("use_bias", True)))
    return activated(call, net, net.add(call, layer, x, weight=reshaped(w, (1, 1, *w.shape)), bias=call.bias()))


def _linear(call: Call, net: Building, x: Value, units: int) -> Value:
    w = call.variable("kernel")
    weight = reshaped(w, w.shape[-2:]) if len(w.shape) == 4 else w
    y = net.add(call, Linear(units, bias=bool(call.get("use_bias", True))), x, weight=weight, bias=call.bias())
    return activated(call, net, y._replace(is_pooled=x.is_pooled))


def max_pooling(call: Call, net: Building) -> Value:
    """MaxPool2d."""
    x = _maps(call)
    if x.padding != NO_PADDING and not isinstance(net.layer_of(x.place), ReLU | ReLU6):
        raise call.error("zeros are added before it; that is supported after a ReLU only, where none is negative")
    return _pool(call, net, x, MaxPool2d)


def average_pooling(call: Call, net: Building) -> Value:
    """AvgPool2d; padding does not count, but zeros that were added do."""
    x = _maps(call)
    if x.padding != NO_PADDING and call.get("padding", "valid") == "same":
        raise call.error("padding='same' after added zeros is not supported")
    return _pool(call, net, x, partial(AvgPool2d, count_include_pad=x.padding != NO_PADDING))


def _pool(call: Call, net: Building, x: Value, layer: type[MaxPool2d] | partial[AvgPool2d]) -> Value:
    if x.is_pooled:
        raise call.error("after global pooling it is not supported")
    kernel = call.pair("pool_size", 2)
    made = layer(kernel, stride=call.pair("strides", list(kernel)), padding=_padding(call, x, kernel))
    return net.add(call, made, x)


def global_average_pooling(call: Call, net: Building) -> Value:
    """GlobalAvgPool2d."""
    return _global(call, net, GlobalAvgPool2d())


def global_max_pooling(call: Call, net: Building) -> Value:
    """GlobalMaxPool2d."""
    return _global(call, net, GlobalMaxPool2d())


def _global(call: Call, net: Building, layer: GlobalAvgPool2d | GlobalMaxPool2d) -> Value:
    call.require("data_format", "channels_last")
    x = call.input()
    y = x if x.is_pooled else net.add(call, layer, x)
    return y._replace(is_pooled=bool(call.get("keepdims", False)))


def upsampling(call: Call, net: Building) -> Value:
    """Upsample."""
    call.require("data_format", "channels_last")
    call.require("interpolation", "nearest", "bilinear")
    layer = Upsample(call.pair("size", 2), mode=call.get("interpolation", "nearest"))
    return net.add(call, layer, call.input())


def _maps(call: Call) -> Value:
    """Return the input, maps with the channels last."""
    call.require("data_format", "channels_last")
    x = call.padded_input()
    if not x.is_maps and not x.is_pooled:
        raise call.error(f"it takes maps; it gets vectors of {x.shape[0]:,} numbers")
    return x


def _padding(call: Call, x: Value, kernel: tuple[int, int]) -> Padding:
    """Return the padding of a layer, with the zeros that were added before it."""
    call.require("padding", "valid", "same")
    is_same = call.get("padding", "valid") == "same"
    if not is_same or x.padding == NO_PADDING:
        return "same" if is_same else x.padding
    stride, dilation = call.pair("strides"), call.pair("dilation_rate")
    found = []
    for size, (before, after), width, step, apart in zip(x.shape, x.padding, kernel, stride, dilation, strict=False):
        whole = size + before + after
        more = max((math.ceil(whole / max(step, 1)) - 1) * step + (width - 1) * apart + 1 - whole, 0)
        found.append((before + more // 2, after + more - more // 2))
    return found[0], found[1]
