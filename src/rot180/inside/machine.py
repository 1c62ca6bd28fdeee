"""The speed of NumPy's operations on this machine, measured on a grid of sizes and interpolated.

Nothing here depends on layers. A primitive, such as copying or comparing, is timed on arrays of `rows` runs of `run`
contiguous values, since short runs cost more than long ones; a matrix product is timed over its three sizes. Between
the points of the grid logarithms are interpolated linearly, for which a product of powers, such as a bandwidth or a
peak, is a straight line. All of it takes about a second, once per process.

The best of several trials counts: anything else that runs on the machine can only slow it down.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np

from rot180.ops.conv_layout import pad, windows
from rot180.ops.geometry import geometry
from rot180.ops.types import Array

__all__ = ["Machine", "Surface", "best_time", "this_machine"]

SIZES = (2**6, 2**10, 2**13, 2**16, 2**18, 2**21)
"""Numbers of values in a primitive's array: within the first-level cache, ..., beyond the second."""
RUNS = (4, 16, 64, 1024)
"""Lengths of runs of contiguous values."""
PRODUCT_SIDES = (1, 4, 16, 64, 512, 4096)
LARGEST_PRODUCT = 2**27
"""Multiply-adds of the largest product timed, a millisecond or two."""
TRIALS = 5
"""Number of trials of a product that seems to have been disturbed."""
PATIENCE = 1.5
"""Time for all products, in seconds; an idle machine needs half of it."""
BUDGET = 0.001
"""The time in seconds for which one point is repeated."""


@dataclass(frozen=True)
class Surface:
    """Positive numbers on a grid, interpolated linearly between their logarithms; constant beyond its edges."""

    axes: tuple[tuple[int, ...], ...]
    logarithms: Array

    def __call__(self, *place: float) -> float:
        """Return the value at a point, one coordinate per axis."""
        corners: list[tuple[int, int]] = []
        shares: list[tuple[float, float]] = []
        for axis, value in zip(self.axes, place, strict=True):
            clamped = min(max(float(value), axis[0]), axis[-1])
            above = max(1, int(np.searchsorted(axis, clamped)))
            low, high = axis[above - 1], axis[above]
            share = (math.log(clamped) - math.log(low)) / (math.log(high) - math.log(low))
            corners.append((above - 1, above))
            shares.append((1 - share, share))
        total = 0.0
        for corner, parts in zip(product(*corners), product(*shares), strict=True):
            total += math.prod(parts) * float(self.logarithms[corner])
        return math.exp(total)


@dataclass(frozen=True)
class Machine:
    """The measured primitives. All times are in seconds, for float32."""

    primitives: dict[str, Surface]
    """Time by (values, values in a run)."""
    products: Surface
    """Multiply-adds per second by the sizes (m, k, n) of a product (m, k) @ (k, n)."""
    call: float
    """Time of a Python function that reshapes an array to a given shape."""
    sizes: float
    """Time to compute such a shape."""
    plan: float
    """Time to compute the geometry of a convolution."""

    def seconds(self, primitive: str, values: float, run: float | None = None, times: float = 1) -> float:
        """Return the time of a primitive over `values` values, in runs of `run` (one run by default)."""
        if values <= 0:
            return 0.0
        run = values if run is None else run
        beyond = max(values / SIZES[-1], 1.0)
        return times * beyond * self.primitives[primitive](values, run)

    def product_seconds(self, m: float, k: float, n: float, times: float = 1) -> float:
        """Return the time of (m, k) @ (k, n)."""
        return times * m * k * n / self.products(m, k, n)

    @property
    def peak(self) -> float:
        """The highest measured rate of a matrix product, in multiply-adds per second."""
        return math.exp(float(self.products.logarithms.max()))

    @property
    def bandwidth(self) -> float:
        """The bytes per second that a large copy reads and writes, together."""
        return 2 * 4 * SIZES[-1] / self.primitives["copy"](SIZES[-1], RUNS[-1])


def best_time(call: Callable[[], Any], *, budget: float = BUDGET, least: int = 3) -> float:
    """Return the shortest of several runs of `call`, in seconds: at least `least`, and for `budget` seconds."""
    call()
    best, spent, count = math.inf, 0.0, 0
    while count < least or spent < budget:
        start = time.perf_counter()
        call()
        taken = time.perf_counter() - start
        best, spent, count = min(best, taken), spent + taken, count + 1
    return best


@cache
def this_machine() -> Machine:
    """Measure the machine; later calls in a process return the first result."""
    call, sizes = _call()
    return Machine(
        primitives={name: _surface(name) for name in _PRIMITIVES},
        products=_products(),
        call=call,
        sizes=sizes,
        plan=_plan(),
    )


def _call() -> tuple[float, float]:
    """Time a function that reshapes to a given shape, and how much longer it takes to compute the shape."""
    x, shape = np.ones((8, 4, 4, 2), np.float32), (8, 32)
    known, found = best_time(lambda: _reshape(x, shape)), best_time(lambda: _flatten(x, training=True))
    return known, max(found - known, 0.0)


def _reshape(x: Array, shape: tuple[int, ...], *, needed: bool = True) -> tuple[Array | None, dict[str, Array]]:
    return x.reshape(shape) if needed else None, {}


def _flatten(x: Array, *, training: bool = False) -> tuple[Array, tuple[int, ...]]:
    return x.reshape(x.shape[0], math.prod(x.shape[1:])), x.shape


