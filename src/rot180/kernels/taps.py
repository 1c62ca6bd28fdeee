"""Which taps of a kernel count at each position, and tables of them that direct the lane tiles.

Along one axis, tap u of output position i reads place i*s - p + u*d of a forward pass's source, and tap u of position r
reads place (r + p - u*d) / s of a data gradient's, if that is whole. Only places inside the source count. They are a
run: a first tap, its place, and constant steps from there.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from rot180.kernels.tile import even_blocks

Integers = np.ndarray[Any, np.dtype[np.int64]]


class Runs(NamedTuple):
    """For each position along one axis, the run of taps that count."""

    first: Integers
    """The first tap."""
    place: Integers
    """Its place in the source."""
    taps: Integers
    """The number of taps, which may be 0."""
    tap_step: int
    place_step: int
    """From one tap of a run to the next."""
    period: int
    """Positions after which the taps are the same again, away from the edges."""
    advance: int
    """The places from one position to the one a period later."""


def forward_runs(out: int, kernel_size: int, stride: int, dilation: int, before: int, inside: tuple[int, int]) -> Runs:
    """Return the runs of a forward pass; places from inside[0] to inside[1] - 1 count.

    >>> runs = forward_runs(4, 3, 1, 1, 1, (0, 4))
    >>> runs.first.tolist(), runs.place.tolist(), runs.taps.tolist()
    ([1, 0, 0, 0], [0, 0, 1, 2], [2, 3, 3, 2])
    """
    places = np.arange(out)[:, None] * stride - before + np.arange(kernel_size) * dilation
    return _runs(places, np.True_, inside, 1, dilation, 1, stride)


def backward_runs(
    size: int, kernel_size: int, stride: int, dilation: int, before: int, inside: tuple[int, int]
) -> Runs:
    """Return the runs of a data gradient, whose source is delta.

    >>> runs = backward_runs(4, 3, 2, 1, 1, (0, 2))
    >>> runs.first.tolist(), runs.place.tolist(), runs.taps.tolist(), runs.tap_step
    ([1, 0, 1, 2], [0, 1, 1, 1], [1, 2, 1, 1], 2)
    """
    shifted = np.arange(size)[:, None] + before - np.arange(kernel_size) * dilation
    tap_step = stride // math.gcd(stride, dilation)
    return _runs(
        shifted // stride, shifted % stride == 0, inside, tap_step, -(dilation * tap_step // stride), stride, 1
    )


def _runs(
    places: Integers, whole: Any, inside: tuple[int, int], tap_step: int, place_step: int, period: int, advance: int
) -> Runs:
    counts = whole & (inside[0] <= places) & (places < inside[1])
    first, count = np.argmax(counts, axis=1), counts.sum(axis=1)
    place = np.where(count > 0, places[np.arange(len(places)), first], 0)
    return Runs(first, place, count, tap_step, place_step, period, advance)


def stretches(runs: Runs, most: int) -> list[tuple[int, int]]:
    """Return stretches (start, count) of positions, a period apart, with the same taps; at most `most` in each.

    >>> stretches(forward_runs(6, 3, 1, 1, 1, (0, 6)), 14)
    [(0, 1), (1, 4), (5, 1)]
    """
    found = []
    for phase in range(min(runs.period, len(runs.first))):
        positions = np.arange(phase, len(runs.first), runs.period)
        changes = (np.diff(runs.first[positions]) != 0) | (np.diff(runs.taps[positions]) != 0)
        bounds = [0, *(np.flatnonzero(changes) + 1).tolist(), len(positions)]
        for begin, end in pairwise(bounds):
            block = even_blocks(end - begin, most)
            found += [(int(positions[i]), min(block, end - i)) for i in range(begin, end, block)]
    return sorted(found)


class Phase(NamedTuple):
    """Positions of a data gradient, along one axis, that read delta with the same taps, and how they do."""

    start: int
    """The first position; the others follow a stride apart."""
    positions: int
    taps: int
    """The number of taps, which may be 0."""
    first: int
    """The first tap; the others follow in steps."""
    place: int
    """Where the window of the first position begins in delta; it belongs to the last tap."""


class Phases(NamedTuple):
    """The data gradient along one axis: for each remainder of the position by the stride, a convolution of delta."""

    phases: list[Phase]
    tap_step: int
    dilation: int
    """From one place of a window to the next."""


def phases(size: int, kernel_size: int, stride: int, dilation: int, before: int) -> Phases:
    """Split the positions of a data gradient by their remainder.

    >>> found = phases(5, 3, 2, 1, 1)
    >>> [(phase.start, phase.positions, phase.taps, phase.first, phase.place) for phase in found.phases]
    [(0, 3, 1, 1, 0), (1, 2, 2, 0, 0)]
    """
    divisor = math.gcd(stride, dilation)
    step = stride // divisor
    found = []
    for start in range(min(stride, size)):
        count = -(-(size - start) // stride)
        shift = start + before
        first = next((tap for tap in range(min(step, kernel_size)) if (shift - tap * dilation) % stride == 0), None)
        if first is None:
            found.append(Phase(start, count, 0, 0, 0))
            continue
        taps = -(-(kernel_size - first) // step)
        place = (shift - (first + (taps - 1) * step) * dilation) // stride
        found.append(Phase(start, count, taps, first, place))
    return Phases(found, step, dilation // divisor)


class TileTables(NamedTuple):
    """How lane tiles traverse an image."""

    rows: Integers
    """(H, 4): offsets in x, w and y; kernel rows."""
    blocks: Integers
    """(blocks, 8): pixels of a row; offsets in x, w and y; kernel columns; the first of its taps; distances between
    pixels in x and in y."""
    taps: Integers
    """(taps, 2): offsets in x and w, kernel row after kernel row for each block."""


def tile_tables(
    rows: Runs, columns: Runs, pixels: int, x: tuple[int, int], w: tuple[int, int], y: tuple[int, int]
) -> TileTables:
    """Return the tables for tiles of at most `pixels`.

    `x`, `w` and `y` are the distances from one row and from one column to the next.
    """
    row_table = np.stack([rows.place * x[0], rows.first * w[0], np.arange(len(rows.first)) * y[0], rows.taps], axis=1)
    blocks: list[list[int]] = []
    first_tap: dict[int, int] = {}
    taps = [np.zeros((0, 2), np.int64)]
    kernel_rows = np.arange(rows.taps.max(initial=0))[:, None]
    for start, count in stretches(columns, pixels):
        place, first, cells = (int(array[start]) for array in (columns.place, columns.first, columns.taps))
        if cells not in first_tap:
            first_tap[cells] = sum(len(some) for some in taps)
            v = np.arange(cells)
            x_at = kernel_rows * (rows.place_step * x[0]) + v * (columns.place_step * x[1])
            w_at = kernel_rows * (rows.tap_step * w[0]) + v * (columns.tap_step * w[1])
            taps.append(np.stack([x_at.reshape(-1), w_at.reshape(-1)], axis=1))
        distances = columns.advance * x[1], columns.period * y[1]
        blocks.append([count, place * x[1], first * w[1], start * y[1], cells, first_tap[cells], *distances])
    return TileTables(_table(row_table, 4), _table(blocks, 8), _table(np.concatenate(taps), 2))


class GatherTables(NamedTuple):
    """How lane gathers traverse an image and its delta."""

    lots: Integers
    """(lots, 5): offsets in x, delta and the sums; rows of delta; kernel rows."""
    blocks: Integers
    """(blocks, 13): offsets in x, delta and the sums; kernel columns; the numbers of `gather_strides`."""


def gather_tables(
    rows: Runs,
    columns: Runs,
    taps: tuple[int, int],
    most: int,
    x: tuple[int, int],
    delta: tuple[int, int],
    sums: tuple[int, int],
) -> GatherTables:
    """Return the tables for gathers of at most `taps` kernel rows and columns, and `most` rows of delta.

    `x`, `delta` and `sums` are the distances from one row and from one column to the next.
    """
    lots, blocks = [], []
    for start, count in stretches(rows, most):
        for u in range(0, int(rows.taps[start]), taps[0]):
            x_at = (rows.place[start] + u * rows.place_step) * x[0]
            kernel_rows = min(taps[0], rows.taps[start] - u)
            lots.append([x_at, start * delta[0], (rows.first[start] + u) * sums[0], count, kernel_rows])
    for start, count in stretches(columns, len(columns.first)):
        strides = (
            *(count, rows.advance * x[0], columns.advance * x[1], *delta),
            *(rows.place_step * x[0], columns.place_step * x[1], *sums),
        )
        for v in range(0, int(columns.taps[start]), taps[1]):
            x_at = (columns.place[start] + v * columns.place_step) * x[1]
            kernel_columns = min(taps[1], columns.taps[start] - v)
            sums_at = (columns.first[start] + v) * sums[1]
            blocks.append([x_at, start * delta[1], sums_at, kernel_columns, *strides])
    return GatherTables(_table(lots, 5), _table(blocks, 13))


def _table(rows: Any, width: int) -> Integers:
    return np.array(rows, np.int64).reshape(-1, width)
