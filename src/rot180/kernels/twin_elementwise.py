"""The compiled twins of `rot180.ops.activation` and `rot180.ops.dropout`."""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.kernels import elementwise as kinds
from rot180.kernels.elementwise import UNIT, activate, combine
from rot180.kernels.operands import contiguous, float_type, integers
from rot180.ops.dropout import _check as _check_mask
from rot180.ops.gate import check_shape
from rot180.ops.types import Array


def relu(x: Array) -> Array:
    """Compiled twin of `rot180.ops.relu`."""
    return unary(activate, "relu", kinds.RELU, x)


def relu_backward(dy: Array, y: Array) -> Array:
    """Compiled twin of `rot180.ops.relu_backward`."""
    return binary(combine, "relu_backward", kinds.GATE, dy=dy, y=y)


def noisy_relu(x: Array, noise: Array) -> Array:
    """Compiled twin of `rot180.ops.noisy_relu`."""
    check_shape("noisy_relu", noise, x, "noise", "x")
    return binary(combine, "noisy_relu", kinds.NOISY_RELU, x=x, noise=noise)


def noisy_relu_backward(dy: Array, y: Array) -> Array:
    """Compiled twin of `rot180.ops.noisy_relu_backward`."""
    return binary(combine, "noisy_relu_backward", kinds.GATE, dy=dy, y=y)


def leaky_relu(x: Array, slope: float = 0.01) -> Array:
    """Compiled twin of `rot180.ops.leaky_relu`."""
    return unary(activate, "leaky_relu", kinds.LEAKY_RELU, x, slope)


def leaky_relu_backward(dy: Array, x: Array, slope: float = 0.01) -> Array:
    """Compiled twin of `rot180.ops.leaky_relu_backward`."""
    return binary(combine, "leaky_relu_backward", kinds.LEAKY_GATE, slope, dy=dy, x=x)


def sigmoid(x: Array) -> Array:
    """Compiled twin of `rot180.ops.sigmoid`."""
    return unary(activate, "sigmoid", kinds.SIGMOID, x)


def sigmoid_backward(dy: Array, y: Array) -> Array:
    """Compiled twin of `rot180.ops.sigmoid_backward`."""
    return binary(combine, "sigmoid_backward", kinds.SIGMOID_GATE, dy=dy, y=y)


def tanh(x: Array) -> Array:
    """Compiled twin of `rot180.ops.tanh`."""
    return unary(activate, "tanh", kinds.TANH, x)


def tanh_backward(dy: Array, y: Array) -> Array:
    """Compiled twin of `rot180.ops.tanh_backward`."""
    return binary(combine, "tanh_backward", kinds.TANH_GATE, dy=dy, y=y)


def dropout(x: Array, mask: Array) -> Array:
    """Compiled twin of `rot180.ops.dropout`."""
    _check_mask(x, mask, "dropout", "x")
    return binary(combine, "dropout", kinds.MULTIPLY, x=x, mask=np.broadcast_to(mask, x.shape))


def dropout_backward(dy: Array, mask: Array) -> Array:
    """Compiled twin of `rot180.ops.dropout_backward`."""
    _check_mask(dy, mask, "dropout_backward", "dy")
    return binary(combine, "dropout_backward", kinds.MULTIPLY, dy=dy, mask=np.broadcast_to(mask, dy.shape))


def rows_of(array: Array) -> list[Array]:
    """Split an array into rows that can be distributed to threads, and the remainder."""
    flat = array.reshape(-1)
    whole = flat.size // UNIT * UNIT
    pieces = [flat[:whole].reshape(-1, 1, 1, UNIT)] if whole else []
    return [*pieces, flat[whole:].reshape(1, 1, 1, -1)] if whole < flat.size else pieces


def unary(kernel: Any, name: str, kind: int, x: Array, slope: float = 0.0) -> Array:
    """y = f(x) by `activate`, or by a kernel with the same arguments."""
    dtype = float_type(name, x=x)
    x = contiguous(x, dtype)
    y = np.empty(x.shape, dtype)
    for source, target in zip(rows_of(x), rows_of(y), strict=True):
        kernel(kind, source, target, float(slope), integers(1, 1, 0, 0, 0, 0))
    return y


def binary(kernel: Any, name: str, kind: int, slope: float = 0.0, **operands: Array) -> Array:
    """y = f(a, b) by `combine`, or by a kernel with the same arguments."""
    (what, a), (whose, b) = operands.items()
    check_shape(name, a, b, what, whose)
    dtype = float_type(name, **operands)
    a, b = contiguous(a, dtype), contiguous(b, dtype)
    y = np.empty(a.shape, dtype)
    for left, right, target in zip(rows_of(a), rows_of(b), rows_of(y), strict=True):
        kernel(kind, left, right, target, float(slope), integers(1, 1, 0, 0, 0, 0, 0, 0))
    return y
