r"""Resizing maps with given weights, and their delta with the transposed weights.

    y[n, i, j, c] = sum_{p, q}  R[i, p] * x[n, p, q, c] * S[j, q]

The weights of an output that are not zero are adjacent, for nearest, bilinear and adaptive averages, forward and
backward; so a row of R or S is reduced to a first place, a count and that many weights.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rot180.kernels.compiling import kernel
from rot180.kernels.parts import read, write
from rot180.kernels.simd import fma, lanes, pointer, splat
from rot180.kernels.team import split
from rot180.ops.types import Array


class Taps(NamedTuple):
    """The weights along one axis: output i reads the inputs from first[i] on, with weights[i, :counts[i]]."""

    first: Array
    counts: Array
    weights: Array


def taps_of(matrix: Array) -> Taps:
    """Return the taps of a matrix (outputs, inputs).

    >>> taps_of(np.array([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]]))
    Taps(first=array([1, 0]), counts=array([2, 1]), weights=array([[1., 2.],
           [3., 0.]]))
    """
    used = matrix != 0
    first = used.argmax(axis=1)
    count = np.where(used.any(axis=1), matrix.shape[1] - used[:, ::-1].argmax(axis=1) - first, 0)
    weights = np.zeros((len(matrix), max(1, int(count.max(initial=0)))), matrix.dtype)
    for i, (start, number) in enumerate(zip(first.tolist(), count.tolist(), strict=True)):
        weights[i, :number] = matrix[i, start : start + number]
    return Taps(first.astype(np.int64), count.astype(np.int64), weights)


@kernel
def resample(team, x, y, row_first, row_count, row_weights, column_first, column_count, column_weights, sizes):
    """y from x (N, rows, columns, C) and the taps of both axes.

    `sizes` (6,): OH, OW, x_top, x_left, y_top, y_left.
    """
    OH, OW, x_top, x_left, y_top, y_left = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    C = x.shape[3]
    line = x.shape[2] * C
    L = lanes(x)
    for row in split(team, x.shape[0] * OH):
        n, i = row // OH, row % OH
        p = pointer(x, ((n * x.shape[1] + x_top + row_first[i]) * x.shape[2] + x_left) * C)
        q = pointer(y, ((n * y.shape[1] + y_top + i) * y.shape[2] + y_left) * C)
        for j in range(OW):
            left = column_first[j] * C
            for c in range(0, C, L):
                part = min(L, C - c)
                total = splat(p, 0.0)
                for u in range(row_count[i]):
                    across = splat(p, 0.0)
                    for v in range(column_count[j]):
                        weight = splat(p, column_weights[j, v])
                        across = fma(weight, read(p, u * line + left + v * C + c, part), across)
                    total = fma(splat(p, row_weights[i, u]), across, total)
                write(q, j * C + c, total, part)
