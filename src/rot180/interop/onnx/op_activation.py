"""Activations, softmax and dropout."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rot180 import ops
from rot180.interop.onnx.call import Call, Evaluated, Operator, Versions
from rot180.ops.types import FLOATS, Array

SELU_ALPHA, SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875


def _in_floats(function: Callable[[Array, Call[Array]], Array]) -> Operator:
    """Return an operator whose function takes float32 or float64."""

    def operator(call: Call[Array]) -> Evaluated:
        x = call.input(0)
        found = function(x if x.dtype in FLOATS else x.astype(np.float32), call)
        return found.astype(x.dtype, copy=False)

    return operator


def _relu(x: Array, call: Call[Array]) -> Array:
    return ops.relu(x)


def _elu(x: Array, call: Call[Array]) -> Array:
    return ops.elu(x, call.get_float("alpha", 1.0))


def _celu(x: Array, call: Call[Array]) -> Array:
    alpha = call.get_float("alpha", 1.0)
    y: Array = np.maximum(x, 0) + np.minimum(alpha * np.expm1(x / alpha), 0)
    return y


def _selu(x: Array, call: Call[Array]) -> Array:
    alpha, gamma = call.get_float("alpha", SELU_ALPHA), call.get_float("gamma", SELU_GAMMA)
    return gamma * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _gelu(x: Array, call: Call[Array]) -> Array:
    return ops.gelu(x, call.choice("approximate", "none", ("none", "tanh")))


def _hard_sigmoid(x: Array, call: Call[Array]) -> Array:
    y: Array = np.clip(call.get_float("alpha", 0.2) * x + call.get_float("beta", 0.5), 0, 1)
    return y


def _leaky_relu(x: Array, call: Call[Array]) -> Array:
    return np.where(x < 0, x.dtype.type(call.get_float("alpha", 0.01)) * x, x)


def _softplus(x: Array, call: Call[Array]) -> Array:
    y: Array = np.logaddexp(x, x.dtype.type(0))
    return y


def _mish(x: Array, call: Call[Array]) -> Array:
    y: Array = x * np.tanh(_softplus(x, call))
    return y


def _swish(x: Array, call: Call[Array]) -> Array:
    y: Array = x * ops.sigmoid(x.dtype.type(call.get_float("alpha", 1.0)) * x)
    return y


def _thresholded_relu(x: Array, call: Call[Array]) -> Array:
    return np.where(x > call.get_float("alpha", 1.0), x, x.dtype.type(0))


def _softsign(x: Array, call: Call[Array]) -> Array:
    y: Array = x / (1 + np.abs(x))
    return y


def prelu(call: Call[Array]) -> Evaluated:
    """x where it is positive, a learned slope times x elsewhere."""
    x, slope = call.input(0), call.input(1)
    if np.broadcast_shapes(x.shape, slope.shape) != x.shape:
        raise call.error(f"the slope {slope.shape} does not fit the input {x.shape}")
    return np.where(x < 0, slope * x, x)


def _over_axis(function: Callable[[Array], Array]) -> Versions:
    """Return softmax or its logarithm: before version 13 over all axes from `axis` on, then over one axis."""

    def of_rows(call: Call[Array]) -> Evaluated:
        x = call.input(0)
        axis = call.axis(call.get_int("axis", 1), x.ndim) if x.ndim > 1 else call.axis(call.get_int("axis", 0), x.ndim)
        rows = x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))
        return function(rows).reshape(x.shape)

    def of_axis(call: Call[Array]) -> Evaluated:
        x = call.input(0)
        axis = call.axis(call.get_int("axis", -1), x.ndim)
        return np.moveaxis(function(np.ascontiguousarray(np.moveaxis(x, axis, -1))), -1, axis)

    return {1: of_rows, 13: of_axis}


def dropout_7(call: Call[Array]) -> Evaluated:
    """The input: nothing is dropped outside training."""
    call.ignore("ratio", "is_test")
    return _kept(call)


def dropout_12(call: Call[Array]) -> Evaluated:
    """The input; in training, which draws random numbers, only for a ratio of 0."""
    call.ignore("seed")
    ratio, training = call.optional(1), call.optional(2)
    if training is not None and training.any() and (ratio is None or ratio.any()):
        raise call.error("dropout in training draws random numbers, which is not supported")
    return _kept(call)


def _kept(call: Call[Array]) -> Evaluated:
    x = call.input(0)
    return (x, np.ones(x.shape, bool))[: max(1, call.outputs)]


ACTIVATIONS: dict[str, Versions] = {
    "Relu": {1: _in_floats(_relu)},
    "Sigmoid": {1: _in_floats(lambda x, call: ops.sigmoid(x))},
    "Tanh": {1: _in_floats(lambda x, call: ops.tanh(x))},
    "HardSwish": {14: _in_floats(lambda x, call: ops.hard_swish(x))},
    "Elu": {1: _in_floats(_elu)},
    "Celu": {12: _in_floats(_celu)},
    "Selu": {1: _in_floats(_selu)},
    "Gelu": {20: _in_floats(_gelu)},
    "HardSigmoid": {1: _in_floats(_hard_sigmoid)},
    "LeakyRelu": {1: _in_floats(_leaky_relu)},
    "Softplus": {1: _in_floats(_softplus)},
    "Softsign": {1: _in_floats(_softsign)},
    "Mish": {18: _in_floats(_mish)},
    "Swish": {24: _in_floats(_swish)},
    "ThresholdedRelu": {1: _in_floats(_thresholded_relu)},
    "PRelu": {1: prelu},
    "Softmax": _over_axis(ops.softmax),
    "LogSoftmax": _over_axis(ops.log_softmax),
    "Dropout": {1: dropout_7, 12: dropout_12},
}
