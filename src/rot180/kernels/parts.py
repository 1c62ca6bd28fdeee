"""Whole registers where possible, a masked one at the end of a row."""

from __future__ import annotations

from rot180.kernels.compiling import subroutine
from rot180.kernels.simd import lanes, load, load_part, store, store_part


@subroutine
def read(p, offset, count):
    """Read `count` elements, at most a register; the lanes after them are zero."""
    return load(p, offset) if count == lanes(p) else load_part(p, offset, count)


@subroutine
def write(p, offset, value, count):
    """Write `count` lanes."""
    # Before AVX-512 a masked write is slow on some processors; it is only used at the end of a row.
    if count == lanes(p):
        store(p, offset, value)
    else:
        store_part(p, offset, value, count)
