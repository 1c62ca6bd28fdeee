"""Activations, sums, products, and arithmetic with constants as layers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rot180.interop.onnx.value import MAPS, POOLED, VECTOR, LiftCall, Lifted, Value, constant, optional_constant, value
from rot180.nn import (
    ELU,
    GELU,
    Add,
    Concatenate,
    Conv2d,
    Dropout,
    Flatten,
    Hardsigmoid,
    Hardswish,
    Layer,
    LeakyReLU,
    Linear,
    Multiply,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from rot180.nn.normalization import Normalization
from rot180.ops.types import Array

Lift = Callable[[LiftCall, Lifted], Value | tuple[Value | None, ...]]


def activation(layer: Callable[[LiftCall], Layer]) -> Lift:
    """Return what lifts an operator to an activation that keeps all axes."""
    return lambda call, net: net.same(call, layer(call), value(call, 0))


def hard_sigmoid(call: LiftCall, net: Lifted) -> Value:
    """Hardsigmoid, which is clip(x / 6 + 1 / 2, 0, 1), of 6 * alpha * x + 6 * beta - 3."""
    x, alpha, beta = value(call, 0), call.get_float("alpha", 0.2), call.get_float("beta", 0.5)
    if not math.isclose(6 * alpha, 1, rel_tol=1e-4):
        x = scaled(call, net, x, np.array(6 * alpha, np.float32))
    if not math.isclose(beta, 0.5, rel_tol=1e-4):
        x = shifted(call, net, x, np.array(6 * beta - 3, np.float32))
    return net.same(call, Hardsigmoid(), x)


def swish(call: LiftCall) -> Layer:
    """Return SiLU, if alpha is 1."""
    if call.get_float("alpha", 1.0) != 1:
        raise call.error(f"only alpha = 1 is supported; it is {call.get_float('alpha', 1.0):.6g}")
    return SiLU()


def clip(call: LiftCall, net: Lifted) -> Value:
    """ReLU6, ReLU, or nothing, by the bounds."""
    x = value(call, 0)
    if call.opset < 11:
        low, high = call.get_float("min", -3.4e38), call.get_float("max", 3.4e38)
    else:
        bounds = [optional_constant(call, place) for place in (1, 2)]
        low, high = (
            given if bound is None or bound.size != 1 else float(bound.reshape(()))
            for bound, given in zip(bounds, (-math.inf, math.inf), strict=True)
        )
    if low <= -3e38 and high >= 3e38:
        return x
    if low == 0 and (high == 6 or high >= 3e38):
        return net.same(call, ReLU6() if high == 6 else ReLU(), x)
    raise call.error(f"only bounds of 0 and 6, or 0 alone, are supported; they are {low:.6g} and {high:.6g}")


def prelu(call: LiftCall, net: Lifted) -> Value:
    """PReLU."""
    x, slope = value(call, 0, MAPS, VECTOR), constant(call, 1)
    weight = along_channels(call, slope, x)
    return net.same(call, PReLU(shared=weight.size == 1), x, weight=weight)


def softmax(call: LiftCall, net: Lifted) -> Value:
    """Softmax over the channels."""
    x = value(call, 0)
    axis = call.axis(call.get_int("axis", -1 if call.opset >= 13 else 1), len(x.axes))
    together = x.axes[axis : axis + 1] if call.opset >= 13 else x.axes[axis:].rstrip("1")
    if together != "C":
        raise call.error("only a softmax over the channels is supported")
    return net.same(call, Softmax(), x)


def dropout(call: LiftCall, net: Lifted) -> Value:
    """Dropout, which does something in training only."""
    call.ignore("seed", "is_test")
    if call.opset < 12:
        rate = call.get_float("ratio", 0.5)
    else:
        given = optional_constant(call, 1)
        rate = 0.5 if given is None or given.size != 1 else float(given.reshape(()))
    return net.same(call, Dropout(float(f"{rate:.7g}")), value(call, 0))


def unchanged(call: LiftCall, net: Lifted) -> Value:
    """No layer: all arrays are floats of one type."""
    call.ignore("to", "saturate", "round_mode")
    return value(call, 0)


def add(call: LiftCall, net: Lifted) -> Value:
    """Add, or a bias."""
    return _sum(call, net)


def subtract(call: LiftCall, net: Lifted) -> Value:
    """A bias with the sign reversed."""
    if isinstance(call.input(1), Value):
        raise call.error("a difference of two layers' outputs is not supported")
    return shifted(call, net, value(call, 0), -constant(call, 1))


def several(call: LiftCall, net: Lifted) -> Value:
    """Add of any number of values."""
    return _sum(call, net)


def _sum(call: LiftCall, net: Lifted) -> Value:
    given = call.all_inputs
    values = [each for each in given if isinstance(each, Value)]
    for other in values[1:]:
        if (other.shape, other.axes, other.maps) != (values[0].shape, values[0].axes, values[0].maps):
            shapes = f"{list(values[0].shape)} and {list(other.shape)}"
            raise call.error(f"only values of one shape are added; they are {shapes}")
    total = values[0] if len(values) == 1 else values[0]._replace(place=net.add(call, Add(), *values), exclusive=True)
    for each in given:
        if not isinstance(each, Value):
            total = shifted(call, net, total, each)
    return total


def multiply(call: LiftCall, net: Lifted) -> Value:
    """Multiply, or a scale."""
    a, b = call.input(0), call.input(1)
    if not isinstance(a, Value) or not isinstance(b, Value):
        x, factor = (a, b) if isinstance(a, Value) else (b, a)
        if not isinstance(x, Value) or isinstance(factor, Value):
            raise call.error("one of its inputs must be a layer's output")
        return scaled(call, net, x, factor)
    maps, gate = (a, b) if math.prod(a.shape) >= math.prod(b.shape) else (b, a)
    if gate.axes == MAPS and gate.shape[2:] == (1, 1) and maps.shape[2:] != (1, 1):
        gate = net.vector(call, Flatten(), gate, POOLED)
    if gate.axes != maps.axes and not (maps.axes == MAPS and gate.axes == POOLED):
        raise call.error(f"only a gate of one value per channel is supported; it is {list(gate.shape)}")
    return maps._replace(place=net.add(call, Multiply(), maps, gate), exclusive=True)


def divide(call: LiftCall, net: Lifted) -> Value:
    """A scale."""
    divisor = constant(call, 1)
    if not divisor.all():
        raise call.error("it divides by zero")
    return scaled(call, net, value(call, 0), np.asarray(1 / divisor))


def concat(call: LiftCall, net: Lifted) -> Value:
    """Concatenate."""
    values = [value(call, place) for place in range(len(call.inputs))]
    axis = call.axis(call.get_int("axis", 1), len(values[0].axes))
    if len({each.axes for each in values}) > 1 or values[0].axes[axis] != "C":
        raise call.error("only channels are concatenated")
    if len(values) == 1:
        return values[0]
    place = net.add(call, Concatenate(), *values)
    shape = list(values[0].shape)
    shape[axis] = sum(each.shape[axis] for each in values)
    return values[0]._replace(place=place, shape=tuple(shape), exclusive=True)


def scaled(call: LiftCall, net: Lifted, x: Value, factor: Array) -> Value:
    """Return a value times one number per channel: taken into the layer before it, or a 1 x 1 depthwise convolution."""
    if factor.size == 1 and float(factor.reshape(())) == 1:
        return x
    factors = np.broadcast_to(along_channels(call, factor, x), (x.channels,)).astype(np.float32)
    if x.place < 0 and net.pixels is not None and x.exclusive:
        scale, shift = net.pixels
        net.pixels = scale * factors, shift * factors
        return x
    before = net.layer_of(x.place) if x.exclusive else None
    if isinstance(before, Normalization) and _is_by_channel(net, x):
        arrays = net.arrays[x.place]
        net.arrays[x.place] = {
            name: array * factors if name in ("weight", "bias") else array for name, array in arrays.items()
        }
        return x
    if isinstance(before, Linear):
        net.arrays[x.place] = {name: array * factors for name, array in net.arrays[x.place].items()}
        return x
    return _depthwise(call, net, x, factors, None)


def shifted(call: LiftCall, net: Lifted, x: Value, addend: Array) -> Value:
    """Return a value plus one number per channel: the bias of the layer before it, or of a depthwise convolution."""
    if not addend.any():
        return x
    numbers = np.broadcast_to(along_channels(call, addend, x), (x.channels,)).astype(np.float32)
    if x.place < 0 and net.pixels is not None and x.exclusive:
        scale, shift = net.pixels
        net.pixels = scale, shift + numbers
        return x
    before = net.layer_of(x.place) if x.exclusive else None
    if isinstance(before, Conv2d | Linear) or (isinstance(before, Normalization) and _is_by_channel(net, x)):
        arrays = net.arrays[x.place]
        net.arrays[x.place] = {**arrays, "bias": arrays.get("bias", np.zeros_like(numbers)) + numbers}
        if isinstance(before, Conv2d | Linear):
            before.bias = True
        return x
    return _depthwise(call, net, x, np.ones(x.channels, np.float32), numbers)


def _is_by_channel(net: Lifted, x: Value) -> bool:
    """Return whether the layer before has a scale for each channel."""
    return net.arrays[x.place]["weight"].shape == (x.channels,)


def _depthwise(call: LiftCall, net: Lifted, x: Value, factors: Array, numbers: Array | None) -> Value:
    if len(net.shape_of(x.place)) != 3:
        raise call.error(f"numbers for the channels of {list(x.shape)} need a layer before them that takes them in")
    layer = Conv2d(x.channels, 1, groups=x.channels, bias=numbers is not None)
    return net.same(call, layer, x, weight=factors.reshape(1, 1, 1, -1), bias=numbers)


def along_channels(call: LiftCall, array: Array, x: Value) -> Array:
    """Return a constant that is broadcast to x as one number, or one for each channel."""
    if array.size == 1:
        return array.reshape(1)
    shape = (1,) * (len(x.axes) - array.ndim) + array.shape
    if len(shape) != len(x.axes) or "C" not in x.axes:
        raise call.error(f"a constant {list(array.shape)} does not fit {list(x.shape)}")
    axis = x.axes.index("C")
    if shape != tuple(n if place == axis else 1 for place, n in enumerate(x.shape)):
        raise call.error(f"a constant must have one number, or one for each channel; it is {list(array.shape)}")
    return array.reshape(-1)


ACTIVATIONS: dict[str, Lift] = {
    "Relu": activation(lambda call: ReLU()),
    "Sigmoid": activation(lambda call: Sigmoid()),
    "Tanh": activation(lambda call: Tanh()),
    "LeakyRelu": activation(lambda call: LeakyReLU(float(f"{call.get_float('alpha', 0.01):.7g}"))),
    "Elu": activation(lambda call: ELU(float(f"{call.get_float('alpha', 1.0):.7g}"))),
    "HardSigmoid": hard_sigmoid,
    "HardSwish": activation(lambda call: Hardswish()),
    "Gelu": activation(lambda call: GELU(call.choice("approximate", "none", ("none", "tanh")))),
    "Swish": activation(swish),
}
"""Operators that are activations."""
