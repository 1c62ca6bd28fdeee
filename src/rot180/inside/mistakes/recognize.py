"""Recognize the operation that a layer computes from its output, so that a user's own layer needs no label.

The layer's own attributes (`stride`, `padding`, ...) are tried first, then common values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import permutations, product
from typing import Any

import numpy as np

from rot180.errors import Rot180Error
from rot180.ops.activation import relu, sigmoid, tanh
from rot180.ops.conv2d import conv2d
from rot180.ops.geometry import Geometry, geometry, pool_geometry
from rot180.ops.pooling import avg_pool2d, max_pool2d
from rot180.ops.softmax import softmax
from rot180.ops.types import Array


@dataclass(frozen=True)
class Operation:
    """The operation that a layer was found to compute.

    Attributes
    ----------
    kind : str
        `convolution`, `linear`, `max_pool`, `avg_pool`, `global_mean`, `flatten`, ..., or an activation's name.
    weight, bias : str
        The names of its parameters; empty if there is none.
    geometry : Geometry or None
    options : dict
        The keyword arguments of the operation.
    """

    kind: str
    weight: str = ""
    bias: str = ""
    geometry: Geometry | None = None
    options: dict[str, Any] = field(default_factory=dict)


def recognize(layer: Any, x: Array, y: Array, parameters: dict[str, Array]) -> Operation | None:
    """Return the operation that takes x to y, or None.

    Parameters
    ----------
    layer : Layer
        Only its attributes are used.
    x, y : array
        Float64, with the batch in front.
    parameters : dict of str to array
    """
    weights = [name for name, array in parameters.items() if array.ndim >= 2]
    biases = ["", *(name for name, array in parameters.items() if array.ndim == 1)]
    for weight, bias in product(weights or [""], biases):
        if len(parameters) != bool(weight) + bool(bias):
            continue
        for operation in _guesses(layer, x, y, parameters, weight, bias):
            return operation
    return None


def _guesses(
    layer: Any, x: Array, y: Array, parameters: dict[str, Array], weight: str, bias: str
) -> Iterator[Operation]:
    w, b = parameters.get(weight), parameters.get(bias)
    if w is not None and w.ndim == 4 and x.ndim == y.ndim == 4:
        yield from _convolutions(layer, x, y, w, b, weight, bias)
    elif w is not None and w.ndim == 2 and y.ndim == 2:
        shift = 0 if b is None else b
        flat = x.reshape(len(x), -1)
        for kind, matrix in (("linear", w), ("linear_transposed", w.T)):
            if matrix.shape == (flat.shape[1], y.shape[1]) and _same(flat @ matrix + shift, y):
                yield Operation(kind, weight, bias)
    elif not parameters:
        if x.ndim == y.ndim == 4:
            yield from _pools(layer, x, y)
        if x.shape == y.shape:
            yield from _activations(x, y)
        if x.ndim == 4 and y.ndim == 2:
            yield from _maps_to_vectors(x, y)


def _convolutions(
    layer: Any, x: Array, y: Array, w: Array, b: Array | None, weight: str, bias: str
) -> Iterator[Operation]:
    if y.shape[3] != w.shape[3] or x.shape[3] % w.shape[2]:
        return
    groups = x.shape[3] // w.shape[2]
    for stride, padding, dilation in _choices(layer):
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        try:
            g = geometry(
                x.shape[1], x.shape[2], (w.shape[0], w.shape[1]), stride=stride, padding=padding, dilation=dilation
            )
            if (g.out_height, g.out_width) == y.shape[1:3] and _same(conv2d(x, w, b, **options), y):
                yield Operation("convolution", weight, bias, g, options)
        except Rot180Error:
            continue


def _choices(layer: Any) -> Iterator[tuple[Any, Any, Any]]:
    own = [getattr(layer, name, None) for name in ("stride", "padding", "dilation")]
    if own[0] is not None or own[1] is not None:
        yield (own[0] or 1, own[1] if own[1] is not None else "valid", own[2] or 1)
    yield from product((1, 2, 3, 4), ("valid", "same", 1, 2, 3), (1, 2, 3))
    # Different values for rows and columns, and padding on one side, are rarer and tried last.
    sides = tuple(product((0, 1, 2), repeat=2))
    yield from product(product((1, 2, 3), repeat=2), product(sides, repeat=2), (1, 2, (1, 2), (2, 1)))


def _pools(layer: Any, x: Array, y: Array) -> Iterator[Operation]:
    own = getattr(layer, "kernel_size", None)
    whole = x.shape[1:3] if y.shape[1:3] == (1, 1) else None
    kernels: list[Any] = [kernel for kernel in (own, whole) if kernel is not None]
    kernels += [2, 3, 4, 5, *(pair for pair in product((1, 2, 3, 4), repeat=2) if pair[0] != pair[1])]
    for kernel in kernels:
        for stride, padding, dilation in _choices(layer):
            options: dict[str, Any] = {"stride": stride, "padding": padding}
            if dilation != 1:
                continue
            try:
                g = geometry(x.shape[1], x.shape[2], kernel, stride=stride, padding=padding)
                if (g.out_height, g.out_width) != y.shape[1:3]:
                    g = pool_geometry(x.shape[1], x.shape[2], kernel, stride=stride, padding=padding, ceil_mode=True)
                    if (g.out_height, g.out_width) != y.shape[1:3]:
                        continue
                    options["ceil_mode"] = True
                if _same(max_pool2d(x, kernel, **options)[0], y):
                    yield Operation("max_pool", geometry=g, options=options)
                for count in (True, False):
                    if _same(avg_pool2d(x, kernel, **options, count_include_pad=count), y):
                        yield Operation("avg_pool", geometry=g, options={**options, "count_include_pad": count})
            except Rot180Error:
                continue


def _maps_to_vectors(x: Array, y: Array) -> Iterator[Operation]:
    for name, value in (("mean", x.mean((1, 2))), ("sum", x.sum((1, 2))), ("max", x.max((1, 2)))):
        if _same(value, y):
            yield Operation(f"global_{name}")
    for order in permutations((1, 2, 3)):
        if _same(x.transpose(0, *order).reshape(len(x), -1), y):
            yield Operation("flatten", options={"order": order})


def _activations(x: Array, y: Array) -> Iterator[Operation]:
    for name, f in (("relu", relu), ("sigmoid", sigmoid), ("tanh", tanh)):
        if _same(f(x), y):
            yield Operation(name)
    for axis in range(x.ndim):
        if _same(softmax(x, axis), y):
            yield Operation("softmax", options={"axis": axis})
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = y / x
    below, above = ratio[x < 0], ratio[x > 0]
    if below.size and above.size and np.ptp(below) < 1e-9 and np.allclose(above, 1) and below[0]:
        yield Operation("leaky_relu", options={"slope": float(below[0])})
    kept = ratio[(x != 0) & (y != 0)]
    if kept.size and np.ptp(kept) < 1e-9 and np.any((y == 0) & (x != 0)):
        yield Operation("dropout", options={"scale": float(kept[0])})
    if np.all(y >= 0) and np.any(y == 0) and np.any((y > 0) & (x != 0)):
        yield Operation("noisy_relu")


def _same(a: Array, b: Array) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-5, atol=1e-7))
