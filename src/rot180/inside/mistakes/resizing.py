"""Known mistakes in the gradients of upsampling and adaptive pooling: sums weighted by rows and by columns."""

from __future__ import annotations

import numpy as np

from rot180.inside.mistakes.case import Candidates, Case, Mistake
from rot180.inside.mistakes.recognize import Operation
from rot180.ops.types import Array

DX = "dx[n,p,q,c] = sum_ij R[i,p] * dy[n,i,j,c] * S[j,q]"

ONE_COPY = Mistake(
    "only one copy's delta", "a pixel was copied to several places: sum the delta of all of them", f"sum_ij in {DX}"
)
MEAN = Mistake(
    "mean instead of sum over the copies",
    "a pixel was copied to several places: sum their delta, without dividing",
    f"sum_ij in {DX}",
)
ORDER = Mistake(
    "copies in another order",
    "the copies of a pixel are neighbors: reshape delta to (N, H, s, W, s, C) and sum over the two axes of s",
    f"i and j in {DX}",
)
NEAREST = Mistake(
    "gradient of nearest neighbors for bilinear interpolation",
    "each pixel receives delta with the weights of forward's interpolation",
    f"R and S in {DX}",
)
INTERPOLATED = Mistake(
    "delta interpolated instead of transposed",
    "backward applies the transposed weights; interpolating delta back is another map",
    f"R[i,p] in {DX}",
)
CORNERS = Mistake(
    "corners aligned in backward only", "use the same positions of the centers as in forward", f"R and S in {DX}"
)
UNDIVIDED = Mistake(
    "mean of a window not divided", "each pixel receives delta divided by the size of its window", f"R and S in {DX}"
)
EQUAL = Mistake(
    "all windows of one size", "where sizes do not divide, windows differ in size and overlap", f"R and S in {DX}"
)


def gradients(case: Case, operation: Operation, dy: Array) -> dict[str, Array]:
    """Return the right gradient."""
    return {"x": _back(dy, operation.options["rows"], operation.options["columns"])}


def _back(dy: Array, rows: Array, columns: Array) -> Array:
    return np.asarray(np.einsum("ip,nijc,jq->npqc", rows, dy, columns, optimize=True))


def candidates(case: Case, operation: Operation) -> Candidates:
    """Yield what each mistake would return."""
    rows, columns = operation.options["rows"], operation.options["columns"]
    dy, (height, width) = case.dy, case.x.shape[1:3]
    high, wide = dy.shape[1] / height, dy.shape[2] / width
    if operation.kind == "adaptive":
        yield UNDIVIDED, _back(dy, rows > 0, columns > 0)
        yield UNDIVIDED, _back(dy, rows, columns > 0)
        yield UNDIVIDED, _back(dy, rows > 0, columns)
        for up in (np.floor, np.ceil):
            share = up(1 / high) * up(1 / wide)
            yield EQUAL, _back(dy, rows > 0, columns > 0) / share
        return
    s, t = round(high), round(wide)
    block = dy.reshape(len(dy), height, s, width, t, -1)
    if operation.kind == "nearest":
        for i, j in {(0, 0), (s - 1, t - 1), (s // 2, t // 2)}:
            yield ONE_COPY, block[:, :, i, :, j]
        yield ONE_COPY, block[:, :, 0].sum(3)
        yield ONE_COPY, block[:, :, :, :, 0].sum(2)
        yield MEAN, block.mean((2, 4))
        yield MEAN, block.mean(2).sum(3)
        yield MEAN, block.sum(2).mean(3)
        yield ORDER, dy.reshape(len(dy), s, height, t, width, -1).sum((1, 3))
        return
    yield NEAREST, block.sum((2, 4))
    yield NEAREST, block.mean((2, 4))
    for i, j in {(0, 0), (s - 1, t - 1), (s // 2, t // 2)}:
        yield ONE_COPY, block[:, :, i, :, j]
    from_rows, from_columns = _bilinear(dy.shape[1], height), _bilinear(dy.shape[2], width)
    for factor in (1, s * t):
        yield INTERPOLATED, factor * np.einsum("pi,nijc,qj->npqc", from_rows, dy, from_columns, optimize=True)
    yield CORNERS, _back(dy, _aligned(height, dy.shape[1]), _aligned(width, dy.shape[2]))


def _bilinear(n: int, o: int) -> Array:
    return _between(np.clip((np.arange(o) + 0.5) * n / o - 0.5, 0, n - 1), n)


def _aligned(n: int, o: int) -> Array:
    return _between(np.arange(o) * (n - 1) / max(o - 1, 1), n)


def _between(t: Array, n: int) -> Array:
    """Return the weights of the two pixels next to each position."""
    return np.asarray(np.maximum(0, 1 - np.abs(t[:, None] - np.arange(n))))
