"""The shape lab: a convolution of small whole numbers, whose windows and sums can be followed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rot180.errors import ArgumentError
from rot180.inside.explain import Trace
from rot180.nn import Conv2d, ConvTranspose2d, Layer, MaxPool2d, Network, Node, Preprocessing
from rot180.nn.graph import INPUT
from rot180.ops.types import Array

KINDS = ("convolution", "transposed", "max-pooling")

LIMITS = {
    "height": (1, 16),
    "width": (1, 16),
    "kernel": (1, 7),
    "stride": (1, 5),
    "padding": (0, 6),
    "dilation": (1, 4),
}
"""The settings, and the range of each."""


def build(asked: Mapping[str, Any]) -> tuple[Trace, dict[str, Any]]:
    """Return the pass of one image of whole numbers through one layer, and what the page tells about it.

    Parameters
    ----------
    asked : mapping
        `kind`, one of `KINDS`; `same`, whether the padding is "same"; and the settings in `LIMITS`.

    Raises
    ------
    ArgumentError
        A setting is unknown or out of its range.
    ShapeError
        The window is larger than the padded image.

    Examples
    --------
    >>> settings = dict(kind="convolution", height=7, width=7, kernel=3, stride=3, padding=0, dilation=1, same=False)
    >>> trace, told = build(settings)
    >>> trace.outputs[0].shape, told["readers"][6]
    ((1, 2, 2, 1), [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    """
    kind, same = asked.get("kind"), asked.get("same") is True
    if kind not in KINDS:
        raise ArgumentError(f"kind must be one of {', '.join(KINDS)}")
    given = {name: _whole(asked, name, *limits) for name, limits in LIMITS.items()}
    layer = _layer(kind, given, same)
    shape = (given["height"], given["width"], 1)
    network = Network([Node(layer, (INPUT,))], input_shape=shape).build(seed=0)
    network.preprocessing = Preprocessing("none")
    draw = np.random.default_rng(7)
    image = draw.integers(0, 10, size=shape).astype(np.float32)
    for array in network.parameters.values():
        array[...] = draw.integers(-2, 4, size=array.shape)
    trace = _with_delta_of_one(network, image)
    geometry = layer.geometry(shape) if isinstance(layer, (Conv2d, MaxPool2d)) else None
    return trace, {
        "layer": layer.name,
        "word": layer.to_notation(),
        "input": shape,
        "output": network.output_shape,
        "has_weight": bool(network.parameters),
        "padding": None if geometry is None else geometry.padding,
        "readers": _readers(kind, given, same, shape).tolist(),
    }


def _layer(kind: str, given: Mapping[str, int], same: bool) -> Layer:
    kernel, stride, padding, dilation = (given[name] for name in ("kernel", "stride", "padding", "dilation"))
    if kind == "transposed":
        return ConvTranspose2d(1, kernel, stride=stride, padding=padding, dilation=dilation, bias=False)
    around: Any = "same" if same else padding
    if kind == "max-pooling":
        return MaxPool2d(kernel, stride=stride, padding=around)
    return Conv2d(1, kernel, stride=stride, padding=around, dilation=dilation, bias=False, algorithm="im2col")


def _with_delta_of_one(network: Network, image: Array) -> Trace:
    """Return a pass whose delta is one everywhere: half the squared distance to outputs that are one less."""
    outputs = network(image[np.newaxis])
    return Trace(network, image, outputs - 1, loss="squared_error")


def _readers(kind: str, given: Mapping[str, int], same: bool, shape: tuple[int, int, int]) -> Array:
    """Return how many outputs read each pixel: its gradient, if all weights and all deltas are one."""
    window = "convolution" if kind == "max-pooling" else kind
    layer = _layer(window, {**given, "dilation": 1} if kind == "max-pooling" else given, same)
    network = Network([Node(layer, (INPUT,))], input_shape=shape).build(seed=0)
    network.preprocessing = Preprocessing("none")
    for array in network.parameters.values():
        array[...] = 1
    found: Array = _with_delta_of_one(network, np.ones(shape, np.float32)).deltas[0][0, :, :, 0]
    return found


def _whole(asked: Mapping[str, Any], name: str, least: int, most: int) -> int:
    found = asked.get(name)
    if not isinstance(found, int) or isinstance(found, bool) or not least <= found <= most:
        raise ArgumentError(f"{name} must be a whole number from {least} to {most}")
    return found
