"""The compiled twins of `rot180.ops.muon`."""

from __future__ import annotations

from typing import Any

from rot180.errors import ShapeError
from rot180.kernels.averaging import ema
from rot180.kernels.launching import most_threads
from rot180.kernels.memory import aligned
from rot180.kernels.operands import contiguous, float_type
from rot180.kernels.orthogonal_calls import Orthogonalize
from rot180.kernels.update import SGD, hyper_parameters, update
from rot180.ops.muon import check, length
from rot180.ops.types import Array


def orthogonalize(matrix: Array) -> Array:
    """Compiled twin of `rot180.ops.orthogonalize`."""
    if matrix.ndim != 2:
        raise ShapeError(f"orthogonalize: expected a matrix; it is {matrix.shape}; reshape it to two axes")
    found = matrix.astype(float_type("orthogonalize", matrix=matrix), order="C")
    if found.size:
        _orthogonalize(found, 1.0)
    return found


def muon_update(w: Array, dw: Array, m: Array, *, lr: float, beta: float = 0.9, weight_decay: float = 0.0) -> None:
    """Compiled twin of `rot180.ops.muon_update`."""
    check(w, dw, m, beta)
    dtype = float_type("muon_update", w=w, dw=dw, m=m)
    g, mean, weights = dw.astype(dtype, order="C"), contiguous(m, dtype), contiguous(w, dtype)
    ema(mean.reshape(-1), g.reshape(-1), 1 - beta)
    ema(g.reshape(-1), mean.reshape(-1), beta)  # Nesterov's look ahead
    matrix = g.reshape(-1, w.shape[-1])
    if matrix.size:
        _orthogonalize(matrix, length(matrix.shape))
    flat = weights.reshape(-1)
    update(SGD, flat, g.reshape(-1), flat, flat, hyper_parameters(SGD, lr=lr, weight_decay=weight_decay))
    for array, piece in ((m, mean), (w, weights)):
        if piece is not array:
            array[...] = piece


def _orthogonalize(matrix: Array, factor: float) -> None:
    def scratch(shape: tuple[int, ...], dtype: Any = matrix.dtype) -> Array:
        return aligned(shape, dtype)

    Orthogonalize(matrix.shape, matrix.dtype, threads=most_threads(), scratch=scratch)(matrix, factor)
