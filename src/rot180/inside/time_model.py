"""The time of each layer on the NumPy engine, in terms of the machine's primitives.

Each function here follows the code of an operation in `rot180.ops` and adds up the cost of its lines: the values copied
and compared, in runs of their length, and the matrix products. Nothing is fitted to measured layers: where prediction
and measurement differ, the account is wrong, and it can be read.
"""

from __future__ import annotations

import math

from rot180.inside import time_accounts
from rot180.inside.machine import Machine
from rot180.inside.time_accounts import Account, each_value
from rot180.nn import (
    AvgPool2d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    LeakyReLU,
    Linear,
    MaxPool2d,
    NoisyReLU,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from rot180.nn.layer import Layer, Shape
from rot180.ops import conv_winograd
from rot180.ops.conv2d import choose_algorithm
from rot180.ops.geometry import Geometry

__all__ = ["predict_backward", "predict_forward"]


def predict_forward(
    machine: Machine, layer: Layer, input_shape: Shape, batch_size: int, *others: Shape
) -> float | None:
    """Return the seconds of a layer's forward pass in training; None for a layer that is not one of this package.

    `others` are the shapes of a join's further inputs.
    """
    x_shape = (batch_size, *input_shape)
    join = time_accounts.join_forward.get(type(layer))
    if join is not None:
        return machine.call + join(machine, [(batch_size, *shape) for shape in (input_shape, *others)])
    if isinstance(layer, ConvTranspose2d):
        return machine.call + _transposed_forward(machine, layer, x_shape)
    if isinstance(layer, Conv2d):
        return machine.call + _conv_forward(machine, layer, x_shape)
    account = _FORWARD.get(type(layer))
    return None if account is None else machine.call + account(machine, layer, x_shape)


def predict_backward(
    machine: Machine, layer: Layer, input_shape: Shape, batch_size: int, *others: Shape, needs_dx: bool = True
) -> float | None:
    """Return the seconds of a layer's backward pass; None for a layer that is not one of this package."""
    x_shape = (batch_size, *input_shape)
    join = time_accounts.join_backward.get(type(layer))
    if join is not None:
        inputs = [(batch_size, *shape) for shape in (input_shape, *others)]
        return machine.call + (join(machine, inputs) if needs_dx else 0.0)
    if isinstance(layer, ConvTranspose2d):
        return machine.call + _transposed_backward(machine, layer, x_shape, needs_dx)
    if isinstance(layer, Conv2d):
        return machine.call + _conv_backward(machine, layer, x_shape, needs_dx)
    if isinstance(layer, Linear):
        return machine.call + _linear_backward(machine, layer, x_shape, needs_dx)
    account = _BACKWARD.get(type(layer))
    computes = needs_dx or layer.has_parameters
    return None if account is None else machine.call + (account(machine, layer, x_shape) if computes else 0.0)


def algorithm_of(layer: Conv2d, part: str, x_shape: Shape) -> str:
    """Return the algorithm that a layer uses for forward, data_gradient or weight_gradient."""
    if layer.algorithm != "auto":
        return layer.algorithm
    g = layer.geometry(x_shape[1:])
    return choose_algorithm(part, x_shape, g, layer.out_channels, layer.groups)  # type: ignore[arg-type]


# Convolution. n images, c channels, f filters, taps = KH*KW; `pixels` are those of the output of the whole batch.


class _Convolution:
    """The sizes of one convolution, and the steps that its algorithms share."""

    def __init__(self, machine: Machine, layer: Conv2d, x_shape: Shape) -> None:
        self.machine, self.layer, self.x_shape = machine, layer, x_shape
        self.g = g = layer.geometry(x_shape[1:])
        self.n, self.c, self.f, self.groups = x_shape[0], x_shape[3], layer.out_channels, layer.groups
        self.taps = g.kernel[0] * g.kernel[1]
        self.pixels = self.n * g.out_height * g.out_width
        # Along a row the channels of neighboring pixels are contiguous if the step is one pixel.
        self.run_of_taps = (g.kernel[1] if g.dilation[1] == 1 else 1) * self.c // self.groups
        self.run_of_shift = (g.out_width if g.stride[1] == 1 else 1) * self.c

    def pad(self) -> float:
        if not self.g.is_padded:
            return 0.0
        padded = self.n * self.g.padded_height * self.g.padded_width * self.c
        kept = math.prod(self.x_shape)
        return self.machine.seconds("fill", padded) + self.machine.seconds("copy", kept, self.g.width * self.c)

    def product(self, m: float, k: float, n: float, times: float = 1) -> float:
        """Return the time of one product per group."""
        return self.machine.product_seconds(m, k, n, times * self.groups)

    def unfold(self) -> float:
        return self.machine.seconds("copy", self.pixels * self.taps * self.c, self.run_of_taps)

    def rotate_and_unfold(self) -> float:
        """Return the time to spread and pad delta, unfold its windows at every pixel, and rotate the kernel."""
        g, s = self.g, self.machine.seconds
        height, width = (
            g.height + g.dilation[0] * (g.kernel[0] - 1),
            g.width + g.dilation[1] * (g.kernel[1] - 1),
        )
        delta = self.pixels * self.f
        seconds = s("fill", self.n * height * width * self.f) + s("copy", delta, g.out_width * self.f)
        if g.stride != (1, 1):
            spread = delta * g.stride[0] * g.stride[1]
            seconds += s("fill", spread) + s("copy", delta, self.f) + s("copy", spread)
        run = (g.kernel[1] if g.dilation[1] == 1 else 1) * self.f // self.groups
        weights = self.taps * self.c * self.f / self.groups
        unfolded = self.n * g.height * g.width * self.taps * self.f
        return seconds + s("copy", weights, 4) + s("copy", unfolded, run)

    def transform(self, size: int, tiles: float, channels: int, results: int) -> float:
        """Return the time to transform tiles from size x size to results x results: copied, then along both axes."""
        values = tiles * channels
        products = self.machine.product_seconds
        copied = self.machine.seconds("copy", size * size * values, channels)
        return copied + products(results, size, size * values) + products(results, size, values, results)

    def filter_tiles(self, height: int, width: int, c: int, f: int) -> float:
        """Return the time of minimal filtering from c to f channels, for maps of this size."""
        r, m = self.g.kernel[0], conv_winograd.OUTPUTS[self.g.kernel[0]]
        n, tiles = m + r - 1, self.n * -(-height // m) * -(-width // m)
        seconds = self.transform(n, tiles, c, n) + self.transform(r, c, f, n)
        seconds += self.machine.product_seconds(tiles, c, f, n * n) + self.transform(n, tiles, f, m)
        padded = self.machine.seconds("copy", self.n * height * width * c, width * c)
        return seconds + padded + self.machine.seconds("copy", self.n * height * width * f, f)


def _conv_forward(machine: Machine, layer: Conv2d, x_shape: Shape) -> float:
    c = _Convolution(machine, layer, x_shape)
    algorithm = algorithm_of(layer, "forward", x_shape)
    s = machine.seconds
    seconds = machine.plan + c.pad()
    if algorithm == "offsets":
        values = c.pixels * c.c
        if c.c == c.groups == c.f:
            each = s("binary", values)
        else:
            each = s("copy", values, c.run_of_shift) + c.product(c.pixels, c.c / c.groups, c.f / c.groups)
        each += s("add_up", c.pixels * c.f)
        seconds += s("fill", c.pixels * c.f) + c.taps * each
    elif algorithm == "loops":
        return math.inf
    elif algorithm == "winograd":
        seconds += c.filter_tiles(c.g.out_height, c.g.out_width, c.c, c.f)
    else:
        seconds += c.unfold() + c.product(c.pixels, c.taps * c.c / c.groups, c.f / c.groups)
        if c.groups > 1:
            seconds += s("copy", c.pixels * c.f, c.f / c.groups)
    return seconds + (s("add_row", c.pixels * c.f, c.f) if layer.bias else 0)


def _conv_backward(machine: Machine, layer: Conv2d, x_shape: Shape, needs_dx: bool) -> float:
    c = _Convolution(machine, layer, x_shape)
    s = machine.seconds
    seconds = machine.plan + (s("sum_rows", c.pixels * c.f, c.f) if layer.bias else 0)
    per_group, filters = c.c / c.groups, c.f / c.groups
    algorithm = algorithm_of(layer, "weight_gradient", x_shape)
    seconds += c.pad()
    if algorithm == "loops":
        return math.inf
    if algorithm == "offsets" and c.c == c.groups == c.f:
        seconds += c.taps * s("binary", c.pixels * c.c, times=2)
    elif algorithm == "offsets":
        seconds += c.taps * (s("copy", c.pixels * c.c, c.run_of_shift) + c.product(per_group, c.pixels, filters))
    elif algorithm == "winograd":
        r, m = c.g.kernel[0], conv_winograd.OUTPUTS[c.g.kernel[0]]
        n, tiles = m + r - 1, c.n * -(-c.g.out_height // m) * -(-c.g.out_width // m)
        seconds += c.transform(n, tiles, c.c, n) + c.transform(m, tiles, c.f, n) + c.transform(n, c.c, c.f, r)
        seconds += machine.product_seconds(c.c, tiles, c.f, n * n)
        seconds += s("copy", math.prod(x_shape), c.g.width * c.c) + s("copy", c.pixels * c.f, c.g.out_width * c.f)
    elif algorithm == "windows":  # unfolded in the other order: a row for each tap, in runs of an output row
        run = c.g.out_width if c.c == 1 and c.g.stride[1] == 1 else 4
        seconds += s("copy", c.pixels * c.taps * c.c, run) + c.product(c.taps * per_group, c.pixels, filters)
    else:
        seconds += c.unfold() + c.product(c.taps * per_group, c.pixels, filters)
    if not needs_dx:
        return seconds
    algorithm = algorithm_of(layer, "data_gradient", x_shape)
    padded = c.n * c.g.padded_height * c.g.padded_width * c.c
    if algorithm == "im2col":
        every = c.n * c.g.height * c.g.width
        return seconds + c.rotate_and_unfold() + c.product(every, c.taps * filters, per_group)
    if algorithm == "winograd":
        return (
            seconds + s("copy", c.pixels * c.f, c.g.out_width * c.f) + c.filter_tiles(c.g.height, c.g.width, c.f, c.c)
        )
    cropping = s("copy", math.prod(x_shape), c.g.width * c.c) if c.g.is_padded else 0
    seconds += s("fill", padded) + cropping
    values = c.pixels * c.c
    if algorithm == "windows":
        return seconds + c.product(c.pixels, filters, c.taps * per_group) + c.taps * s("add_into", values, c.c)
    once = s("binary", values) if c.c == c.groups == c.f else c.product(c.pixels, filters, per_group)
    return seconds + c.taps * (once + s("add_into", values, c.run_of_shift))


# Transposed convolution: the convolution from its output to its input, with the passes exchanged.


def _turned(layer: ConvTranspose2d, x_shape: Shape) -> tuple[Conv2d, Shape]:
    """Return that convolution, and the shape of its input."""
    y_shape = layer.output_shape(x_shape[1:])
    conv = Conv2d(
        x_shape[3],
        layer.kernel_size,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=False,
        algorithm=layer.algorithm,
    )
    return conv, (x_shape[0], *y_shape)


def _transposed_forward(machine: Machine, layer: ConvTranspose2d, x_shape: Shape) -> float:
    conv, y_shape = _turned(layer, x_shape)
    both, weights = (_conv_backward(machine, conv, y_shape, needs_dx) for needs_dx in (True, False))
    return both - weights + (machine.seconds("add_row", math.prod(y_shape), y_shape[3]) if layer.bias else 0)


def _transposed_backward(machine: Machine, layer: ConvTranspose2d, x_shape: Shape, needs_dx: bool) -> float:
    conv, y_shape = _turned(layer, x_shape)
    seconds = _conv_backward(machine, conv, y_shape, False)
    seconds += machine.seconds("sum_rows", math.prod(y_shape), y_shape[3]) if layer.bias else 0
    return seconds + (_conv_forward(machine, conv, y_shape) if needs_dx else 0)


def _linear_forward(machine: Machine, layer: Layer, x_shape: Shape) -> float:
    n, n_in = x_shape
    n_out = layer.output_shape(x_shape[1:])[0]
    return machine.product_seconds(n, n_in, n_out) + machine.seconds("add_row", n * n_out, n_out)


def _linear_backward(machine: Machine, layer: Linear, x_shape: Shape, needs_dx: bool) -> float:
    n, n_in = x_shape
    n_out = layer.out_features
    seconds = machine.product_seconds(n_in, n, n_out) + machine.seconds("sum_rows", n * n_out, n_out)
    return seconds + (machine.product_seconds(n, n_out, n_in) if needs_dx else 0)


# Pooling. A tap of all windows is a strided slice, contiguous within a pixel, or within a row if the step is one.


def _pool_sizes(layer: MaxPool2d | AvgPool2d, x_shape: Shape) -> tuple[Geometry, int, int, int, int]:
    n, _, _, c = x_shape
    g = layer.geometry(x_shape[1:])
    run = (g.out_width if g.stride[1] == 1 else 1) * c
    padded = n * g.padded_height * g.padded_width * c
    return g, g.kernel[0] * g.kernel[1], n * g.out_height * g.out_width * c, run, padded


def _padding(machine: Machine, g: Geometry, x_shape: Shape, padded: int) -> float:
    if not g.is_padded:
        return 0.0
    return machine.seconds("fill", padded) + machine.seconds("copy", math.prod(x_shape), g.width * x_shape[3])


def _max_pool_forward(machine: Machine, layer: Layer, x_shape: Shape) -> float:
    g, taps, values, run, padded = _pool_sizes(layer, x_shape)  # type: ignore[arg-type]
    s = machine.seconds
    other_taps = s("compare", values, run) + s("maximum", values, run) + s("byte", values)
    first = s("repeat", values, x_shape[3]) + s("copy", values, run) + s("isnan", values) + s("widen", values)
    return machine.plan + _padding(machine, g, x_shape, padded) + first + (taps - 1) * other_taps


def _max_pool_backward(machine: Machine, layer: Layer, x_shape: Shape) -> float:
    g, taps, values, run, padded = _pool_sizes(layer, x_shape)  # type: ignore[arg-type]
    s = machine.seconds
    each = s("equal", values) + s("gate_into", values, run)
    if g.stride[0] < g.kernel[0] or g.stride[1] < g.kernel[1]:
        each += s("add_into", values, run)
    cropping = s("copy", math.prod(x_shape), g.width * x_shape[3]) if g.is_padded else 0
    return machine.plan + s("fill", padded) + taps * each + cropping


def _avg_pool_forward(machine: Machine, layer: Layer, x_shape: Shape) -> float:
    g, taps, values, run, padded = _pool_sizes(layer, x_shape)  # type: ignore[arg-type]
    s = machine.seconds
    added = s("fill", values) + taps * s("add_from", values, run)
    return machine.plan + _padding(machine, g, x_shape, padded) + added + s("binary", values)


def _avg_pool_backward(machine: Machine, layer: Layer, x_shape: Shape) -> float:
    g, taps, values, run, padded = _pool_sizes(layer, x_shape)  # type: ignore[arg-type]
    s = machine.seconds
    cropping = s("copy", math.prod(x_shape), g.width * x_shape[3]) if g.is_padded else 0
    return machine.plan + s("binary", values) + s("fill", padded) + taps * s("add_into", values, run) + cropping


def _dropout(*primitives: str) -> Account:
    each = each_value(*primitives)
    return lambda machine, layer, x_shape: each(machine, layer, x_shape) if getattr(layer, "rate", 0) else 0.0


_FORWARD: dict[type[Layer], Account] = {
    **time_accounts.forward,
    Linear: _linear_forward,
    MaxPool2d: _max_pool_forward,
    AvgPool2d: _avg_pool_forward,
    Flatten: lambda machine, layer, x_shape: machine.sizes,
    ReLU: each_value("rectify"),
    NoisyReLU: each_value("random", "random", "binary", "binary", "rectify"),
    LeakyReLU: each_value("positive", "through", "binary"),
    Sigmoid: each_value("binary", "binary", "exp", "positive", "through", "binary", "binary"),
    Tanh: each_value("tanh"),
    Softmax: each_value("rectify", "binary", "exp", "binary", "binary"),
    Dropout: _dropout("random", "positive", "widen", "binary", "binary"),
}
_BACKWARD: dict[type[Layer], Account] = {
    **time_accounts.backward,
    MaxPool2d: _max_pool_backward,
    AvgPool2d: _avg_pool_backward,
    Flatten: each_value(),
    ReLU: each_value("positive", "through"),
    NoisyReLU: each_value("positive", "through"),
    LeakyReLU: each_value("positive", "through", "binary"),
    Sigmoid: each_value("binary", "binary", "binary"),
    Tanh: each_value("binary", "binary", "binary"),
    Softmax: each_value("binary", "binary", "binary", "binary"),
    Dropout: _dropout("binary"),
}
