"""Compare the convolution algorithms, and the ways to unfold, on a network's own layers and on this machine."""

from __future__ import annotations

import importlib
import math
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from rot180 import ops
from rot180.errors import ArgumentError
from rot180.inside.machine import best_time
from rot180.memory import require
from rot180.nn import Conv2d, Network
from rot180.nn.layer import Shape
from rot180.nn.walk import backward_passes
from rot180.ops import conv_winograd
from rot180.ops.conv2d import ALGORITHMS
from rot180.ops.conv_unfold import METHODS
from rot180.ops.types import Array

__all__ = ["Comparison", "Unfolding", "Way", "compare"]

BUDGET = 0.1
"""The time in seconds for which a pass is repeated."""
LOOPS = 60_000
"""The most windows times filters that the loops visit in an image, about a second; layers with more are left out."""


@dataclass(frozen=True)
class Way:
    """The results of one way to compute one layer, forward and backward."""

    layer: str
    name: str
    """loops, im2col, offsets, windows, winograd; compiled for the direct kernels, compiled-winograd for those of
    minimal filtering. `rot180 plan` shows which of the two the engine uses."""
    difference: float
    """The largest deviation of output and gradients from float64, each relative to its largest value."""
    forward: float
    """Time for the batch in seconds, the best of several calls."""
    backward: float
    """Time in seconds for all gradients that training needs: the first layer of a network needs no dx."""
    peak_bytes: int
    """The peak memory in NumPy, forward or backward, besides the arrays passed in."""
    extrapolated: bool
    """Whether only one image was computed; the times are then multiplied by the batch size."""
    fastest: bool = False
    """Whether no other way takes less time, forward and backward together."""


@dataclass(frozen=True)
class Unfolding:
    """The results of one way to unfold the input of one layer, as `im2col(method=...)` does."""

    layer: str
    method: str
    """loops, indices or strides."""
    equal: bool
    """Whether the matrix has the same bits as that of `strides`."""
    seconds: float
    """Time for the batch, the best of several calls."""
    peak_bytes: int
    """The peak memory in NumPy, including the matrix."""
    extrapolated: bool
    """Whether only one image was unfolded; the time is then multiplied by the batch size."""
    fastest: bool = False


@dataclass(frozen=True)
class Comparison:
    """The results of all ways to compute all convolutions of a network; from `compare`."""

    notation: str
    batch_size: int
    ways: tuple[Way, ...]
    unfoldings: tuple[Unfolding, ...]
    words: dict[str, str]
    """Each convolution's word in the notation, by the layer's name."""
    left_out: dict[str, str]
    """The ways left out, with the reason; for a single layer as `conv1.loops`."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything, for JSON."""
        return {
            **vars(self),
            "ways": [vars(way) for way in self.ways],
            "unfoldings": [vars(unfolding) for unfolding in self.unfoldings],
        }


