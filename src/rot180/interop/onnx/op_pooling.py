"""Pooling over windows of any number of axes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rot180.interop.onnx.call import Call, Evaluated, Versions
from rot180.interop.onnx.op_window import Windows, windows_of
from rot180.ops.types import Array


def max_pool(call: Call[Array]) -> Evaluated:
    """Return the maximum of each window, and its place among all values of x."""
    x = call.input(0)
    windows, sizes = _placed(call, x)
    column_major = call.get_int("storage_order", 0)
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    taken = _windows(call, x, windows, sizes, lowest)
    y: Array = taken.max(-1)
    if call.outputs < 2:
        return y
    order = np.arange(x.size, dtype=np.int64)
    if column_major:
        spatial = x.shape[2:]
        order = order.reshape(*x.shape[:2], *spatial[::-1]).transpose(0, 1, *range(x.ndim - 1, 1, -1))
    places = _windows(call, order.reshape(x.shape), windows, sizes, -1)
    taken = np.where(places < 0, lowest, taken)
    winners = taken.argmax(-1)
    return y, np.take_along_axis(places, winners[..., None], -1)[..., 0]


def average_pool(call: Call[Array]) -> Evaluated:
    """Return the mean of each window; what lies beyond the padding never counts."""
    x = call.input(0)
    windows, sizes = _placed(call, x)
    counts_padding = call.get_int("count_include_pad", 0)
    ones = np.ones((1, 1, *x.shape[2:]), x.dtype)
    if counts_padding:
        ones = np.pad(ones, ((0, 0), (0, 0), *windows.pads), constant_values=1)
        none = (0,) * len(windows.kernel)
        counted = _windows(call, ones, windows._replace(before=none, after=none), sizes, 0)
    else:
        counted = _windows(call, ones, windows, sizes, 0)
    y: Array = _windows(call, x, windows, sizes, 0).sum(-1) / counted.sum(-1)
    return y.astype(x.dtype)


def lp_pool(call: Call[Array]) -> Evaluated:
    """Return the p-norm of each window."""
    x, p = call.input(0), call.get_int("p", 2)
    windows, sizes = _placed(call, x)
    y: Array = (np.abs(_windows(call, x, windows, sizes, 0)) ** p).sum(-1) ** (1 / p)
    return y.astype(x.dtype)


def _whole(reduce: Callable[[Array, Call[Array]], Array]) -> Callable[[Call[Array]], Evaluated]:
    """Return an operator that reduces each map to one value."""

    def operator(call: Call[Array]) -> Evaluated:
        x = call.input(0)
        if x.ndim < 3 or not x.size:
            raise call.error(f"pooling takes maps that are not empty; the input is {x.shape}")
        y = reduce(x.reshape(*x.shape[:2], math.prod(x.shape[2:])), call)
        return y.reshape(*x.shape[:2], *(1,) * (x.ndim - 2)).astype(x.dtype)

    return operator


def _norm(x: Array, call: Call[Array]) -> Array:
    p = call.get_int("p", 2)
    y: Array = (np.abs(x) ** p).sum(-1) ** (1 / p)
    return y


def _placed(call: Call[Array], x: Array) -> tuple[Windows, tuple[int, ...]]:
    """Return the windows of a pooling, and how many there are along each axis."""
    if x.ndim < 3 or not x.size:
        raise call.error(f"pooling takes maps that are not empty; the input is {x.shape}")
    windows = windows_of(call, x.shape[2:])
    up = call.get_int("ceil_mode", 0)
    sizes = []
    for n, s, r, (before, after) in zip(x.shape[2:], windows.strides, windows.reach, windows.pads, strict=True):
        rest = n + before + after - r
        if rest < 0:
            raise call.error(f"a window covers {r} pixels, but the padded image has only {n + before + after}")
        out = (-(-rest // s) if up else rest // s) + 1
        if up and (out - 1) * s >= n + before:  # the last window would begin in the padding behind the image
            out -= 1
        sizes.append(out)
    return windows, tuple(sizes)


def _windows(call: Call[Array], x: Array, windows: Windows, sizes: tuple[int, ...], fill: float) -> Array:
    """Return the values of each window in the last axis: (N, C, OH, OW, taps)."""
    call.require((*x.shape[:2], *sizes, *windows.kernel), x.dtype)
    ends = [
        max((out - 1) * s + r - n - before, 0)
        for n, out, s, r, before in zip(x.shape[2:], sizes, windows.strides, windows.reach, windows.before, strict=True)
    ]
    edges = ((0, 0), (0, 0), *zip(windows.before, ends, strict=True))
    padded = np.pad(x, edges, constant_values=fill)
    rank = len(sizes)
    seen = np.lib.stride_tricks.sliding_window_view(padded, windows.reach, tuple(range(2, x.ndim)))
    steps = (slice(None, (out - 1) * s + 1, s) for out, s in zip(sizes, windows.strides, strict=True))
    taps = (slice(None, None, d) for d in windows.dilations)
    chosen = seen[(slice(None), slice(None), *steps, *taps)]
    return chosen.reshape(*chosen.shape[: 2 + rank], -1)


POOLINGS: dict[str, Versions] = {
    "MaxPool": {1: max_pool},
    "AveragePool": {1: average_pool},
    "LpPool": {2: lp_pool},
    "GlobalAveragePool": {1: _whole(lambda x, call: x.mean(-1))},
    "GlobalMaxPool": {1: _whole(lambda x, call: x.max(-1))},
    "GlobalLpPool": {2: _whole(_norm)},
}
