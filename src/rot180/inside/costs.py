"""The cost of a network before it runs: parameters, multiply-adds, memory, and time on this machine, by layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, did_you_mean
from rot180.inside.machine import Machine, best_time, this_machine
from rot180.inside.time_model import predict_backward, predict_forward
from rot180.nn import Conv2d, Network
from rot180.nn.graph import LayerShapes
from rot180.nn.layer import Layer, Shape
from rot180.nn.walk import Pass, backward_passes
from rot180.ops import conv_winograd

__all__ = ["ENGINES", "Cost", "LayerCost", "cost"]

ENGINES = ("numpy",)
"""The engines whose time can be predicted."""
_PARTS = ("forward", "data_gradient", "weight_gradient")


@dataclass(frozen=True)
class LayerCost:
    """The cost of one layer for a batch, in one training step without the update."""

    name: str
    word: str
    output_shape: Shape
    parameters: int
    multiply_adds_forward: int
    """Multiply-adds by definition, one for each product in the layer's sums, whatever the algorithm."""
    multiply_adds_backward: int
    """Those of weight gradient and data gradient; the first layer needs no data gradient."""
    activation_bytes: int
    """Bytes of the output for the batch, which backward needs."""
    unfolded_bytes: dict[str, dict[str, int]]
    """For a convolution, the bytes that windows are copied to, or transformed tiles: by algorithm, then forward,
    data_gradient, weight_gradient. The first layer computes no data gradient."""
    algorithm_multiply_adds: dict[str, dict[str, int]]
    """For a convolution, the multiply-adds that each algorithm makes, in the same form; `winograd` makes the fewest,
    and is listed if it applies."""
    predicted_forward: float | None
    """Predicted time in seconds; None for a layer from outside this package."""
    predicted_backward: float | None
    """Predicted time in seconds; 0 below the first layer with parameters, which backward does not reach."""
    measured_forward: float | None
    """Measured time in seconds; None if not measured."""
    measured_backward: float | None


@dataclass(frozen=True)
class Cost:
    """The cost of a network; from `cost`."""

    notation: str
    batch_size: int
    dtype: str
    engine: str
    peak: float
    """Multiply-adds per second of the fastest matrix product on this machine."""
    bandwidth: float
    """Bytes per second that a copy reads and writes, together."""
    layers: tuple[LayerCost, ...]

    def total(self, field: str) -> float | None:
        """Return the sum of a field over the layers; None if a layer does not have it."""
        values = [getattr(layer, field) for layer in self.layers]
        return None if None in values else sum(values)

    def to_dict(self) -> dict[str, Any]:
        """Return everything, for JSON."""
        return {**vars(self), "layers": [vars(layer) for layer in self.layers]}


def cost(model: Network, batch_size: int = 32, *, engine: str = "numpy", measure: bool = False) -> Cost:
    """Compute what a network costs, and predict how long each layer takes on this machine.

    The prediction adds up the cost of each operation's lines in primitives, such as copies and matrix products, which
    are measured on this machine once per process, in about a second (`rot180.inside.machine`). No layer is run for it.

    Parameters
    ----------
    model : Network
        A network whose input shape is known, built or not.
    batch_size : int
        Images per step.
    engine : {"numpy"}
        The engine whose time is predicted and measured.
    measure : bool
        Also run each layer, with random images, and take the best time of several consecutive calls. Arrays are then in
        the cache; in a whole step they often are not.

    Returns
    -------
    Cost

    Raises
    ------
    ArgumentError
        The input shape is not known, the batch is empty, or the engine is unknown.

    Examples
    --------
    >>> import rot180
    >>> table = cost(rot180.model("lenet5"), batch_size=1)
    >>> conv2 = table.layers[3]
    >>> conv2.name, conv2.parameters, conv2.multiply_adds_forward, conv2.unfolded_bytes["im2col"]["forward"]
    ('conv2', 2416, 240000, 60000)
    """
    if engine not in ENGINES:
        raise ArgumentError(f"cost: no time model for engine {engine!r}{did_you_mean(engine, ENGINES)}")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ArgumentError(f"cost: batch_size must be an int, at least 1; it is {batch_size!r}")
    model = model.countable()
    machine = this_machine()
    measured = _measured(model, batch_size) if measure else {}
    layers = []
    for layer, shapes, passes in zip(model.layers, model.layer_shapes, backward_passes(model.nodes), strict=True):
        times = measured.get(layer.name, (None, None))
        layers.append(_layer_cost(machine, model, layer, shapes, batch_size, passes, times))
    return Cost(str(model), batch_size, str(model.dtype), engine, machine.peak, machine.bandwidth, tuple(layers))


