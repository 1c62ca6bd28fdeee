"""Reductions over axes, and the places of the largest and smallest values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rot180.interop.onnx.call import Call, Evaluated, Operator, Versions, as_numbers
from rot180.interop.onnx.op_shape import axes_of
from rot180.ops.types import Array

Axes = tuple[int, ...]
Reduction = Callable[[Array, Axes], Array]


def _reduction(function: Reduction, since: int = 18) -> Versions:
    """Return a reduction; its axes are an input from version `since` on."""

    def operator(call: Call[Array]) -> Evaluated:
        x = call.input(0)
        keeps, ignores_none = call.get_int("keepdims", 1), call.get_int("noop_with_empty_axes", 0)
        given = axes_of(call, since)
        if not given and ignores_none:
            return x if function is not _sum_square else x * x
        axes = call.axes(given or range(x.ndim), x.ndim)
        y = np.asarray(function(x, axes)).astype(x.dtype)
        return y if keeps else np.squeeze(y, axes)

    return {1: operator}


def _sum(x: Array, axes: Axes) -> Array:
    y: Array = x.sum(axes, keepdims=True)
    return y


def _sum_square(x: Array, axes: Axes) -> Array:
    return _sum(x * x, axes)


def _largest(x: Array, axes: Axes) -> Array:
    lowest = False if x.dtype.kind == "b" else -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    return np.max(x, axes, keepdims=True, initial=lowest)  # type: ignore[no-any-return]


def _smallest(x: Array, axes: Axes) -> Array:
    highest = True if x.dtype.kind == "b" else np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).max
    return np.min(x, axes, keepdims=True, initial=highest)  # type: ignore[no-any-return]


def _log_sum_exp(x: Array, axes: Axes) -> Array:
    most = _largest(x, axes)
    most = np.where(np.isfinite(most), most, 0)
    y: Array = np.log(_sum(np.exp(x - most), axes)) + most
    return y


def _place(largest: bool) -> Operator:
    """Return ArgMax or ArgMin."""

    def operator(call: Call[Array]) -> Evaluated:
        x, last = call.input(0), call.get_int("select_last_index", 0)
        axis = call.axis(call.get_int("axis", 0), x.ndim)
        seen = np.flip(x, axis) if last else x
        y = (np.argmax if largest else np.argmin)(seen, axis, keepdims=bool(call.get_int("keepdims", 1)))
        return np.asarray(x.shape[axis] - 1 - y if last else y, np.int64)

    return operator


def top_k(call: Call[Array]) -> Evaluated:
    """The largest values along an axis and their places; of equal ones, the first."""
    call.ignore("sorted")  # they always are
    x = call.input(0)
    (k,) = (call.get_int("k"),) if call.opset < 10 else as_numbers(call, call.input(1))
    axis, largest = call.axis(call.get_int("axis", -1), x.ndim), call.get_int("largest", 1)
    if not 0 <= k <= x.shape[axis]:
        raise call.error(f"k must be between 0 and {x.shape[axis]}; it is {k}")
    keys = np.flip(x, axis) if largest else x
    order = np.argsort(keys, axis, kind="stable")
    if largest:
        order = np.flip(x.shape[axis] - 1 - order, axis)
    places = np.take(order, np.arange(k), axis).astype(np.int64)
    return np.take_along_axis(x, places, axis), places


REDUCTIONS: dict[str, Versions] = {
    "ReduceSum": _reduction(_sum, 13),
    "ReduceMean": _reduction(lambda x, axes: x.mean(axes, keepdims=True)),
    "ReduceMax": _reduction(_largest),
    "ReduceMin": _reduction(_smallest),
    "ReduceProd": _reduction(lambda x, axes: x.prod(axes, keepdims=True)),
    "ReduceL1": _reduction(lambda x, axes: _sum(np.abs(x), axes)),
    "ReduceL2": _reduction(lambda x, axes: np.sqrt(_sum_square(x, axes))),
    "ReduceSumSquare": _reduction(_sum_square),
    "ReduceLogSum": _reduction(lambda x, axes: np.log(_sum(x, axes))),
    "ReduceLogSumExp": _reduction(_log_sum_exp),
    "ArgMax": {1: _place(largest=True)},
    "ArgMin": {1: _place(largest=False)},
    "TopK": {1: top_k},
}
