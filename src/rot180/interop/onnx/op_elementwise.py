"""Arithmetic, comparisons and functions of each value."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

import numpy as np

from rot180.interop.onnx.call import Call, Evaluated, Operator, Versions
from rot180.interop.onnx.tensor import dtype_of
from rot180.ops.error_function import erf
from rot180.ops.types import Array

Binary = Callable[[Array, Array], Array]


def _unary(function: Callable[[Array], Array]) -> Versions:
    return {1: lambda call: function(call.input(0)).astype(call.input(0).dtype, copy=False)}


def _binary(function: Binary) -> Versions:
    """Return an operator on two arrays, of which one is broadcast to the other."""

    def operator(call: Call[Array]) -> Evaluated:
        call.ignore("broadcast", "axis")  # of versions before 7
        return broadcast(call, function, call.input(0), call.input(1))

    return {1: operator}


def _several(function: Binary) -> Operator:
    """Return an operator on one array or more."""

    def operator(call: Call[Array]) -> Evaluated:
        return reduce(lambda a, b: broadcast(call, function, a, b), call.all_inputs)

    return operator


def broadcast(call: Call[Array], function: Binary, a: Array, b: Array) -> Array:
    """Return a function of two arrays, after a look at the size of the result."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    call.require(shape, a.dtype)
    return np.asarray(function(a, b))


def divide(a: Array, b: Array) -> Array:
    """Return a / b; of whole numbers, the quotient rounded towards zero."""
    if a.dtype.kind == "f":
        quotient: Array = a / b
        return quotient
    if not np.all(b):
        raise ValueError("a whole number is divided by zero")
    if a.dtype.kind == "u":
        quotient = a // b
    else:
        quotient = (np.abs(a) // np.abs(b) * np.sign(a) * np.sign(b)).astype(a.dtype)
    return quotient


def power(a: Array, b: Array) -> Array:
    """Return a to the power of b, in the type of a."""
    if a.dtype.kind != "f" and b.dtype.kind != "f":
        b = np.maximum(b, 0)
    return np.power(a, b).astype(a.dtype)


def mean(call: Call[Array]) -> Evaluated:
    """The mean of several arrays."""
    total = reduce(lambda a, b: broadcast(call, np.add, a, b), call.all_inputs)
    y: Array = total / total.dtype.type(len(call.inputs))
    return y


def where(call: Call[Array]) -> Evaluated:
    """x where a condition holds, y elsewhere."""
    condition, x, y = call.input(0), call.input(1), call.input(2)
    call.require(np.broadcast_shapes(condition.shape, x.shape, y.shape), x.dtype)
    return np.where(condition, x, y)


def cast(call: Call[Array]) -> Evaluated:
    """Values as another type."""
    call.ignore("saturate", "round_mode")  # of floats of eight bits
    target = dtype_of(call.get_int("to"), f"{call.path}: {call.node.label}")
    return call.input(0).astype(target)


def clip_6(call: Call[Array]) -> Evaluated:
    """Values within bounds that are attributes."""
    x = call.input(0)
    low, high = call.get_float("min", -math.inf), call.get_float("max", math.inf)
    y: Array = np.minimum(np.maximum(x, x.dtype.type(low)), x.dtype.type(high))
    return y


def clip(call: Call[Array]) -> Evaluated:
    """Values within bounds that are inputs; if they contradict each other, the upper one."""
    x, low, high = call.input(0), call.optional(1), call.optional(2)
    if any(bound is not None and bound.size != 1 for bound in (low, high)):
        raise call.error("each bound must be a single number")
    y = x if low is None else np.maximum(x, low.reshape(()))
    return y if high is None else np.minimum(y, high.reshape(()))


ELEMENTWISE: dict[str, Versions] = {
    "Add": _binary(np.add),
    "Sub": _binary(np.subtract),
    "Mul": _binary(np.multiply),
    "Div": _binary(divide),
    "Pow": _binary(power),
    "Equal": _binary(np.equal),
    "Less": _binary(np.less),
    "LessOrEqual": _binary(np.less_equal),
    "Greater": _binary(np.greater),
    "GreaterOrEqual": _binary(np.greater_equal),
    "And": _binary(np.logical_and),
    "Or": _binary(np.logical_or),
    "Not": _unary(np.logical_not),
    "Sum": {1: _several(np.add)},
    "Max": {1: _several(np.maximum)},
    "Min": {1: _several(np.minimum)},
    "Mean": {1: mean},
    "Abs": _unary(np.abs),
    "Ceil": _unary(np.ceil),
    "Erf": _unary(erf),
    "Exp": _unary(np.exp),
    "Floor": _unary(np.floor),
    "Identity": _unary(lambda x: x),
    "Log": _unary(np.log),
    "Neg": _unary(np.negative),
    "Reciprocal": _unary(np.reciprocal),
    "Round": _unary(np.round),
    "Sign": _unary(np.sign),
    "Sqrt": _unary(np.sqrt),
    "Where": {1: where},
    "Cast": {1: cast},
    "Clip": {1: clip_6, 11: clip},
}
