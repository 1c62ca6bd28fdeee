"""Normalizations."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rot180 import ops
from rot180.interop.onnx.call import Call, Evaluated, Versions
from rot180.ops.types import Array


def batch_normalization(call: Call[Array]) -> Evaluated:
    """Normalize each channel with the stored mean and variance."""
    call.ignore("momentum")
    x, scale, bias, mean, var = (call.input(place) for place in range(5))
    if call.opset < 9 and call.get_int("spatial", 1) != 1:
        raise call.error("spatial=0, a mean for each pixel, is not supported")
    if call.opset < 14 and call.outputs > 1:
        raise call.error("the statistics of training are not computed by this version of the operator")
    eps = call.get_float("epsilon", 1e-5)
    return _last(x, lambda maps: ops.batch_norm_inference(maps, scale, bias, mean, var, eps=eps))


def batch_normalization_14(call: Call[Array]) -> Evaluated:
    """Normalize each channel, in training with the mean and variance of the batch."""
    if not call.get_int("training_mode", 0):
        return batch_normalization(call)
    momentum, eps = call.get_float("momentum", 0.9), call.get_float("epsilon", 1e-5)
    x, scale, bias, mean, var = (call.input(place) for place in range(5))
    axes = (0, *range(2, x.ndim))
    batch_mean, batch_var = x.mean(axes), x.var(axes)
    y = _last(x, lambda maps: ops.batch_norm_inference(maps, scale, bias, batch_mean, batch_var, eps=eps))
    number = x.dtype.type
    return (
        y,
        mean * number(momentum) + batch_mean * number(1 - momentum),
        var * number(momentum) + batch_var * number(1 - momentum),
    )


def instance_normalization(call: Call[Array]) -> Evaluated:
    """Normalize each channel of each image over its pixels."""
    eps = call.get_float("epsilon", 1e-5)
    return _last(call.input(0), lambda maps: ops.instance_norm(maps, call.input(1), call.input(2), eps=eps))


def group_normalization(call: Call[Array]) -> Evaluated:
    """Normalize groups of channels over all pixels; the scale is that of a group before version 21."""
    call.ignore("stash_type")
    x, scale, bias = call.input(0), call.input(1), call.input(2)
    groups, eps = call.get_int("num_groups"), call.get_float("epsilon", 1e-5)
    if x.ndim < 2 or groups < 1 or x.shape[1] % groups:
        raise call.error(f"num_groups must divide the channels of {x.shape}; it is {groups}")
    if call.opset < 21:
        scale, bias = (np.repeat(each, x.shape[1] // groups) for each in (scale, bias))
    return _last(x, lambda maps: ops.group_norm(maps, scale, bias, groups, eps=eps))


def layer_normalization(call: Call[Array]) -> Evaluated:
    """Normalize over the last axes, from `axis` on; also return the mean and the inverse deviation."""
    call.ignore("stash_type")
    x, scale, bias = call.input(0), call.input(1), call.optional(2)
    axis, eps = call.axis(call.get_int("axis", -1), x.ndim), call.get_float("epsilon", 1e-5)
    axes = tuple(range(axis, x.ndim))
    if any(np.broadcast_shapes(x.shape, given.shape) != x.shape for given in (scale, bias) if given is not None):
        raise call.error(f"scale and bias do not fit the input {x.shape}")
    rows = x.reshape(1, math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))
    size = rows.shape[-1]
    ones, zeros = np.ones(size, x.dtype), np.zeros(size, x.dtype)
    y = ops.layer_norm(rows, ones, zeros, axes=1, eps=eps).reshape(x.shape) * scale
    mean = x.mean(axes, keepdims=True)
    inverse = 1 / np.sqrt(x.var(axes, keepdims=True) + x.dtype.type(eps))
    found = y if bias is None else y + bias
    return (found, mean, inverse)[: max(1, call.outputs)]


def local_response_normalization(call: Call[Array]) -> Evaluated:
    """Divide each channel by a power of the mean square of its neighbors."""
    size, number = call.get_int("size"), call.input(0).dtype.type
    alpha, beta, bias = call.get_float("alpha", 1e-4), call.get_float("beta", 0.75), call.get_float("bias", 1.0)
    x = call.input(0)
    if size < 1 or x.ndim < 2:
        raise call.error(f"size must be at least 1, and the input have channels; size is {size}, the input {x.shape}")
    if size % 2:
        return _last(x, lambda maps: ops.local_response_norm(maps, size, alpha=alpha, beta=beta, k=bias))
    # A window of even size: the operation of `ops` has the additional channel before the middle, ONNX behind it.
    sums = np.zeros_like(x)
    for shift in range(-min((size - 1) // 2, x.shape[1]), min(size // 2, x.shape[1]) + 1):
        sums[:, max(-shift, 0) : x.shape[1] - max(shift, 0)] += x[:, max(shift, 0) : x.shape[1] - max(-shift, 0)] ** 2
    y: Array = x / (number(bias) + number(alpha / size) * sums) ** number(beta)
    return y


def _last(x: Array, operation: Callable[[Array], Array]) -> Array:
    """Return an operation on the channels in the last axis."""
    if x.ndim < 2:
        raise ValueError(f"the input must have channels; it is {x.shape}")
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    maps = last if x.ndim == 2 else last.reshape(len(x), math.prod(x.shape[2:]), 1, x.shape[1])
    return np.moveaxis(operation(maps).reshape(last.shape), -1, 1)


NORMALIZATIONS: dict[str, Versions] = {
    "BatchNormalization": {1: batch_normalization, 14: batch_normalization_14},
    "InstanceNormalization": {1: instance_normalization},
    "GroupNormalization": {18: group_normalization},
    "LayerNormalization": {17: layer_normalization},
    "LRN": {1: local_response_normalization},
}
