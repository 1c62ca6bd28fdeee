"""Resize: along each axis a product with a matrix of weights, one row for each pixel of the result."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from rot180.interop.onnx.call import Call, Evaluated, Versions, as_numbers
from rot180.ops.types import Array

COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)
NEAREST: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}
"""How "nearest" chooses a pixel."""


def upsample(call: Call[Array]) -> Evaluated:
    """Enlarge by factors: an attribute before version 9, an input from there on."""
    x, mode = call.input(0), call.choice("mode", "nearest", ("nearest", "linear"))
    scales = call.get_floats("scales") if call.opset < 9 else tuple(call.input(1).reshape(-1).tolist())
    return _asymmetric(call, x, scales, mode)


def resize_10(call: Call[Array]) -> Evaluated:
    """Resize by factors, pixel i from i / factor."""
    x, mode = call.input(0), call.choice("mode", "nearest", ("nearest", "linear"))
    return _asymmetric(call, x, tuple(call.input(1).reshape(-1).tolist()), mode)


def _asymmetric(call: Call[Array], x: Array, scales: Sequence[float], mode: str) -> Array:
    sizes = _scaled(call, x.shape, scales)
    for axis, (scale, out) in enumerate(zip(scales, sizes, strict=True)):
        call.require((out, x.shape[axis]), np.float64)
        places = np.arange(out) / scale
        weights = _nearest(places, x.shape[axis], np.floor) if mode == "nearest" else _linear(places, x.shape[axis])
        x = _along(call, x, axis, weights)
    return x


def resize(call: Call[Array]) -> Evaluated:
    """Resize to sizes or by factors, along all axes or those named."""
    x = call.input(0)
    axes = call.axes(call.get_ints("axes", range(x.ndim)), x.ndim)
    shape = [x.shape[axis] for axis in axes]
    scales, sizes = _sizes(call, shape)
    mode = call.choice("mode", "nearest", ("nearest", "linear", "cubic"))
    given = call.choice("coordinate_transformation_mode", "half_pixel", COORDINATES)
    rounding = call.choice("nearest_mode", "round_prefer_floor", tuple(NEAREST))
    shrinks, outside = call.get_int("antialias", 0), call.get_int("exclude_outside", 0)
    a, beyond = call.get_float("cubic_coeff_a", -0.75), call.get_float("extrapolation_value", 0.0)
    region = _region(call, len(axes), given)
    y = x
    for axis, n, scale, out, (start, end) in zip(axes, shape, scales, sizes, region, strict=True):
        if out == n and scale == 1 and given != "tf_crop_and_resize":
            continue
        call.require((out, n), np.float64)
        places = _places(given, n, scale, out, start, end)
        if mode == "nearest":
            weights = _nearest(places, n, NEAREST[rounding])
        else:
            widen = min(scale, 1.0) if shrinks else 1.0
            weights = _weights(places, n, widen, _line if mode == "linear" else _cubic(a), 1 if mode == "linear" else 2)
            if outside:
                weights = _weights(places, n, widen, _line if mode == "linear" else _cubic(a), 2, clamps=False)
        y = _along(call, y, axis, weights)
        if given == "tf_crop_and_resize":
            index: list[slice | Array] = [slice(None)] * y.ndim
            index[axis] = np.flatnonzero((places < 0) | (places > n - 1))
            y[tuple(index)] = beyond
    return y


def _sizes(call: Call[Array], shape: Sequence[int]) -> tuple[list[float], list[int]]:
    """Return the factor and the size of the result for each axis."""
    policy = call.choice("keep_aspect_ratio_policy", "stretch", ("stretch", "not_larger", "not_smaller"))
    scales, wanted = call.optional(2), call.optional(3)
    if wanted is None or not wanted.size:
        if scales is None or scales.size != len(shape):
            raise call.error(f"it needs scales or sizes for {len(shape)} axes")
        factors = [float(scale) for scale in scales.reshape(-1)]
        return factors, _scaled(call, shape, factors)
    sizes = list(as_numbers(call, wanted))
    if len(sizes) != len(shape) or min(sizes) < 1 or min(shape) < 1:
        raise call.error(f"an array {list(shape)} cannot be resized to {sizes}")
    factors = [out / n for out, n in zip(sizes, shape, strict=True)]
    if policy != "stretch":
        factor = min(factors) if policy == "not_larger" else max(factors)
        factors = [factor] * len(shape)
        sizes = [math.floor(factor * n + 0.5) for n in shape]
    return factors, sizes


def _scaled(call: Call[Array], shape: Sequence[int], scales: Sequence[float]) -> list[int]:
    if len(scales) != len(shape) or not all(0 < scale < 1e6 for scale in scales) or min(shape, default=1) < 1:
        raise call.error(f"an array {list(shape)} cannot be resized by the factors {list(scales)}")
    sizes = [math.floor(n * scale) for n, scale in zip(shape, scales, strict=True)]
    if min(sizes, default=1) < 1:
        raise call.error(f"an array {list(shape)} resized by the factors {list(scales)} would be empty")
    return sizes


def _region(call: Call[Array], count: int, given: str) -> list[tuple[float, float]]:
    """Return the start and end of what is cropped along each axis, as fractions of it."""
    roi = call.optional(1)
    if given != "tf_crop_and_resize" or roi is None:
        return [(0.0, 1.0)] * count
    if roi.size != 2 * count:
        raise call.error(f"roi must have a start and an end for each of {count} axes; it has {roi.size} numbers")
    return list(zip(roi.reshape(-1)[:count].tolist(), roi.reshape(-1)[count:].tolist(), strict=True))


def _places(given: str, n: int, scale: float, out: int, start: float, end: float) -> Array:
    """Return the place in the original of each pixel of the result."""
    i, size = np.arange(out), scale * n
    single = np.zeros(out) if size == 1 else None
    match given:
        case "align_corners":
            return single if single is not None else i * (n - 1) / (size - 1)
        case "asymmetric":
            return i / scale
        case "tf_crop_and_resize":
            inside = 0.5 * (end - start) if size == 1 else i * (end - start) / (size - 1)
            return np.zeros(out) + (inside + start) * (n - 1)
        case "pytorch_half_pixel":
            return single - 0.5 if single is not None else (i + 0.5) / scale - 0.5
        case "half_pixel_symmetric":
            return n / 2 * (1 - out / size) + (i + 0.5) / scale - 0.5
        case _:
            return (i + 0.5) / scale - 0.5


def _nearest(places: Array, n: int, choose: Callable[[Array], Array]) -> Array:
    """Return the index of a pixel for each place."""
    return np.clip(choose(places), 0, n - 1).astype(np.int64)


def _linear(places: Array, n: int) -> Array:
    return _weights(places, n, 1.0, _line, 1)


def _weights(
    places: Array, n: int, widen: float, filters: Callable[[Array], Array], support: int, *, clamps: bool = True
) -> Array:
    """Return the matrix of weights (out, n): those of pixels outside are the edge's, or left out."""
    reach = math.ceil(support / widen) + 1
    first = np.floor(places).astype(np.int64)
    near = first[:, None] + np.arange(-reach, reach + 1)  # (out, taps)
    weights = filters((near - places[:, None]) * widen)
    if not clamps:
        weights = np.where((near >= 0) & (near < n), weights, 0)
    weights = weights / weights.sum(1, keepdims=True)
    matrix = np.zeros((len(places), n))
    np.add.at(matrix, (np.arange(len(places))[:, None], np.clip(near, 0, n - 1)), weights)
    return matrix


def _line(t: Array) -> Array:
    weight: Array = np.maximum(1 - np.abs(t), 0)
    return weight


def _cubic(a: float) -> Callable[[Array], Array]:
    def weight(t: Array) -> Array:
        t = np.abs(t)
        inner = (a + 2) * t**3 - (a + 3) * t**2 + 1
        outer = a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a
        return np.where(t <= 1, inner, np.where(t < 2, outer, 0))

    return weight


def _along(call: Call[Array], x: Array, axis: int, weights: Array) -> Array:
    """Return x with an axis replaced: its pixels chosen by an index, or combined by the rows of a matrix."""
    call.require((*x.shape[:axis], len(weights), *x.shape[axis + 1 :]), np.float64)
    if weights.ndim == 1:
        return np.take(x, weights, axis)
    call.require(weights.shape, np.float64)
    return np.moveaxis(np.tensordot(weights, x, (1, axis)), 0, axis).astype(x.dtype)


RESIZES: dict[str, Versions] = {"Upsample": {7: upsample}, "Resize": {10: resize_10, 11: resize}}
