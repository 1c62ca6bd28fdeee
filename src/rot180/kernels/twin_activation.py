"""The compiled twins of `rot180.ops.activation_piecewise` and `rot180.ops.activation_smooth`."""

from __future__ import annotations

import numpy as np

from rot180 import ops
from rot180.errors import ArgumentError, did_you_mean
from rot180.kernels import activation as kinds
from rot180.kernels import learned_slope as compiled
from rot180.kernels.activation import apply, apply_gate
from rot180.kernels.channelwise import parts_of, period_of
from rot180.kernels.operands import as_maps, contiguous, float_type, integers
from rot180.kernels.twin_elementwise import binary, unary
from rot180.ops.activation_piecewise import _check_slope
from rot180.ops.activation_smooth import APPROXIMATIONS
from rot180.ops.gate import check_shape
from rot180.ops.types import Array


def relu6(x: Array) -> Array:
    """Compiled twin of `rot180.ops.relu6`."""
    return unary(apply, "relu6", kinds.RELU6, x)


def relu6_backward(dy: Array, y: Array) -> Array:
    """Compiled twin of `rot180.ops.relu6_backward`."""
    return binary(apply_gate, "relu6_backward", kinds.RELU6, dy=dy, y=y)


def hard_sigmoid(x: Array) -> Array:
    """Compiled twin of `rot180.ops.hard_sigmoid`."""
    return unary(apply, "hard_sigmoid", kinds.HARD_SIGMOID, x)


def hard_sigmoid_backward(dy: Array, y: Array) -> Array:
    """Compiled twin of `rot180.ops.hard_sigmoid_backward`."""
    return binary(apply_gate, "hard_sigmoid_backward", kinds.HARD_SIGMOID, dy=dy, y=y)


def hard_swish(x: Array) -> Array:
    """Compiled twin of `rot180.ops.hard_swish`."""
    return unary(apply, "hard_swish", kinds.HARD_SWISH, x)


def hard_swish_backward(dy: Array, x: Array) -> Array:
    """Compiled twin of `rot180.ops.hard_swish_backward`."""
    return binary(apply_gate, "hard_swish_backward", kinds.HARD_SWISH, dy=dy, x=x)


def elu(x: Array, alpha: float = 1.0) -> Array:
    """Compiled twin of `rot180.ops.elu`."""
    return unary(apply, "elu", kinds.ELU, x, alpha)


def elu_backward(dy: Array, x: Array, alpha: float = 1.0) -> Array:
    """Compiled twin of `rot180.ops.elu_backward`."""
    return binary(apply_gate, "elu_backward", kinds.ELU, alpha, dy=dy, x=x)


def silu(x: Array) -> Array:
    """Compiled twin of `rot180.ops.silu`."""
    return unary(apply, "silu", kinds.SILU, x)


def silu_backward(dy: Array, x: Array) -> Array:
    """Compiled twin of `rot180.ops.silu_backward`."""
    return binary(apply_gate, "silu_backward", kinds.SILU, dy=dy, x=x)


def gelu(x: Array, approximate: str = "none") -> Array:
    """Compiled twin of `rot180.ops.gelu`."""
    return unary(apply, "gelu", _gelu_kind(approximate), x)


def gelu_backward(dy: Array, x: Array, approximate: str = "none") -> Array:
    """Compiled twin of `rot180.ops.gelu_backward`."""
    return binary(apply_gate, "gelu_backward", _gelu_kind(approximate), dy=dy, x=x)


def prelu(x: Array, slope: Array) -> Array:
    """Compiled twin of `rot180.ops.prelu`."""
    _check_slope(x, slope, "prelu")
    if not x.size:
        return ops.prelu(x, slope)
    dtype = float_type("prelu", x=x)
    maps, slope = as_maps(contiguous(x, dtype)), contiguous(slope, dtype)
    y = np.empty(maps.shape, dtype)
    table = np.empty(period_of(maps.shape[3], maps.shape[2], dtype), dtype)
    compiled.prelu(maps, slope, y, table, integers(*maps.shape[1:3], 0, 0, 0, 0))
    return y.reshape(x.shape)


def prelu_backward(dy: Array, x: Array, slope: Array) -> tuple[Array, Array]:
    """Compiled twin of `rot180.ops.prelu_backward`."""
    name = "prelu_backward"
    check_shape(name, dy, x)
    _check_slope(x, slope, name)
    if not x.size:
        return ops.prelu_backward(dy, x, slope)
    dtype = float_type(name, dy=dy, x=x)
    delta, maps, slope = as_maps(contiguous(dy, dtype)), as_maps(contiguous(x, dtype)), contiguous(slope, dtype)
    N, H, W, C = maps.shape
    dx, dslope = np.empty(maps.shape, dtype), np.empty(slope.shape, dtype)
    table = np.empty(period_of(C, W, dtype), dtype)
    shape = (parts_of(N * H), len(table))
    sizes = integers(H, W, 0, 0, 0, 0, 0, 0)
    compiled.prelu_backward(delta, maps, slope, dx, dslope, table, np.empty(shape, dtype), np.empty(shape), sizes)
    return dx.reshape(x.shape), dslope


def _gelu_kind(approximate: str) -> int:
    if approximate not in APPROXIMATIONS:
        raise ArgumentError(f"gelu: unknown approximation {approximate!r}{did_you_mean(approximate, APPROXIMATIONS)}")
    return kinds.GELU if approximate == "none" else kinds.GELU_TANH
