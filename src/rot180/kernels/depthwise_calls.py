"""The calls of a depthwise convolution's kernels: tables, sizes, and division of the work.

The engine's stages and the twins make the same calls.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rot180.kernels.call import Call, Scratch, packed
from rot180.kernels.depthwise import DepthwiseSizes, GatherSizes, depthwise, depthwise_weight_gradient
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.finishing import Finish, biased
from rot180.kernels.lane_tile import gather_block, lane_block, lane_gather_address, lane_tile_address
from rot180.kernels.pack import add_up
from rot180.kernels.simd import lane_count_of
from rot180.kernels.taps import Runs, backward_runs, forward_runs, gather_tables, tile_tables
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array

UNITS = 16
"""The least number of units of work, if possible: enough for as many cores."""
CACHED_LOT = 1 << 18
"""The most bytes of images and delta that a lot of the weight gradient reads."""
CACHED_BATCH = 1 << 20
"""Bytes of a batch and its output beyond which rows are prefetched: they come from memory."""


class Room(NamedTuple):
    """Rows or columns of zeros before and after a map that its reader would use."""

    before: int
    after: int


class Depthwise:
    """A depthwise convolution of a batch, forward and backward.

    Parameters
    ----------
    w : (KH, KW, 1, C)
        With room for a register after the end.
    g : Geometry
    scratch : Scratch
        Provides memory for the calls.
    """

    def __init__(self, w: Array, g: Geometry, *, scratch: Scratch) -> None:
        self.w, self.g, self.scratch = w, g, scratch
        self.channels = w.shape[3]
        self.lanes = lane_count_of(w.dtype)
        self.registers = -(-self.channels // self.lanes)

    def forward(self, x: FeatureMap, y: FeatureMap, finish: Finish) -> Call:
        """Return the call that computes y from x, whose padding must be zero; nothing is added to it."""
        rows, columns = self._forward_runs(x)
        return self._tiles(x, rows, columns, y, finish)

    def data_gradient(self, delta: FeatureMap, dx: FeatureMap, *, zeros_around: bool = False) -> Call:
        """Return the call that computes dx; `zeros_around` promises that delta's padding is zero."""
        padding = _padding(delta) if zeros_around else (Room(0, 0), Room(0, 0))
        rows, columns = (
            backward_runs(*self._axis(axis, backward=True), _inside(self._out(axis), padding[axis])) for axis in (0, 1)
        )
        return self._tiles(delta, rows, columns, dx, biased(np.zeros(self.channels, self.w.dtype)))

    def delta_room(self) -> Room:
        """Return the columns of zeros on both sides of delta that let all pixels of dx be computed alike."""
        size, out = self.g.width, self.g.out_width
        runs = backward_runs(*self._axis(1, backward=True), (-size - out, size + out))
        last = runs.place + (runs.taps - 1) * runs.place_step
        counts = runs.taps > 0
        return Room(max(0, -int(last[counts].min(initial=0))), max(0, int(runs.place[counts].max(initial=0)) - out + 1))

    def weight_gradient(self, x: FeatureMap, delta: FeatureMap, dw: Array) -> tuple[Call, Call]:
        """Return the calls that correlate x with delta and add up the parts in dw (KH, KW, 1, C).

        There must be room for a register after the end of x and of delta, and x's padding must be zero.
        """
        KH, KW, _, C = self.w.shape
        rows, columns = self._forward_runs(x)
        padded = self.registers * self.lanes
        lots = len(x.array) * -(-self.g.out_height // self._rows_of_a_lot(x))
        sums = self.scratch((min(UNITS, max(1, lots)), KH * KW, padded))
        Wp, Wd = x.array.shape[2], delta.array.shape[2]
        tables = gather_tables(
            rows, columns, gather_block(self.g.kernel), self._rows_of_a_lot(x),
            (Wp * C, C), (Wd * C, C), (KW * padded, padded),
        )  # fmt: skip
        fetched = (0, 0)
        if _is_large(x, delta):
            count = int(tables.lots[:, 3].max(initial=0))
            fetched = (count * self.g.stride[0] * Wp * C, count * Wd * C)
        sizes = GatherSizes(_first(x), _first(delta), *fetched)
        gather = (lane_gather_address(dw.dtype), x.array, delta.array, sums, *tables, packed(sizes))
        return Call(depthwise_weight_gradient, gather), Call(add_up, (sums, 1, 1, 1, dw))

    def _rows_of_a_lot(self, x: FeatureMap) -> int:
        row = (self.g.stride[0] * x.array.shape[2] + self.g.out_width) * self.channels * x.array.itemsize
        return max(1, min(self.g.out_height, CACHED_LOT // row))

    def _forward_runs(self, x: FeatureMap) -> tuple[Runs, Runs]:
        # Rows of padding are left out; columns of padding are read where they exist, so that all pixels are alike.
        insides = _inside(self.g.height, Room(0, 0)), _inside(self.g.width, _padding(x)[1])
        rows, columns = (forward_runs(*self._axis(axis), insides[axis]) for axis in (0, 1))
        return rows, columns

    def _out(self, axis: int) -> int:
        return (self.g.out_height, self.g.out_width)[axis]

    def _axis(self, axis: int, backward: bool = False) -> tuple[int, int, int, int, int]:
        g = self.g
        positions = (g.height, g.width)[axis] if backward else self._out(axis)
        return positions, g.kernel[axis], g.stride[axis], g.dilation[axis], g.padding[axis][0]

    def _tiles(self, x: FeatureMap, rows: Runs, columns: Runs, y: FeatureMap, finish: Finish) -> Call:
        _, KW, _, C = self.w.shape
        dtype = self.w.dtype
        pixels, vectors = lane_block(self.registers)
        tables = tile_tables(rows, columns, pixels, (x.array.shape[2] * C, C), (KW * C, C), (y.array.shape[2] * C, C))
        run = max(1, min(y.height, -(-len(y.array) * y.height // UNITS)))
        sizes = DepthwiseSizes(_first(x), _first(y), run, vectors, int(_is_large(x, y)))
        numbers = finish.scale, finish.shift, finish.bounds
        call = (lane_tile_address(dtype), x.array, self.w, *numbers, y.array, *tables, packed(sizes))
        return Call(depthwise, call)


def _first(of: FeatureMap) -> int:
    """The offset of the first pixel."""
    return (of.top * of.array.shape[2] + of.left) * of.array.shape[3]


def _padding(of: FeatureMap) -> tuple[Room, Room]:
    height, width = of.array.shape[1:3]
    return Room(of.top, height - of.top - of.height), Room(of.left, width - of.left - of.width)


def _inside(size: int, room: Room) -> tuple[int, int]:
    return -room.before, size + room.after


def _is_large(a: FeatureMap, b: FeatureMap) -> bool:
    return bool(a.array.nbytes + b.array.nbytes > CACHED_BATCH)