def compare(model: Network, batch_size: int = 32, *, seed: int = 0) -> Comparison:
    """Compute each convolution of a network by every algorithm, and by the compiled kernels.

    Images and deltas are random. The loops compute only one image, and their time is multiplied by the batch size.
    Minimal filtering (winograd) is left out where it does not apply. The three ways to unfold the input for im2col are
    compared as well.

    Parameters
    ----------
    model : Network
        A network whose input shape is known.
    batch_size : int
        Images in a batch.
    seed : int
        Seed of weights, images and deltas.

    Returns
    -------
    Comparison

    Raises
    ------
    ArgumentError
        The network has no convolution, its input shape is not known, or the batch is empty.

    Examples
    --------
    >>> import rot180
    >>> table = compare(rot180.network("6x6x1 > conv3x3:2 relu > fc3"), batch_size=2)
    >>> [way.name for way in table.ways]
    ['loops', 'im2col', 'offsets', 'windows', 'winograd', 'compiled', 'compiled-winograd']
    >>> all(way.difference < 1e-5 for way in table.ways)
    True
    >>> [(unfolding.method, unfolding.equal) for unfolding in table.unfoldings]
    [('loops', True), ('indices', True), ('strides', True)]
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ArgumentError(f"compare: batch_size must be an int, at least 1; it is {batch_size!r}")
    layers = [
        (layer, shapes.input, passes.needs_dx)
        for layer, shapes, passes in zip(model.layers, model.layer_shapes, backward_passes(model.nodes), strict=True)
        if isinstance(layer, Conv2d)
    ]
    if not layers:
        raise ArgumentError("compare: the network has no convolution; choose one that has, such as cnn-32-64-512")
    kernels, left_out = _kernels()
    ways: list[Way] = []
    unfoldings: list[Unfolding] = []
    for layer, before, needs_dx in layers:
        case = _Case(layer, before, batch_size, needs_dx, seed)
        found = []
        for algorithm in ALGORITHMS:
            if algorithm == "loops" and (work := _loops(layer, before)) > LOOPS:
                left_out[f"{layer.name}.loops"] = f"{work:,} windows times filters per image, at most {LOOPS:,}"
                continue
            if algorithm == "winograd" and not _has_tiles(layer):
                left_out[f"{layer.name}.winograd"] = (
                    "only for 3x3 and 5x5 kernels with stride 1, dilation 1 and groups=1"
                )
                continue
            found.append(case.measure(algorithm, ops, algorithm))
        if kernels is not None:
            found.append(case.measure("compiled", kernels, "im2col"))  # any but winograd and auto: direct
            if _has_tiles(layer):
                found.append(case.measure("compiled-winograd", kernels, "winograd"))
        best = min(found, key=lambda way: way.forward + way.backward)
        ways += [replace(way, fastest=way is best) for way in found]
        methods = []
        for method in METHODS:
            if method == "loops" and (work := _windows(layer, before)) > LOOPS:
                left_out[f"{layer.name}.unfold.loops"] = f"{work:,} windows per image, at most {LOOPS:,}"
                continue
            methods.append(case.unfold(method))
        quickest = min(methods, key=lambda unfolding: unfolding.seconds)
        unfoldings += [replace(unfolding, fastest=unfolding is quickest) for unfolding in methods]
    words = {layer.name: layer.to_notation() for layer, _, _ in layers}
    return Comparison(str(model), batch_size, tuple(ways), tuple(unfoldings), words, left_out)


def _kernels() -> tuple[ModuleType | None, dict[str, str]]:
    """Return the compiled functions, or the reason why there are none."""
    try:
        kernels = importlib.import_module("rot180.kernels")
        if callable(getattr(kernels, "conv2d", None)) and callable(getattr(kernels, "conv2d_backward", None)):
            return kernels, {}
    except ImportError as error:
        return None, {"compiled": f"the compiled kernels cannot be imported: {error}"}
    return None, {"compiled": "this version has no compiled convolution"}


def _has_tiles(layer: Conv2d) -> bool:
    return conv_winograd.applies(layer.kernel_size, layer.stride, layer.dilation, layer.groups)


def _loops(layer: Conv2d, before: Shape) -> int:
    return _windows(layer, before) * layer.out_channels


def _windows(layer: Conv2d, before: Shape) -> int:
    height, width, _ = layer.output_shape(before)
    return height * width


class _Case:
    """The arrays of one layer, and their results in float64 for each number of images."""

    def __init__(self, layer: Conv2d, before: Shape, batch_size: int, needs_dx: bool, seed: int) -> None:
        self.layer, self.batch_size = layer, batch_size
        self.needs = layer.needs(needs_dx)
        self.options = {key: value for key, value in layer.options.items() if key != "algorithm"}
        generator = np.random.default_rng(seed)
        after = layer.output_shape(before)
        weight = layer.weight_shape(before)
        require(4 * batch_size * (math.prod(before) + math.prod(after)), layer.name)
        self.x = generator.standard_normal((batch_size, *before), np.float32)
        self.w = generator.standard_normal(weight, np.float32) / np.float32(np.sqrt(np.prod(weight[:-1])))
        self.b = generator.standard_normal(weight[-1:], np.float32) if layer.bias else None
        self.dy = generator.standard_normal((batch_size, *after), np.float32)
        self._exact: dict[int, list[Array]] = {}

    def measure(self, name: str, room: Any, algorithm: str) -> Way:
        """Compute the layer in one way; return its differences, times and memory."""
        images = 1 if name == "loops" else self.batch_size
        options = {**self.options, "algorithm": algorithm}
        x, dy = self.x[:images], self.dy[:images]

        def forward() -> Any:
            return room.conv2d(x, self.w, self.b, **options)

        def backward() -> Any:
            return room.conv2d_backward(dy, x, self.w, needs=self.needs, **options)

        start = time.perf_counter()
        y = forward()
        middle = time.perf_counter()
        gradients = backward()
        times = middle - start, time.perf_counter() - middle
        results = [y, *(array for array in gradients if array is not None)]
        exact = self._expected(images)
        scale = self.batch_size / images
        peak = max(_peak(forward), _peak(backward))
        if name != "loops":  # for the loops one call is long enough
            times = best_time(forward, budget=BUDGET), best_time(backward, budget=BUDGET)
        return Way(
            layer=self.layer.name,
            name=name,
            difference=max(_difference(a, b) for a, b in zip(results, exact, strict=True)),
            forward=scale * times[0],
            backward=scale * times[1],
            peak_bytes=peak,
            extrapolated=images < self.batch_size,
        )

    def unfold(self, method: str) -> Unfolding:
        """Unfold the input in one way; return whether it is right, its time and its memory."""
        images = 1 if method == "loops" else self.batch_size
        x = self.x[:images]
        options = {key: value for key, value in self.options.items() if key != "groups"}
        unfold = partial(ops.im2col, x, self.layer.kernel_size, **options, method=method)
        start = time.perf_counter()
        x_col = unfold()
        seconds = time.perf_counter() - start
        if method != "loops":  # for the loops one call is long enough
            seconds = best_time(unfold, budget=BUDGET)
        return Unfolding(
            layer=self.layer.name,
            method=method,
            equal=np.array_equal(x_col, ops.im2col(x, self.layer.kernel_size, **options)),
            seconds=self.batch_size / images * seconds,
            peak_bytes=_peak(unfold),
            extrapolated=images < self.batch_size,
        )

    def _expected(self, images: int) -> list[Array]:
        if images not in self._exact:
            x, w, dy = (a.astype(np.float64) for a in (self.x[:images], self.w, self.dy[:images]))
            y = ops.conv2d(x, w, None if self.b is None else self.b.astype(np.float64), **self.options)
            gradients = ops.conv2d_backward(dy, x, w, needs=self.needs, **self.options)
            self._exact[images] = [y, *(array for array in gradients if array is not None)]
        return self._exact[images]


def _difference(found: Array, exact: Array) -> float:
    largest = float(np.abs(exact).max()) or 1.0
    return float(np.abs(found - exact).max()) / largest


def _peak(call: Callable[[], Any]) -> int:
    """Return the peak memory, in bytes, of Python's allocators, including NumPy's, during a call."""
    was_tracing = tracemalloc.is_tracing()
    if not was_tracing:
        tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        call()
        return max(0, tracemalloc.get_traced_memory()[1] - before)
    finally:
        if not was_tracing:
            tracemalloc.stop()