def _layer_cost(
    machine: Machine,
    model: Network,
    layer: Layer,
    shapes: LayerShapes,
    batch_size: int,
    passes: Pass,
    measured: tuple[float | None, float | None],
) -> LayerCost:
    before, after = shapes.input, shapes.output
    parameters = layer.parameter_shapes(before)
    products = batch_size * layer.multiply_adds(before)
    gradients = passes.runs + passes.needs_dx
    itemsize = model.dtype.itemsize
    unfolded = unfolded_bytes(layer, before, batch_size, itemsize) if isinstance(layer, Conv2d) else {}
    counted = algorithm_multiply_adds(layer, before, batch_size) if isinstance(layer, Conv2d) else {}
    if not passes.needs_dx:
        for parts in (*unfolded.values(), *counted.values()):
            parts["data_gradient"] = 0
    # The primitives are timed in float32; twice the bytes take twice the time, both in memory and in registers.
    scale = itemsize / 4
    forward = predict_forward(machine, layer, before, batch_size, *shapes.inputs[1:])
    backward: float | None = 0.0
    if passes.runs:
        backward = predict_backward(machine, layer, before, batch_size, *shapes.inputs[1:], needs_dx=passes.needs_dx)
    return LayerCost(
        name=layer.name,
        word=layer.to_notation(),
        output_shape=after,
        parameters=sum(math.prod(shape) for shape in parameters.values()),
        multiply_adds_forward=products,
        multiply_adds_backward=gradients * products,
        activation_bytes=batch_size * math.prod(after) * itemsize,
        unfolded_bytes=unfolded,
        algorithm_multiply_adds=counted,
        predicted_forward=None if forward is None else scale * forward,
        predicted_backward=None if backward is None else scale * backward,
        measured_forward=measured[0],
        measured_backward=measured[1],
    )


def unfolded_bytes(layer: Conv2d, input_shape: Shape, batch_size: int, itemsize: int = 4) -> dict[str, dict[str, int]]:
    """Return the bytes that each algorithm copies windows to, for each pass; of winograd, those of transformed tiles.

    Examples
    --------
    >>> layer = Conv2d(64, 5, padding="same")
    >>> unfolded_bytes(layer, (14, 14, 32), 1)["im2col"]  # 800, 1,600 and 800 float32 for each of 196 pixels
    {'forward': 627200, 'data_gradient': 1254400, 'weight_gradient': 627200}
    """
    g = layer.geometry(input_shape)
    taps, channels = g.kernel[0] * g.kernel[1], input_shape[2]
    pixels = batch_size * g.out_height * g.out_width
    windows = pixels * taps * channels * itemsize
    delta = batch_size * g.height * g.width * taps * layer.out_channels * itemsize
    shifted = pixels * channels * itemsize
    found = {
        "loops": dict.fromkeys(_PARTS, 0),
        "im2col": dict(zip(_PARTS, (windows, delta, windows), strict=True)),
        "offsets": dict.fromkeys(_PARTS, shifted),
        "windows": dict.fromkeys(_PARTS, windows),
    }
    if conv_winograd.applies(g.kernel, g.stride, g.dilation, layer.groups):
        at_outputs, at_pixels = (
            batch_size * itemsize * conv_winograd.multiply_adds(g.kernel[0], height, width, 1, 1)  # n*n for each tile
            for height, width in ((g.out_height, g.out_width), (g.height, g.width))
        )
        forward, gradient = at_outputs * channels, at_pixels * layer.out_channels
        found["winograd"] = dict(
            zip(_PARTS, (forward, gradient, forward + at_outputs * layer.out_channels), strict=True)
        )
    return found


def algorithm_multiply_adds(layer: Conv2d, input_shape: Shape, batch_size: int) -> dict[str, dict[str, int]]:
    """Return how many products each algorithm adds up, for each pass.

    Most compute as many as there are in the sums that define a pass. im2col convolves delta with the rotated kernel at
    every pixel, also where the padding of delta, or a stride, leaves only zeros; winograd saves multiplications.

    Examples
    --------
    >>> found = algorithm_multiply_adds(Conv2d(64, 3, padding="same"), (32, 32, 64), 1)
    >>> found["im2col"]["forward"], found["winograd"]["forward"]
    (37748736, 9437184)
    """
    g, c, f = layer.geometry(input_shape), input_shape[2], layer.out_channels
    products = batch_size * layer.multiply_adds(input_shape)
    every_pixel = batch_size * g.height * g.width * math.prod(g.kernel) * c * (f // layer.groups)
    found = {name: dict.fromkeys(_PARTS, products) for name in ("loops", "im2col", "offsets", "windows")}
    found["im2col"]["data_gradient"] = every_pixel
    if conv_winograd.applies(g.kernel, g.stride, g.dilation, layer.groups):
        at_outputs, at_pixels = (
            batch_size * conv_winograd.multiply_adds(g.kernel[0], height, width, c, f)
            for height, width in ((g.out_height, g.out_width), (g.height, g.width))
        )
        found["winograd"] = dict(zip(_PARTS, (at_outputs, at_pixels, at_outputs), strict=True))
    return found


def _measured(model: Network, batch_size: int) -> dict[str, tuple[float, float]]:
    """Return the best time of each layer, forward and backward, over consecutive calls."""
    if not model.is_built:
        model = _fresh(model)
    generator = np.random.default_rng(0)
    x = generator.random((batch_size, *model.input_shape)).astype(model.dtype)
    passes, times = backward_passes(model.nodes), {}
    for index, layer, inputs, y, saved in model.walk(x, training=True, generator=generator):
        forward = partial(layer.forward, *inputs, training=True, generator=generator)
        dy = generator.standard_normal(y.shape).astype(model.dtype)
        backward = partial(layer.backward, dy, saved, needs_dx=passes[index].needs_dx)
        times[layer.name] = (
            best_time(forward, budget=0.1, least=5),
            best_time(backward, budget=0.1, least=5) if passes[index].runs else 0.0,
        )
    return times


def _fresh(model: Network) -> Network:
    """Return the same network with weights, without building the one passed in."""
    import copy

    return copy.deepcopy(model).build(seed=0)
