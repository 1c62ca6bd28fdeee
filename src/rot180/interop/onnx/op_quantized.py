"""Whole numbers that stand for others: (q - zero point) * scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.interop.onnx.call import Call, Evaluated, Versions
from rot180.interop.onnx.op_convolution import convolved
from rot180.interop.onnx.op_matrix import product
from rot180.interop.onnx.tensor import dtype_of
from rot180.ops.types import Array


def quantize_linear(call: Call[Array]) -> Evaluated:
    """The nearest whole number to x / scale, plus the zero point, within the range of the type."""
    call.ignore("saturate", "precision")  # of floats of eight bits; of the division
    x, scale, zero = call.input(0), call.input(1), call.optional(2)
    dtype = np.dtype(np.uint8) if zero is None else zero.dtype
    if call.get_int("output_dtype", 0):
        dtype = dtype_of(call.get_int("output_dtype", 0), f"{call.path}: {call.node.label}")
    scale, zero = _along(call, x, scale), _along(call, x, np.zeros((), dtype) if zero is None else zero)
    return quantized(x / scale, zero, dtype)


def dequantize_linear(call: Call[Array]) -> Evaluated:
    """(q - zero point) * scale."""
    x, scale, zero = call.input(0), call.input(1), call.optional(2)
    number = scale.dtype
    if call.get_int("output_dtype", 0):
        number = dtype_of(call.get_int("output_dtype", 0), f"{call.path}: {call.node.label}")
    offset = np.zeros((), x.dtype) if zero is None else zero
    y = (x.astype(np.int64) - _along(call, x, offset).astype(np.int64)) * _along(call, x, scale).astype(np.float64)
    return y.astype(number)


def dynamic_quantize_linear(call: Call[Array]) -> Evaluated:
    """Quantize to uint8 by the range of x, which is made to include 0; also return scale and zero point."""
    x = call.input(0)
    low, high = np.minimum(x.min(initial=0), 0), np.maximum(x.max(initial=0), 0)
    scale = ((high - low) / np.float32(255)).astype(np.float32)
    zero = np.clip(np.round(-low / scale), 0, 255).astype(np.uint8) if scale else np.zeros((), np.uint8)
    y = quantized(x / scale if scale else x, zero, np.dtype(np.uint8))
    return y, np.asarray(scale), np.asarray(zero)


def conv_integer(call: Call[Array]) -> Evaluated:
    """A convolution of whole numbers less their zero points."""
    x, w = _shifted(call, 0, 2), _shifted(call, 1, 3, along_filters=True)
    return convolved(call, x, w, None).astype(np.int32)


def matmul_integer(call: Call[Array]) -> Evaluated:
    """A matrix product of whole numbers less their zero points."""
    return product(call, _shifted(call, 0, 2), _shifted(call, 1, 3)).astype(np.int32)


def qlinear_conv(call: Call[Array]) -> Evaluated:
    """A convolution of quantized numbers, quantized again."""
    x, w = _shifted(call, 0, 2), _shifted(call, 3, 5, along_filters=True)
    bias = call.optional(8)
    y = convolved(call, x, w, None if bias is None else bias.astype(np.float64))
    scales = call.input(1).astype(np.float64) * call.input(4).astype(np.float64) / call.input(6)
    if scales.size not in (1, y.shape[1]):
        raise call.error(f"there must be one scale, or one for each of {y.shape[1]} filters; there are {scales.size}")
    return quantized(y * scales.reshape(-1, 1, 1), call.input(7), call.input(7).dtype)


def qlinear_matmul(call: Call[Array]) -> Evaluated:
    """A matrix product of quantized numbers, quantized again."""
    y = product(call, _shifted(call, 0, 2), _shifted(call, 3, 5))
    scale = call.input(1).astype(np.float64) * call.input(4).astype(np.float64) / call.input(6)
    return quantized(y * scale, call.input(7), call.input(7).dtype)


def quantized(x: Array, zero: Array, dtype: np.dtype[Any]) -> Array:
    """Return the nearest whole numbers, halves to even ones, plus the zero point, within the range of the type."""
    limits = np.iinfo(dtype)  # raises ValueError for floats
    y: Array = np.clip(np.rint(x) + zero, limits.min, limits.max).astype(dtype)
    return y


def _along(call: Call[Array], x: Array, given: Array) -> Array:
    """Return a scale or zero point in the shape that belongs to its axis: one number, or one for each place."""
    axis, block = call.get_int("axis", 1), call.get_int("block_size", 0)
    if block:
        raise call.error("scales of blocks are not supported")
    if given.size == 1:
        return given.reshape(())
    shape = [1] * x.ndim
    shape[call.axis(axis, x.ndim)] = given.size
    return given.reshape(shape)


def _shifted(call: Call[Array], place: int, zero: int, *, along_filters: bool = False) -> Array:
    """Return an input less its zero point as float64, in which sums of products are exact."""
    x, offset = call.input(place).astype(np.float64), call.optional(zero)
    if offset is None:
        return x
    if along_filters and offset.size > 1:
        offset = offset.reshape(-1, *(1,) * (x.ndim - 1))
    shifted: Array = x - offset
    return shifted


QUANTIZED: dict[str, Versions] = {
    "QuantizeLinear": {10: quantize_linear},
    "DequantizeLinear": {10: dequantize_linear},
    "DynamicQuantizeLinear": {11: dynamic_quantize_linear},
    "ConvInteger": {10: conv_integer},
    "MatMulInteger": {10: matmul_integer},
    "QLinearConv": {10: qlinear_conv},
    "QLinearMatMul": {10: qlinear_matmul},
}