def _plan() -> float:
    x = np.zeros((1, 2, 2, 1), np.float32)

    def plan() -> None:
        g = geometry(2, 2, 1, padding=1)
        windows(pad(x, g), g)

    return best_time(plan)


@dataclass(frozen=True)
class _Arrays:
    """The arrays of the primitives. `gapped` has the same values as `whole`, with a short gap after every run.

    In `sparse` only every fourth run is used, as by a tap of pooling with stride 2.
    """

    whole: Array
    gapped: Array
    sparse: Array
    out: Array
    gate: Array
    row: Array
    column: Array
    bytes: Array
    numbers: Array


_PRIMITIVES: dict[str, Callable[[_Arrays], Any]] = {
    "copy": lambda a: np.copyto(a.out, a.gapped),
    "fill": lambda a: a.gapped.fill(0.0),
    "add_into": lambda a: np.add(a.gapped, a.whole, out=a.gapped),
    "add_from": lambda a: np.add(a.out, a.sparse, out=a.out),
    "add_up": lambda a: np.add(a.whole, a.out, out=a.out),
    "binary": lambda a: a.whole * a.out,
    "add_row": lambda a: np.add(a.out, a.row, out=a.out),
    "sum_rows": lambda a: a.whole.sum(axis=0, dtype=np.float64),
    "maximum": lambda a: np.maximum(a.out, a.sparse, out=a.out),
    "rectify": lambda a: np.maximum(a.whole, 0),
    "compare": lambda a: a.sparse > a.out,
    "equal": lambda a: a.numbers == 1,
    "positive": lambda a: a.whole > 0,
    "through": lambda a: a.whole * a.gate,
    "select": lambda a: np.where(a.gate, a.whole, a.out),
    "gate_into": lambda a: np.multiply(a.whole, a.gate, out=a.sparse),
    "isnan": lambda a: np.isnan(a.whole).any(),
    "byte": lambda a: np.maximum(a.bytes, np.multiply(a.gate, np.uint8(3), dtype=np.uint8), out=a.bytes),
    "widen": lambda a: a.bytes.astype(np.int32),
    "repeat": lambda a: np.broadcast_to(a.column, a.whole.shape).astype(np.uint8),
    "tanh": lambda a: np.tanh(a.whole),
    "exp": lambda a: np.exp(a.whole),
    "random": lambda a: np.random.default_rng(0).random(a.whole.shape, np.float32),
}


_WITHOUT_GAPS = (
    "add_up",
    "binary",
    "rectify",
    "equal",
    "positive",
    "through",
    "select",
    "isnan",
    "byte",
    "widen",
    "tanh",
    "exp",
    "random",
)
"""Primitives over whole arrays, for which runs make no difference."""


def _surface(name: str) -> Surface:
    call = _PRIMITIVES[name]
    runs = RUNS[-1:] if name in _WITHOUT_GAPS else RUNS
    logarithms = np.empty((len(SIZES), len(RUNS)))
    for (i, size), (j, run) in product(enumerate(SIZES), enumerate(runs)):
        arrays = _arrays(max(size // run, 1), min(run, size))
        logarithms[i, j:] = math.log(best_time(lambda arrays=arrays: call(arrays)))  # type: ignore[misc]
    if len(runs) == 1:
        logarithms[:] = logarithms[:, :1]
    return Surface((SIZES, RUNS), logarithms)


@cache
def _arrays(rows: int, run: int) -> _Arrays:
    generator = np.random.default_rng(0)
    whole = generator.standard_normal((rows, run), np.float32)
    gapped = np.zeros((rows, run + 4), np.float32)[:, :run]
    gapped[...] = whole
    sparse = np.zeros((rows, 4 * run), np.float32)[:, :run]
    sparse[...] = whole
    return _Arrays(
        whole=whole,
        gapped=gapped,
        sparse=sparse,
        out=whole[::-1].copy(),
        gate=whole > 0,
        row=np.zeros(run, np.float32),
        column=np.zeros((rows, 1), np.int64),
        bytes=np.zeros((rows, run), np.uint8),
        numbers=np.zeros((rows, run), np.int32),
    )


def _products() -> Surface:
    generator = np.random.default_rng(0)
    axes = (PRODUCT_SIDES,) * 3
    rates = np.full([len(axis) for axis in axes], np.nan)
    deadline = time.perf_counter() + PATIENCE
    for place in sorted(product(*(range(len(axis)) for axis in axes)), key=sum):
        m, k, n = (PRODUCT_SIDES[i] for i in place)
        shorter = rates[_shorter(place)] if any(place) else 0.0
        if (
            m * k * n > LARGEST_PRODUCT
        ):  # it runs at the rate of the largest products timed, which are shorter in their longest side
            rates[place] = shorter
            continue
        a, b = generator.random((m, k), np.float32), generator.random((k, n), np.float32)
        rate = 0.0
        for _ in range(TRIALS):
            rate = max(rate, m * k * n / best_time(lambda a=a, b=b: a @ b))  # type: ignore[misc]
            # A longer product is hardly ever much slower per value. If it is, another program used one of the
            # processors.
            if rate > shorter / 2 or time.perf_counter() > deadline:
                break
        rates[place] = rate
    return Surface(axes, np.log(rates))


def _shorter(place: Sequence[int]) -> tuple[int, ...]:
    longest = max(range(len(place)), key=lambda axis: place[axis])
    return tuple(index - (axis == longest) for axis, index in enumerate(place))
