"""Accounts of the layers of deeper networks: normalization, joins, resizing, activations; see `time_model`.

An account adds up the cost of an operation's lines, in the primitives of the machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from rot180.inside.machine import Machine, best_time
from rot180.nn.activation_piecewise import ELU, Hardsigmoid, Hardswish, PReLU, ReLU6
from rot180.nn.activation_smooth import GELU, SiLU
from rot180.nn.batch_norm import BatchNorm2d
from rot180.nn.channels import ChannelShuffle, ChannelSlice, LocalResponseNorm
from rot180.nn.dropout import DropPath
from rot180.nn.global_pooling import AdaptiveAvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d
from rot180.nn.group_norm import GroupNorm, InstanceNorm2d, LayerNorm
from rot180.nn.joins import Add, Concatenate, Multiply
from rot180.nn.layer import Layer, Shape
from rot180.nn.upsample import Upsample
from rot180.ops.types import Array

__all__ = ["Account", "JoinAccount", "backward", "forward", "join_backward", "join_forward"]

Account = Callable[[Machine, Layer, Shape], float]
"""The seconds of a pass for an input of this shape, with the batch in front."""
JoinAccount = Callable[[Machine, Sequence[Shape]], float]
"""The same for a join, with the shape of each input."""


def each_value(*primitives: str) -> Account:
    """Return the account of an operation that applies these primitives to every value, one after another."""
    return lambda machine, layer, x_shape: sum(machine.seconds(name, math.prod(x_shape)) for name in primitives)


def _by_channel(rows: int, sums: int, whole: int) -> Account:
    """Return the account of an operation that combines every value with a number of its channel `rows` times, sums the
    values of each channel `sums` times, and applies an operation to whole arrays `whole` times."""

    def account(machine: Machine, layer: Layer, x_shape: Shape) -> float:
        values, run = math.prod(x_shape), x_shape[-1]
        if isinstance(layer, GroupNorm) and layer.num_groups < run:
            run //= layer.num_groups
        s = machine.seconds
        return s("add_row", values, run, rows) + s("sum_rows", values, run, sums) + s("binary", values, times=whole)

    return account


def _global_avg(machine: Machine, layer: Layer, x_shape: Shape) -> float:
    return machine.seconds("sum_rows", math.prod(x_shape), x_shape[-1])


def _spread(machine: Machine, layer: Layer, x_shape: Shape) -> float:
    return machine.seconds("copy", math.prod(x_shape), x_shape[-1])


def _global_max(machine: Machine, layer: Layer, x_shape: Shape) -> float:
    return machine.seconds("maximum", math.prod(x_shape), x_shape[-1])


def _zeros(machine: Machine, layer: Layer, x_shape: Shape) -> float:
    return machine.seconds("fill", math.prod(x_shape))


def _resized(machine: Machine, layer: Layer, x_shape: Shape) -> float:
    return _products(machine, x_shape, (x_shape[0], *layer.output_shape(x_shape[1:])))


def _resized_backward(machine: Machine, layer: Layer, x_shape: Shape) -> float:
    return _products(machine, (x_shape[0], *layer.output_shape(x_shape[1:])), x_shape)


def _products(machine: Machine, before: Shape, after: Shape) -> float:
    """Return the seconds of two products, along rows and along columns, and of the copies that they need."""
    (n, height, width, c), (_, rows, columns, _) = before, after
    s = machine.seconds
    along_rows = s("copy", math.prod(before), width * c) + machine.product_seconds(rows, height, n * width * c)
    along_columns = s("copy", n * rows * width * c, c) + machine.product_seconds(columns, width, n * rows * c)
    return along_rows + along_columns + s("copy", math.prod(after), c)


def _window_sums(machine: Machine, layer: Layer, x_shape: Shape) -> float:
    values, run = math.prod(x_shape), x_shape[-1]
    size = min(getattr(layer, "size", 1), run)
    return machine.seconds("fill", values) + machine.seconds("add_into", values, run, size)


def _lrn(*more: str) -> Account:
    def account(machine: Machine, layer: Layer, x_shape: Shape) -> float:
        sums = _window_sums(machine, layer, x_shape) * (2 if len(more) > 1 else 1)
        # A power is a logarithm, a product and an exponential.
        each = each_value("binary", "binary", "binary", "exp", "binary", "exp", *more)
        return sums + each(machine, layer, x_shape)

    return account


def _shuffled(machine: Machine, layer: Layer, x_shape: Shape) -> float:
    return machine.seconds("copy", math.prod(x_shape), 1)


def _sliced(machine: Machine, layer: Layer, x_shape: Shape) -> float:
    kept = layer.output_shape(x_shape[1:])
    return machine.seconds("copy", x_shape[0] * math.prod(kept), kept[-1])


def _sliced_backward(machine: Machine, layer: Layer, x_shape: Shape) -> float:
    return _zeros(machine, layer, x_shape) + _sliced(machine, layer, x_shape)


def _drop_path(machine: Machine, layer: Layer, x_shape: Shape) -> float:
    return machine.seconds("binary", math.prod(x_shape)) if getattr(layer, "rate", 0) else 0.0


@cache
def _erfc() -> float:
    """Measure the seconds of the error function for one value: NumPy has none, so it is called from Python."""
    x: Array = np.linspace(-2, 2, 4096, dtype=np.float32)
    return best_time(lambda: np.fromiter(map(math.erfc, x.tolist()), np.float64, x.size), budget=0.005) / x.size


def _gelu(exact: tuple[str, ...], approximate: tuple[str, ...]) -> Account:
    def account(machine: Machine, layer: Layer, x_shape: Shape) -> float:
        if getattr(layer, "approximate", "none") == "tanh":
            return each_value(*approximate)(machine, layer, x_shape)
        return math.prod(x_shape) * _erfc() + each_value(*exact)(machine, layer, x_shape)

    return account


_NORMALIZATIONS = (BatchNorm2d, GroupNorm, InstanceNorm2d, LayerNorm)
_SIGMOID = ("binary", "binary", "exp", "positive", "through", "binary", "binary")
_TANH = ("binary",) * 7 + ("tanh",)

forward: dict[type[Layer], Account] = {
    **dict.fromkeys(_NORMALIZATIONS, _by_channel(rows=5, sums=2, whole=1)),
    LocalResponseNorm: _lrn("binary"),
    GlobalAvgPool2d: _global_avg,
    GlobalMaxPool2d: _global_max,
    AdaptiveAvgPool2d: _resized,
    Upsample: _resized,
    ReLU6: each_value("binary"),
    Hardsigmoid: each_value("binary", "binary", "binary"),
    Hardswish: each_value("binary", "binary", "binary", "binary"),
    ELU: each_value("rectify", "exp", "exp", "binary", "positive", "select"),  # expm1 takes twice as long as exp
    PReLU: lambda machine, layer, x_shape: (
        machine.seconds("add_row", math.prod(x_shape), x_shape[-1])
        + each_value("positive", "select")(machine, layer, x_shape)
    ),
    SiLU: each_value(*_SIGMOID, "binary"),
    GELU: _gelu(("binary", "binary", "binary", "binary"), (*_TANH, "binary")),
    ChannelShuffle: _shuffled,
    ChannelSlice: _sliced,
    DropPath: _drop_path,
}
"""Accounts of forward passes."""

backward: dict[type[Layer], Account] = {
    **dict.fromkeys(_NORMALIZATIONS, _by_channel(rows=6, sums=4, whole=3)),
    LocalResponseNorm: _lrn(*("binary",) * 8),
    GlobalAvgPool2d: _spread,
    GlobalMaxPool2d: _zeros,
    AdaptiveAvgPool2d: _resized_backward,
    Upsample: _resized_backward,
    ReLU6: each_value("positive", "positive", "byte", "through"),
    Hardsigmoid: each_value("binary", "positive", "positive", "byte", "through"),
    Hardswish: each_value("binary", "binary", "binary", "positive", "positive", "through", "through", "binary"),
    ELU: each_value("rectify", "exp", "binary", "positive", "select", "binary"),
    PReLU: lambda machine, layer, x_shape: (
        machine.seconds("sum_rows", math.prod(x_shape), x_shape[-1])
        + each_value("rectify", "binary", "positive", "select", "binary")(machine, layer, x_shape)
    ),
    SiLU: each_value(*_SIGMOID, *("binary",) * 5),
    GELU: _gelu(
        ("binary", "binary", "binary", "binary", "exp", "binary", "binary", "binary"), (*_TANH, *("binary",) * 10)
    ),
    ChannelShuffle: _shuffled,
    ChannelSlice: _sliced_backward,
    DropPath: _drop_path,
}
"""Accounts of backward passes; those of layers with parameters compute dx even where it is not needed."""


def _add(machine: Machine, inputs: Sequence[Shape]) -> float:
    return machine.seconds("binary", math.prod(inputs[0]), times=len(inputs) - 1)


def _pieces(machine: Machine, inputs: Sequence[Shape]) -> float:
    return sum(machine.seconds("copy", math.prod(shape), shape[-1]) for shape in inputs)


def _multiply(machine: Machine, inputs: Sequence[Shape]) -> float:
    values, run = math.prod(inputs[0]), inputs[0][-1]
    if inputs[0] == inputs[1]:
        return machine.seconds("binary", values)
    return machine.seconds("add_row", values, run)


def _multiply_backward(machine: Machine, inputs: Sequence[Shape]) -> float:
    shared = 0.0 if inputs[0] == inputs[1] else machine.seconds("sum_rows", math.prod(inputs[0]), inputs[0][-1])
    return _multiply(machine, inputs) + machine.seconds("binary", math.prod(inputs[0])) + shared


join_forward: dict[type[Layer], JoinAccount] = {Add: _add, Concatenate: _pieces, Multiply: _multiply}
join_backward: dict[type[Layer], JoinAccount] = {
    Add: lambda machine, inputs: 0.0,
    Concatenate: _pieces,
    Multiply: _multiply_backward,
}
