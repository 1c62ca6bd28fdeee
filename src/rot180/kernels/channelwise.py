"""Rows of W*C numbers with parameters for each channel.

A register holds several pixels, one, or a part of one. Four registers make a group; the channels of its lanes repeat
after `period` numbers. Each vector of parameters is repeated up to there, so that all registers are whole but the last
of a row, however many channels there are:

    row      |0 1 2 0 1 2 0 1|2 0 1 2 0 1 2 0|1 2 0 1 2 0 1 2|0 1 2 0 1 2      3 channels, groups of 8, 10 pixels
    period    -----------------------------------------------

Sums over pixels are formed for each position of the period, and added up per channel at the end. Batches are summed in
parts, whose number does not depend on the threads.
"""

from __future__ import annotations

import math
from typing import Any

from rot180.kernels.compiling import subroutine
from rot180.kernels.simd import lane_count_of, lanes, splat, store
from rot180.kernels.team import split

GROUP = 4
"""Registers that are summed side by side: a single sum would wait for each addition."""
MOST_PARTS = 32
"""The most parts that a batch is summed in."""
UNIT = 64
"""Positions of a period that one unit of work adds up."""
BLOCK_BYTES, BLOCK_PIXELS = 1 << 14, 32
"""A block of rows has about this many bytes, half of a small first-level cache, and at least this many pixels."""


def period_of(channels: int, width: int, dtype: Any) -> int:
    """Return the length that vectors of parameters are repeated to: whole groups, no more of them than a row needs.

    >>> period_of(3, 1000, "float32") % 3, period_of(3, 1, "float32") <= 64
    (0, True)
    """
    group = GROUP * lane_count_of(dtype)
    return max(group, min(math.lcm(channels, group), -(-width * channels // group) * group))


def parts_of(rows: int, most: int = MOST_PARTS) -> int:
    """Return the number of parts that `rows` rows are summed in.

    >>> parts_of(3), parts_of(1000), parts_of(1000, 10)
    (3, 32, 10)
    """
    return max(1, min(MOST_PARTS, most, rows))


@subroutine
def rows_of_block(length, period, itemsize):
    """Return how many rows of a part make a block."""
    return max(1, max(BLOCK_BYTES // (length * itemsize), BLOCK_PIXELS * period // length))


@subroutine
def first_left(length, period, group):
    """Return where a row's numbers begin that are summed register by register, with the sums in memory.

    If the period is a single group, its whole groups are summed first, with the sums in registers. In a longer period,
    a sum is stored long before its next turn.
    """
    return length // period * period if period == group else 0


@subroutine
def clear(p, count):
    """Set whole registers to zero."""
    L = lanes(p)
    zero = splat(p, 0.0)
    for i in range(0, count, L):
        store(p, i, zero)


@subroutine
def repeat(vector, target):
    """Fill the target with the vector, again and again."""
    C, period = vector.shape[0], target.shape[0]
    for i in range(0, period, C):
        for c in range(min(C, period - i)):
            target[i + c] = vector[c]


@subroutine
def fold_channels(sums, C):
    """Add up the positions of a period that belong to each channel, in the first C of them."""
    period = sums.shape[0]
    for i in range(C, period, C):
        for c in range(min(C, period - i)):
            sums[c] += sums[i + c]


@subroutine
def latest(team, unit, parts):
    """Return the part to sum as this unit of work: each thread begins with the last part of its own.

    The kernel before has just written the last ones, which are still in the cache; and the next kernel finds the first.
    """
    thread = ((unit + 1) * team.threads - 1) // parts
    return thread * parts // team.threads + (thread + 1) * parts // team.threads - 1 - unit


@subroutine
def add_up(team, sums):
    """Add all parts (parts, 2, period) to the first one."""
    parts, _, period = sums.shape
    for unit in split(team, (period + UNIT - 1) // UNIT):
        for part in range(1, parts):
            for k in range(unit * UNIT, min(period, (unit + 1) * UNIT)):
                sums[0, 0, k] += sums[part, 0, k]
                sums[0, 1, k] += sums[part, 1, k]
