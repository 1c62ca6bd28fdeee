"""Making a matrix orthogonal on the tiles: the same for the engine's updates and for the twins."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rot180.kernels.call import Call, Scratch
from rot180.kernels.clipping import UNIT, squares
from rot180.kernels.linear_calls import keep, multiply, weight_gradient
from rot180.ops.muon import COEFFICIENTS, STEPS
from rot180.ops.types import Array


class Orthogonalize:
    """Makes matrices of one shape and type orthogonal, in place; the arrays in between are kept.

    Parameters
    ----------
    shape : (int, int)
    dtype : float32 or float64
    threads, scratch
        As for `linear_calls.multiply`.

    Attributes
    ----------
    calls : tuple of Call
        One of each kernel that it needs.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any, *, threads: int, scratch: Scratch) -> None:
        rows, columns = max(shape), min(shape)
        none = np.zeros(0, dtype)
        self._sums = np.zeros(-(-rows * columns // UNIT))
        self._x, self._result = (scratch((rows, columns), dtype) for _ in range(2))
        self._q, self._gram, self._mixing, self._spare = (scratch((columns, columns), dtype) for _ in range(4))

        def product(left: Array, right: Array, out: Array) -> Call:
            return multiply(left, right, none, out, threads=threads, scratch=scratch)

        self._begin = weight_gradient(self._x, self._x, none, keep(self._gram), threads=threads, scratch=scratch)
        self._square = product(self._gram, self._gram, self._q)
        self._next = (
            product(self._q, self._gram, self._spare),
            product(self._spare, self._q, self._gram),
            product(self._mixing, self._q, self._spare),
        )
        self._end = product(self._x, self._mixing, self._result)
        self.calls = self._begin, self._square, Call(squares, (self._x.reshape(-1), self._sums))

    def __call__(self, matrix: Array, factor: float = 1.0) -> None:
        """Make a matrix orthogonal, and multiply it by the factor."""
        x, q, gram, mixing = self._x, self._q, self._gram, self._mixing
        a, b, c = COEFFICIENTS
        largest = float(np.abs(matrix).max(initial=0.0))
        if largest == 0:
            return
        tall = matrix if len(matrix) == len(x) else matrix.T
        np.divide(tall, largest, out=x)
        squares(x.reshape(-1), self._sums)
        x *= 1 / math.sqrt(sum(self._sums.tolist()))
        mixing[...] = np.eye(len(mixing))
        self._begin()
        for _ in range(STEPS):
            self._square()
            q *= c
            q += b * gram
            q.reshape(-1)[:: len(q) + 1] += a
            for product in self._next:
                product()
            mixing[...] = self._spare
        self._end()
        np.multiply(self._result, factor, out=tall)
