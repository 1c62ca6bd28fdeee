"""The exponential moving average of weights: the same mathematics as `rot180.ops.ema_update`."""

from __future__ import annotations

from rot180.kernels.compiling import kernel
from rot180.kernels.parts import read, write
from rot180.kernels.simd import fma, lanes, pointer, splat
from rot180.kernels.team import split

UNIT = 8_192
"""The number of weights that one unit of work averages."""


@kernel
def ema(team, average, w, share):
    """Move a flat average toward the weights w by this share of the difference."""
    size = w.shape[0]
    L = lanes(w)
    for unit in split(team, (size + UNIT - 1) // UNIT):
        first = unit * UNIT
        p, q = pointer(average, first), pointer(w, first)
        step = splat(p, share)
        length = min(UNIT, size - first)
        for i in range(0, length, L):
            part = min(L, length - i)
            old = read(p, i, part)
            write(p, i, fma(step, read(q, i, part) - old, old), part)
