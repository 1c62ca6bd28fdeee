"""Scale and shift of normalizations that convolutions apply in inference, all at once.

    scale = gamma / sqrt(var + eps),  shift = beta + (bias - mean) * scale

so that clamp(sum * scale + shift) is the convolution with its bias, normalized by the running statistics.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rot180.kernels.call import Call
from rot180.kernels.compiling import kernel
from rot180.kernels.launching import Launch
from rot180.kernels.parts import read, write
from rot180.kernels.simd import fma, lanes, pointer, splat, sqrt
from rot180.kernels.team import split
from rot180.ops.types import Array


@kernel
def _fill(team, base, table, epsilons):
    """Fill scale and shift of several normalizations.

    table : (normalizations, 8) int64
        The distances in elements from `base` to mean, var, gamma, beta, bias, scale and shift, and their length.
    epsilons : (normalizations,)
    """
    L = lanes(base)
    for i in split(team, table.shape[0]):
        mean, var, gamma, beta = (
            pointer(base, table[i, 0]), pointer(base, table[i, 1]), pointer(base, table[i, 2]),
            pointer(base, table[i, 3]),
        )  # fmt: skip
        bias, scale, shift = pointer(base, table[i, 4]), pointer(base, table[i, 5]), pointer(base, table[i, 6])
        for f in range(0, table[i, 7], L):
            part = min(L, table[i, 7] - f)
            factor = read(gamma, f, part) / sqrt(read(var, f, part) + splat(base, epsilons[i]))
            write(scale, f, factor, part)
            write(shift, f, fma(read(bias, f, part) - read(mean, f, part), factor, read(beta, f, part)), part)


def scale_and_shift(normalizations: Sequence[tuple[float, tuple[Array, ...]]]) -> Call:
    """Return the call that fills the last two arrays of each normalization.

    One call for all of them: a network has dozens, and none takes as long as a call. Each is given by eps and mean,
    var, gamma, beta, bias, scale and shift, whose memory must not move.
    """
    arrays = [array for _, some in normalizations for array in some]
    base = arrays[0]
    places = [(array.ctypes.data - base.ctypes.data) // base.itemsize for array in arrays]
    table = np.array(places, np.int64).reshape(len(normalizations), -1)
    lengths = [[len(some[0])] for _, some in normalizations]
    epsilons = np.array([eps for eps, _ in normalizations])
    launch = Launch([(_fill, (base, np.hstack([table, np.array(lengths, np.int64)]), epsilons))])
    return Call(_fill_all, (launch, arrays))


def _fill_all(launch: Launch, arrays: Sequence[Array]) -> None:
    """Fill in this thread; whoever holds the call holds the arrays that the table leads to."""
    launch.alone()
