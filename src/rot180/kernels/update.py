r"""The optimizers' rules on registers: the same mathematics as `rot180.ops.update`.

`update_lanes` changes one register of weights, wherever its gradient comes from: `update` reads it from an array, the
fully connected layer's kernel has it in a scratch array that never leaves the cache. The numbers that are constant
within a step are in one array, computed once per step by `hyper_parameters`:

    place   SGD, MOMENTUM, NESTEROV   ADAM, ADAMW                RMSPROP
    0       lr                        lr / (1 - beta1^t)         lr
    1       momentum                  beta1
    2                                 1 - beta1
    3                                 beta2                      alpha
    4                                 1 - beta2                  1 - alpha
    5                                 1 / sqrt(1 - beta2^t)      1
    6                                 eps                        eps
    7       weight decay in g         weight decay in g (ADAM)   weight decay in g
    8                                 1 - lr * weight decay (ADAMW)

The state m holds the velocity or the mean of gradients, v the mean of squares; a rule without one of them never
accesses it, and may be given w in its place.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rot180.kernels.compiling import kernel, subroutine
from rot180.kernels.parts import read, write
from rot180.kernels.simd import fma, lanes, pointer, splat, sqrt
from rot180.kernels.team import split

SGD, MOMENTUM, NESTEROV, ADAM, ADAMW, RMSPROP = 0, 1, 2, 3, 4, 5

UNIT = 8_192
"""The number of weights that one unit of work changes."""


def hyper_parameters(
    rule: int,
    *,
    step: int = 1,
    lr: float,
    momentum: float = 0.0,
    beta1: float = 0.9,
    beta2: float = 0.999,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    out: np.ndarray[Any, np.dtype[np.float64]] | None = None,
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the numbers that a rule needs in step `step` (from 1), in the order of the module's table.

    `out`, 9 float64, is filled if given, so that a training step need not allocate.

    >>> hyper_parameters(SGD, lr=0.5)[0]
    np.float64(0.5)
    """
    numbers = [lr, momentum, 0.0, alpha, 1 - alpha, 1.0, eps, weight_decay, 1.0]
    if rule in (ADAM, ADAMW):
        numbers[0] = lr / (1 - beta1**step)
        numbers[1:6] = beta1, 1 - beta1, beta2, 1 - beta2, 1 / math.sqrt(1 - beta2**step)
    if rule == ADAMW:
        numbers[7:] = 0.0, 1 - lr * weight_decay
    hyper = np.empty(9) if out is None else out
    hyper[:] = numbers
    return hyper


@subroutine
def update_lanes(rule, g, w, m, v, offset, count, hyper):
    """Change `count` weights, at most a register, at w[offset], given their gradient g; m and v are addresses, too."""
    rate = splat(w, hyper[0])
    weight = read(w, offset, count)
    if hyper[7] != 0.0:
        g = fma(splat(w, hyper[7]), weight, g)
    if rule == SGD:
        weight = weight - rate * g
    elif rule == MOMENTUM or rule == NESTEROV:
        momentum = splat(w, hyper[1])
        velocity = fma(momentum, read(m, offset, count), g)
        write(m, offset, velocity, count)
        if rule == NESTEROV:
            velocity = fma(momentum, velocity, g)
        weight = weight - rate * velocity
    else:
        square = fma(splat(w, hyper[3]), read(v, offset, count), splat(w, hyper[4]) * (g * g))
        write(v, offset, square, count)
        root = fma(sqrt(square), splat(w, hyper[5]), splat(w, hyper[6]))
        if rule == RMSPROP:
            weight = weight - rate * (g / root)
        else:
            mean = fma(splat(w, hyper[1]), read(m, offset, count), splat(w, hyper[2]) * g)
            write(m, offset, mean, count)
            if rule == ADAMW:
                weight = weight * splat(w, hyper[8])
            weight = weight - rate * (mean / root)
    write(w, offset, weight, count)


@kernel
def update(team, rule, w, g, m, v, hyper):
    """Change the weights w by their gradient g; all flat and of the same length, m and v the state or, if unused, w."""
    size = w.shape[0]
    L = lanes(w)
    for unit in split(team, (size + UNIT - 1) // UNIT):
        first = unit * UNIT
        p, q, r, s = pointer(w, first), pointer(g, first), pointer(m, first), pointer(v, first)
        length = min(UNIT, size - first)
        for i in range(0, length, L):
            part = min(L, length - i)
            update_lanes(rule, read(q, i, part), p, r, s, i, part, hyper)
