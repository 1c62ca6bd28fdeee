"""The compiled twins of `rot180.ops.linear`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, ShapeError
from rot180.kernels import linear_calls
from rot180.kernels.call import Scratch
from rot180.kernels.launching import most_threads
from rot180.kernels.memory import aligned
from rot180.kernels.operands import contiguous, float_type
from rot180.ops.linear import _check
from rot180.ops.types import Array


def linear(x: Array, w: Array, b: Array | None = None) -> Array:
    """Compiled twin of `rot180.ops.linear`."""
    _check(x, w, "linear")
    dtype = float_type("linear", x=x, w=w)
    if b is not None:
        if b.shape != (w.shape[1],):
            raise ShapeError(
                f"linear: b must have one bias per unit, ({w.shape[1]},); it is {b.shape}; see w {w.shape}"
            )
        dtype = float_type("linear", x=x, w=w, b=b)
    weights = aligned(w.shape, dtype)
    weights[...] = w
    bias = np.zeros(0, dtype) if b is None else contiguous(b, dtype)
    y = np.empty((len(x), w.shape[1]), dtype)
    threads = most_threads()
    linear_calls.multiply(contiguous(x, dtype), weights, bias, y, threads=threads, scratch=_scratch(dtype))()
    return y


def linear_backward(
    dy: Array, x: Array, w: Array, *, needs: Collection[str] = ("x", "w", "b")
) -> tuple[Array | None, Array | None, Array | None]:
    """Compiled twin of `rot180.ops.linear_backward`."""
    _check(x, w, "linear_backward")
    if dy.shape != (x.shape[0], w.shape[1]):
        raise ShapeError(
            f"linear_backward: dy must have the shape of y, {(x.shape[0], w.shape[1])}; it is {dy.shape}; "
            f"give the x and w of the forward pass"
        )
    if not set(needs) <= {"x", "w", "b"}:
        raise ArgumentError(f"linear_backward: needs may hold 'x', 'w' and 'b'; it is {needs!r}; leave out the others")
    dtype = float_type("linear_backward", dy=dy, x=x, w=w)
    delta = aligned(dy.shape, dtype)
    delta[...] = dy
    dx = np.empty(x.shape, dtype) if "x" in needs else None
    dw = np.empty(w.shape, dtype) if "w" in needs else None
    db = np.empty(w.shape[1], dtype) if "b" in needs else None
    if dx is not None:
        threads, scratch = most_threads(), _scratch(dtype)
        linear_calls.data_gradient(delta, contiguous(w, dtype), dx, threads=threads, scratch=scratch)()
    x = contiguous(x if dw is not None else x[:, :0], dtype)
    update = linear_calls.keep(np.empty((0, w.shape[1]), dtype) if dw is None else dw)
    sums = np.empty(0, dtype) if db is None else db
    threads = most_threads()
    linear_calls.weight_gradient(x, delta, sums, update, threads=threads, scratch=_scratch(dtype))()
    return dx, dw, db


def _scratch(own: np.dtype[Any]) -> Scratch:
    return lambda shape, dtype=None: aligned(shape, dtype or own)
