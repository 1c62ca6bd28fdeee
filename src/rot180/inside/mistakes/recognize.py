"""Recognize the operation that a layer computes from its output, so that a user's own layer needs no label.

The layer's own attributes (`stride`, `padding`, ...) are tried first, then common values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import permutations, product
from typing import Any

import numpy as np

from rot180.errors import Rot180Error
from rot180.inside.mistakes.sets import Form, all_sets, find_sets
from rot180.ops.activation import relu, sigmoid, tanh
from rot180.ops.conv2d import conv2d
from rot180.ops.conv_transpose2d import conv_transpose2d
from rot180.ops.geometry import Geometry, geometry, pool_geometry
from rot180.ops.pooling import avg_pool2d, max_pool2d
from rot180.ops.resize import MODES, means
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
    weight_shape : tuple of int or None
        The shape in which the operation takes the weight, if the layer stores it in another.
    """

    kind: str
    weight: str = ""
    bias: str = ""
    geometry: Geometry | None = None
    options: dict[str, Any] = field(default_factory=dict)
    weight_shape: tuple[int, ...] | None = None


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
    return _normalization(layer, x, y, parameters) if x.shape == y.shape else None


def _guesses(
    layer: Any, x: Array, y: Array, parameters: dict[str, Array], weight: str, bias: str
) -> Iterator[Operation]:
    w, b = parameters.get(weight), parameters.get(bias)
    if w is not None and w.ndim in (3, 4) and x.ndim == y.ndim == 4:
        if w.ndim == 4:
            yield from _convolutions(layer, x, y, w, b, weight, bias)
            yield from _transposed(layer, x, y, w, b, weight, bias)
        if w.shape[2] == x.shape[3]:  # depthwise, stored as (rows, columns, channels) or with a multiplier behind
            shape = (*w.shape[:2], 1, w[0, 0].size)
            for found in _convolutions(layer, x, y, w.reshape(shape), b, weight, bias):
                yield replace(found, weight_shape=shape)
    elif w is not None and w.ndim == 2 and y.ndim == 2:
        shift = 0 if b is None else b
        flat = x.reshape(len(x), -1)
        for kind, matrix in (("linear", w), ("linear_transposed", w.T)):
            if matrix.shape == (flat.shape[1], y.shape[1]) and _same(flat @ matrix + shift, y):
                yield Operation(kind, weight, bias)
    elif not parameters:
        if x.ndim == y.ndim == 4:
            yield from _resized(x, y)
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


def _transposed(
    layer: Any, x: Array, y: Array, w: Array, b: Array | None, weight: str, bias: str
) -> Iterator[Operation]:
    if x.shape[3] != w.shape[3] or y.shape[3] % w.shape[2] or x.shape[3] % (y.shape[3] // w.shape[2]):
        return
    groups = y.shape[3] // w.shape[2]
    for stride, padding, dilation in _choices(layer):
        steps, gaps = _pair(stride), _pair(dilation)
        cut = _pair(0 if padding == "valid" else padding)
        if not all(isinstance(n, int) for n in cut):
            continue
        more = tuple(
            out - ((n - 1) * step - 2 * p + d * (k - 1) + 1)
            for out, n, step, p, d, k in zip(y.shape[1:3], x.shape[1:3], steps, cut, gaps, w.shape[:2], strict=True)
        )
        if any(not 0 <= m < step for m, step in zip(more, steps, strict=True)):
            continue
        options = {"stride": steps, "padding": cut, "output_padding": more, "dilation": gaps, "groups": groups}
        if _same(conv_transpose2d(x, w, b, **options), y):
            both = ((cut[0], cut[0]), (cut[1], cut[1]))
            g = geometry(y.shape[1], y.shape[2], w.shape[:2], stride=steps, padding=both, dilation=gaps)
            yield Operation("transposed", weight, bias, g, options)


def _pair(value: Any) -> tuple[Any, Any]:
    return value if isinstance(value, tuple) else (value, value)


def _resized(x: Array, y: Array) -> Iterator[Operation]:
    if x.shape[3] != y.shape[3]:
        return
    larger = all(out % n == 0 for out, n in zip(y.shape[1:3], x.shape[1:3], strict=True))
    modes = {**MODES, "adaptive": means} if larger and x.shape != y.shape else {"adaptive": means}
    divided = all(n % out == 0 for out, n in zip(y.shape[1:3], x.shape[1:3], strict=True))
    if divided:  # plain average pooling
        return
    for kind, weights in modes.items():
        rows, columns = (weights(n, out) for n, out in zip(x.shape[1:3], y.shape[1:3], strict=True))
        if _same(np.einsum("ip,npqc,jq->nijc", rows, x, columns, optimize=True), y):
            yield Operation(kind, options={"rows": rows, "columns": columns})


def _normalization(layer: Any, x: Array, y: Array, parameters: dict[str, Array]) -> Operation | None:
    """Return the normalization that takes x to y, or a scale and shift by constants; None if it is neither."""
    if len(parameters) > 2 or any(x.shape[x.ndim - array.ndim :] != array.shape for array in parameters.values()):
        return None
    names = [name for name in (getattr(layer, "eps", None), getattr(layer, "epsilon", None)) if isinstance(name, float)]
    epsilons = [*names, 1e-5, 1e-3, 1e-6, 1e-8, 1e-12, 0.0]
    first = next((n for n in (getattr(layer, "num_groups", 0), getattr(layer, "groups", 0)) if isinstance(n, int)), 0)
    held = [*getattr(layer, "statistics", {}).values(), *vars(layer).values()]
    running = [array for array in held if isinstance(array, np.ndarray) and array.shape == x.shape[-1:]]
    options: dict[str, Any] = {"running": [(0.0, 1.0), *permutations(running, 2)]}
    for weight, bias in permutations(["", "", *parameters], 2):
        if len(parameters) != bool(weight) + bool(bias):
            continue
        xhat = (y - parameters.get(bias, 0.0)) / parameters.get(weight, 1.0)
        found = find_sets(x, xhat, epsilons, first)
        if found is not None:
            return Operation("normalization", weight, bias, None, {**options, "together": found[0], "form": found[1]})
        for (mean, var), eps in product(options["running"], epsilons):
            with np.errstate(invalid="ignore", divide="ignore"):  # any two arrays of the layer are tried
                slope = 1 / np.sqrt(np.asarray(var + eps))
            # Exactly: with the first running statistics, mean 0 and variance 1, it is nearly a scale and a shift.
            if eps and np.allclose((x - mean) * slope, xhat, rtol=1e-9, atol=1e-12):
                forward = {"form": Form(eps), "slope": slope[..., None], "xhat": xhat, "eps": eps}
                return Operation(
                    "constants", weight, bias, None, {**options, **forward, "together": next(all_sets(x.shape))}
                )
    return None


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
