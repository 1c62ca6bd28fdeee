"""The compiled twins of `rot180.ops.joins`; the delta of a sum is passed on as it is and needs no kernel."""

from __future__ import annotations

import numpy as np

from rot180 import ops
from rot180.kernels import addition
from rot180.kernels import joins as compiled
from rot180.kernels.channelwise import period_of
from rot180.kernels.elementwise import MULTIPLY, combine
from rot180.kernels.launching import most_threads
from rot180.kernels.operands import as_maps, contiguous, float_type, integers
from rot180.kernels.twin_elementwise import binary, rows_of
from rot180.memory import require
from rot180.ops.joins import _check_branches, _spread_gate
from rot180.ops.types import Array


def add(*xs: Array) -> Array:
    """Compiled twin of `rot180.ops.add`."""
    _check_branches("add", xs, of=slice(None))
    dtype = float_type("add", **{f"xs[{k}]": x for k, x in enumerate(xs)})
    first, *others = (contiguous(x, dtype) for x in xs)
    y = first.copy()
    for x in others:
        for total, operand in zip(rows_of(y), rows_of(x), strict=True):
            addition.add(total, operand, total, total, addition.PLAIN, integers(1, 1, 0, 0, 0, 0, 0, 0, 0, 0))
    return y


def concatenate(*xs: Array) -> Array:
    """Compiled twin of `rot180.ops.concatenate`."""
    _check_branches("concatenate", xs, of=slice(-1))
    dtype = float_type("concatenate", **{f"xs[{k}]": x for k, x in enumerate(xs)})
    require(sum(x.nbytes for x in xs), "concatenate")
    y = np.empty((*xs[0].shape[:-1], sum(x.shape[-1] for x in xs)), dtype)
    to = 0
    for x in xs:
        if x.size:
            _copy(contiguous(x, dtype), y, 0, to, x.shape[-1])
        to += x.shape[-1]
    return y


def concatenate_backward(dy: Array, channels: tuple[int, ...]) -> tuple[Array, ...]:
    """Compiled twin of `rot180.ops.concatenate_backward`."""
    dtype = float_type("concatenate_backward", dy=dy)
    if sum(channels) != dy.shape[-1] or not dy.size:
        return ops.concatenate_backward(dy, channels)  # which raises the error
    dy = contiguous(dy, dtype)
    dxs = [np.empty((*dy.shape[:-1], count), dtype) for count in channels]
    for start, dx in zip(np.cumsum([0, *channels]).tolist(), dxs, strict=False):
        if dx.size:
            _copy(dy, dx, start, 0, dx.shape[-1])
    return tuple(dxs)


def multiply(x: Array, gate: Array) -> Array:
    """Compiled twin of `rot180.ops.multiply`."""
    _spread_gate("multiply", x, gate)
    if gate.shape == x.shape:
        return binary(combine, "multiply", MULTIPLY, x=x, gate=gate)
    dtype = float_type("multiply", x=x, gate=gate)
    x, gate = contiguous(x, dtype), contiguous(gate, dtype)
    y = np.empty(x.shape, dtype)
    if x.size:
        compiled.multiply(x, gate, y, _scratch(x), integers(*x.shape[1:3], 0, 0, 0, 0))
    return y


def multiply_backward(dy: Array, x: Array, gate: Array) -> tuple[Array, Array]:
    """Compiled twin of `rot180.ops.multiply_backward`."""
    name = "multiply_backward"
    if dy.shape != x.shape or not x.size:
        return ops.multiply_backward(dy, x, gate)  # which raises the error
    _spread_gate(name, x, gate)
    if gate.shape == x.shape:
        return tuple(binary(combine, name, MULTIPLY, dy=dy, other=other) for other in (gate, x))  # type: ignore[return-value]
    dtype = float_type(name, dy=dy, x=x, gate=gate)
    dy, x, gate = (contiguous(array, dtype) for array in (dy, x, gate))
    dx, dgate = np.empty(x.shape, dtype), np.empty(gate.shape, dtype)
    compiled.multiply_backward(dy, x, gate, dx, dgate, _scratch(x), integers(*x.shape[1:3], 0, 0, 0, 0, 0, 0))
    return dx, dgate


def _copy(x: Array, y: Array, start: int, to: int, count: int) -> None:
    x, y = as_maps(x), as_maps(y)
    compiled.copy_channels(x, y, False, integers(*x.shape[1:3], 0, 0, 0, 0, start, to, count))


def _scratch(x: Array) -> Array:
    return np.empty((most_threads(), 2, period_of(x.shape[3], x.shape[2], x.dtype)), x.dtype)
