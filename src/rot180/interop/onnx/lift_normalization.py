"""Normalizations as layers."""

from __future__ import annotations

import numpy as np

from rot180.interop.onnx.lift_elementwise import along_channels
from rot180.interop.onnx.value import MAPS, POOLED, VECTOR, LiftCall, Lifted, Value, constant, optional_constant, value
from rot180.nn import BatchNorm2d, GroupNorm, InstanceNorm2d, LayerNorm, LocalResponseNorm


def batch_normalization(call: LiftCall, net: Lifted) -> Value:
    """BatchNorm2d."""
    x = value(call, 0, MAPS, VECTOR, POOLED, "NF")
    if call.opset < 9 and call.get_int("spatial", 1) != 1 and x.axes == MAPS:
        raise call.error("spatial=0, a mean for each pixel, is not supported")
    if call.opset >= 14:
        call.ignore("training_mode")  # whoever trains the network decides
    call.ignore("spatial")
    momentum = 1 - call.get_float("momentum", 0.9)
    arrays = [constant(call, place) for place in range(1, 5)]
    if x.axes == "NF":
        arrays = [array.reshape(x.maps).transpose(1, 2, 0).reshape(-1) for array in arrays]
    scale, bias, mean, var = arrays
    layer = BatchNorm2d(eps=_eps(call), momentum=float(np.clip(round(momentum, 6), 0, 1)))
    return net.same(call, layer, x, weight=scale, bias=bias, running_mean=mean, running_var=var)


def instance_normalization(call: LiftCall, net: Lifted) -> Value:
    """InstanceNorm2d; over groups of channels, GroupNorm."""
    x = value(call, 0, MAPS, "NGM")
    if x.axes == "NGM":
        each = x.maps[0] // x.shape[1]
        scale, bias = (np.repeat(constant(call, place), each) for place in (1, 2))
        return net.same(call, GroupNorm(x.shape[1], eps=_eps(call)), x, weight=scale, bias=bias)
    layer = InstanceNorm2d(eps=_eps(call), affine=True)
    return net.same(call, layer, x, weight=constant(call, 1), bias=constant(call, 2))


def group_normalization(call: LiftCall, net: Lifted) -> Value:
    """GroupNorm."""
    call.ignore("stash_type")
    x, groups = value(call, 0, MAPS, VECTOR), call.get_int("num_groups")
    scale, bias = constant(call, 1), constant(call, 2)
    if call.opset < 21 and groups > 0:
        scale, bias = (np.repeat(array, x.channels // groups) for array in (scale, bias))
    return net.same(call, GroupNorm(groups, eps=_eps(call)), x, weight=scale, bias=bias)


def layer_normalization(call: LiftCall, net: Lifted) -> Value:
    """LayerNorm over the channels of each pixel, or over a whole image."""
    call.ignore("stash_type")
    x, scale, bias = value(call, 0), constant(call, 1), optional_constant(call, 2)
    axis = call.axis(call.get_int("axis", -1), len(x.axes))
    together = x.axes[axis:]
    if together not in ("C", "HWC", "CHW"):
        raise call.error("only normalizations of the channels of a pixel, or of whole images, are supported")
    size = x.shape[axis:]
    scale, bias = (
        np.broadcast_to(array, size) for array in (scale, np.zeros(1, scale.dtype) if bias is None else bias)
    )
    if together == "CHW":
        scale, bias = scale.transpose(1, 2, 0), bias.transpose(1, 2, 0)
    return net.same(call, LayerNorm(len(together), eps=_eps(call)), x, weight=scale, bias=bias)


def channel_normalization(call: LiftCall, net: Lifted) -> Value:
    """LayerNorm, found as several nodes that take means over the second axis: the channels of each pixel."""
    x = value(call, 0, MAPS, VECTOR)
    scale, bias = (np.broadcast_to(along_channels(call, constant(call, place), x), (x.channels,)) for place in (1, 2))
    return net.same(call, LayerNorm(eps=_plain(call.get_float("epsilon"))), x, weight=scale, bias=bias)


def local_response_normalization(call: LiftCall, net: Lifted) -> Value:
    """LocalResponseNorm, if a channel has as many neighbors on each side."""
    size = call.get_int("size")
    if size % 2 == 0:
        raise call.error(f"windows of an even number of channels are not supported; size is {size}")
    layer = LocalResponseNorm(
        size,
        alpha=_plain(call.get_float("alpha", 1e-4)),
        beta=_plain(call.get_float("beta", 0.75)),
        k=_plain(call.get_float("bias", 1.0)),
    )
    return net.same(call, layer, value(call, 0, MAPS))


def _eps(call: LiftCall) -> float:
    return _plain(call.get_float("epsilon", 1e-5))


def _plain(number: float) -> float:
    """Return the decimal number that was meant: in floats of 32 bits, 0.001 is 0.0010000000474974513."""
    return float(f"{number:.7g}")
