"""Zeros around images or in their place, in memory that held something else."""

from __future__ import annotations

from rot180.kernels.compiling import kernel, subroutine
from rot180.kernels.parts import write
from rot180.kernels.simd import lanes, pointer, splat
from rot180.kernels.team import split


@subroutine
def _clear(array, start, end):
    L = lanes(array)
    p = pointer(array, 0)
    zero = splat(p, 0.0)
    for i in range(start, end, L):
        write(p, i, zero, min(L, end - i))


@kernel
def clear(team, x):
    """Set x (N, Hp, Wp, C) to zero."""
    line = x.shape[2] * x.shape[3]
    for row in split(team, x.shape[0] * x.shape[1]):
        _clear(x, row * line, (row + 1) * line)


@kernel
def clear_border(team, x, sizes):
    """Set what surrounds the images in x (N, Hp, Wp, C) to zero.

    `sizes` (4,): top, left, height, width of an image.
    """
    N, Hp, Wp, C = x.shape
    top, left, height, width = sizes[0], sizes[1], sizes[2], sizes[3]
    line = Wp * C
    for n in split(team, N):
        image = n * Hp * line
        _clear(x, image, image + top * line + left * C)
        for row in range(top, top + height - 1):
            # What is right of one row and left of the next is contiguous.
            start = image + row * line + (left + width) * C
            _clear(x, start, start + (Wp - width) * C)
        _clear(x, image + (top + height - 1) * line + (left + width) * C, image + Hp * line)
