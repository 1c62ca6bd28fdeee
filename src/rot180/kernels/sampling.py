"""Sampling images at fractional positions, for augmentation."""

from __future__ import annotations

import math

import numpy as np

from rot180.kernels.compiling import kernel, subroutine
from rot180.kernels.team import split


@kernel
def bilinear(team, framed, transformations, displaced, reflects, limits, rounds, y):
    """Fill y (N, H, W, C) with transformed images, which are given in a frame of two pixels, (N, H + 4, W + 4, C).

    Pixel (i, j) of image n comes from row a*i + b*j + c, column d*i + e*j + f, all relative to the center, where
    ((a, b, c), (d, e, f)) is `transformations[n]`, plus `displaced[:, n, i, j]`, unless that is empty. Places beyond
    the frame, or NaN, are moved to it; with `reflects`, they are first reflected at the edges of the image. Values are
    clipped to the two limits, and rounded if `rounds`.
    """
    N, H, W, C = y.shape
    flat = framed.reshape(-1)
    is_displaced = displaced.shape[1] > 0
    for n in split(team, N):
        a, b, c = transformations[n, 0, 0], transformations[n, 0, 1], transformations[n, 0, 2] + 0.5 * (H - 1)
        d, e, f = transformations[n, 1, 0], transformations[n, 1, 1], transformations[n, 1, 2] + 0.5 * (W - 1)
        for i in range(H):
            for j in range(W):
                down, right = i - 0.5 * (H - 1), j - 0.5 * (W - 1)
                row, column = a * down + b * right + c, d * down + e * right + f
                if is_displaced:
                    row += displaced[0, n, i, j]
                    column += displaced[1, n, i, j]
                if reflects:
                    row, column = _reflected(row, H), _reflected(column, W)
                # Comparisons with NaN are false.
                row = min(row + 2.0, H + 3.0) if row > -2.0 else 0.0
                column = min(column + 2.0, W + 3.0) if column > -2.0 else 0.0
                top, left = min(int(row), H + 2), min(int(column), W + 2)
                down, right = row - top, column - left
                first = ((n * (H + 4) + top) * (W + 4) + left) * C
                second = first + (W + 4) * C
                for k in range(C):
                    upper = flat[first + k] * (1.0 - right) + flat[first + C + k] * right
                    lower = flat[second + k] * (1.0 - right) + flat[second + C + k] * right
                    value = min(max(upper * (1.0 - down) + lower * down, limits[0]), limits[1])
                    y[n, i, j, k] = np.rint(value) if rounds else value


@subroutine
def _reflected(place, size):
    """Return a place outside an axis reflected into it, at the outer edges of the first and last pixels."""
    if -0.5 <= place <= size - 0.5:
        return place
    past = place + 0.5
    past -= 2 * size * math.floor(past / (2 * size))
    return min(past, 2 * size - past) - 0.5
