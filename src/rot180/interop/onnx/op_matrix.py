"""Products of matrices."""

from __future__ import annotations

import numpy as np

from rot180.interop.onnx.call import Call, Evaluated, Versions
from rot180.ops.types import Array


def gemm(call: Call[Array]) -> Evaluated:
    """alpha * a @ b + beta * c, where a and b may be transposed."""
    a, b, c = call.input(0), call.input(1), call.optional(2)
    call.ignore("broadcast")
    if a.ndim != 2 or b.ndim != 2:
        raise call.error(f"it multiplies matrices; its inputs are {a.shape} and {b.shape}")
    a, b = (a.T if call.get_int("transA", 0) else a), (b.T if call.get_int("transB", 0) else b)
    alpha, beta = call.get_float("alpha", 1.0), call.get_float("beta", 1.0)
    call.require((a.shape[0], b.shape[1]), a.dtype)
    number = a.dtype.type
    y: Array = a @ b
    if alpha != 1:
        y = y * number(alpha)
    if c is None:
        return y
    if np.broadcast_shapes(c.shape, y.shape) != y.shape:
        raise call.error(f"c {c.shape} does not fit the product {y.shape}")
    return y + (c if beta == 1 else c * number(beta))


def matmul(call: Call[Array]) -> Evaluated:
    """The product of matrices, of vectors, or of stacks of matrices."""
    return product(call, call.input(0), call.input(1))


def product(call: Call[Array], a: Array, b: Array) -> Array:
    """Return a @ b, after a look at its size."""
    if not a.ndim or not b.ndim:
        raise call.error("it does not multiply scalars")
    rows = a.shape[-2:-1]
    columns = b.shape[-1:] if b.ndim > 1 else ()
    stacks = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    call.require((*stacks, *rows, *columns), a.dtype)
    y: Array = np.asarray(a @ b)
    return y


MATRICES: dict[str, Versions] = {"Gemm": {1: gemm}, "MatMul": {1: matmul}}
