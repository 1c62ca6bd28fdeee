"""The calls of a convolution's kernels: packed weights, sizes and strides.

The engine's stages and the twins make the same calls; the former into buffers that they reuse, the latter once.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from rot180.kernels.call import Call, Scratch, packed
from rot180.kernels.convolution import Sizes, convolve
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.finishing import ADDED, ALONE, GATED, Finish, biased
from rot180.kernels.folding import FoldSizes, fold_data_gradient, pack_kernel_rows
from rot180.kernels.memory import aligned
from rot180.kernels.pack import add_up, pack_folded, pack_panels, pack_rotated
from rot180.kernels.product_tile import product_strides, product_tile_address
from rot180.kernels.simd import lane_count_of
from rot180.kernels.taps import Phase, Phases, phases
from rot180.kernels.tile import TILE_VECTORS, even_blocks, tile_address, tile_strides
from rot180.kernels.weight_gradient import MOST_PARTS, CorrelationSizes, bias_gradient, correlate, lot, parts_of
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array

UNITS = 16
"""The least number of runs that the rows of a batch are divided into, if possible: enough for as many cores."""
CACHED_RUN = 1 << 18
"""The most bytes of images that one run of rows reads: together with the kernels they fit the second-level cache."""
CACHED_WEIGHTS = 1 << 19
"""Bytes of weights beyond which they do not stay in the second-level cache from one run to the next."""
LARGE_WEIGHTS = 6 << 20
"""Bytes of weights beyond which even one image is worth packing them: a block of filters in place is a few bytes from
each of many pages, and does not stay in the cache from one row of the output to the next."""
FEW_CHANNELS = 9
"""With fewer channels, the data gradient is folded from kernel rows: dx's channels would half fill a register."""


class Operand(NamedTuple):
    """Weights as the convolution kernels read them."""

    array: Array
    row: int
    """The distance from one cell of the window to the next, in elements."""
    blocks: tuple[int, int, int]
    """The number of groups, and the distances between groups and between blocks of filters, in elements."""
    pack: Call | None
    """The call that puts the weights there."""


class Convolution:
    """One convolution of a batch, forward and backward.

    Parameters
    ----------
    w : (KH, KW, C/groups, F)
    g : Geometry
    groups : int
    count : int
        Images of the batch.
    threads : int
        The most threads that the kernels may use.
    scratch : Scratch
        Provides memory for the calls.
    """

    def __init__(self, w: Array, g: Geometry, groups: int, *, count: int, threads: int, scratch: Scratch) -> None:
        self.w, self.g, self.groups = w, g, groups
        self.count, self.threads, self.scratch = count, threads, scratch
        self.address = tile_address(w.dtype)
        self.lanes = lane_count_of(w.dtype)
        self.width = TILE_VECTORS * self.lanes
        self.channels, self.filters = w.shape[2] * groups, w.shape[3]
        self.merged = g.dilation[1] == 1 and groups == 1
        """Whether the columns and channels of a kernel row are contiguous in the image."""
        self.folds = self.merged and g.stride[0] == 1 and self.channels < FEW_CHANNELS
        """Whether the data gradient is folded from kernel rows; otherwise it is a convolution of padded delta."""

    def first_window(self, x: FeatureMap) -> tuple[int, int]:
        """Return the row and column of the buffer of x where the first window begins."""
        (top, _), (left, _) = self.g.padding
        return x.top - top, x.left - left

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one pass over the batch, counted densely."""
        return self.count * self.g.out_height * self.g.out_width * self.w.size

    def forward(
        self, x: FeatureMap, y: FeatureMap, finish: Finish, *, weights_in_place: bool = False
    ) -> tuple[Operand, Call, int]:
        """Return the packed weights, the call that computes y, and how many pixels share a register.

        Around x there must be zeros, as many as the windows need. With `weights_in_place`, there is room for a register
        after their end, and they are packed only if they are large.
        """
        g = self.g
        KH, KW, Cg, F = self.w.shape
        fold = self.fold
        if fold > 1:
            KW += (fold - 1) * g.stride[1]
            operand, finish = self._folded(fold, g.stride[1], finish)
        else:
            operand = self.operand(weights_in_place and self.w.nbytes <= LARGE_WEIGHTS)
        columns = g.out_width // fold
        other = finish.added or y
        sizes = Sizes(
            kernel_rows=KH,
            rows=g.out_height,
            columns=columns,
            stride_h=g.stride[0],
            stride_w=fold * g.stride[1],
            first_row=self.first_window(x)[0],
            first_column=self.first_window(x)[1],
            top=y.top,
            left=y.left,
            other_top=other.top,
            other_left=other.left,
            run=self.run(self.count * g.out_height, g.stride[0], x),
            block=even_blocks(columns),
            dilation=g.dilation[0],
            real=x.top,
            beyond=x.top + x.height,
            fold=fold,
            groups=operand.blocks[0],
            group_step=operand.blocks[1],
            block_step=operand.blocks[2],
        )
        how = ADDED if finish.added else ALONE
        strides = self._product_strides(x, KW, Cg, fold * g.stride[1], operand.row, fold * F)
        call = (
            product_tile_address(self.w.dtype), x.array, operand.array, finish.scale, finish.shift, finish.bounds,
            other.array, y.array, how, strides, packed(sizes),
        )  # fmt: skip
        return operand, Call(convolve, call), fold

    @property
    def fold(self) -> int:
        """How many neighboring pixels share a register, so that few filters fill it."""
        return self._fold_of(self.g.out_width, self.g.stride[1])

    def _fold_of(self, columns: int, step: int) -> int:
        """Return how many neighbors, whose windows are `step` pixels apart, share a register."""
        if not self.merged or self.filters * 2 > self.lanes:
            return 1
        # Each additional one widens the window by a step: worth it while the register fills faster than that.
        widths = (q for q in range(1, self.lanes // self.filters + 1) if columns % q == 0)
        return min(widths, key=lambda q: (self.g.kernel[1] + (q - 1) * step) / q)

    def _folded(self, fold: int, step: int, finish: Finish) -> tuple[Operand, Finish]:
        """Return weights, scale and shift for so many neighbors that share a register."""
        KH, KW, C, F = self.w.shape
        wide = KW + (fold - 1) * step
        # What belongs to no weight is not written, and stays zero.
        panels = aligned((1, -(-fold * F // self.width), KH * wide * C, self.width), self.w.dtype)
        scale, shift = aligned((fold * F,), self.w.dtype), aligned((fold * F,), self.w.dtype)
        pack = Call(pack_folded, (self.w, finish.scale, finish.shift, fold, step, panels, scale, shift))
        return self._packed(panels, pack), finish._replace(scale=scale, shift=shift)

    def operand(self, in_place: bool = False) -> Operand:
        """Return the weights as the forward kernels read them: packed, or where they are."""
        KH, KW, Cg, F = self.w.shape
        if in_place:
            return Operand(self.w, F, (self.groups, F // self.groups, self.width), None)
        panels = self._panels(F // self.groups, KH * KW * Cg)
        return self._packed(panels, Call(pack_panels, (self.w, panels)))

    def _panels(self, columns: int, rows: int) -> Array:
        return self.scratch((self.groups, -(-columns // self.width), rows, self.width))

    def _packed(self, panels: Array, pack: Call) -> Operand:
        groups, blocks, cells, width = panels.shape
        return Operand(panels, width, (groups, blocks * cells * width, cells * width), pack)

    def _strides(self, x: FeatureMap, b_row: int) -> Array:
        """Return how a tile traverses a window: kernel rows, then columns and channels, in one run if possible."""
        _, KW, C, _ = self.w.shape
        window = self._window(x, KW, C, b_row, self.g.dilation)
        return tile_strides(*window, a_row=self.g.stride[1] * x.array.shape[3], c_row=self.width)

    def _product_strides(
        self,
        x: FeatureMap,
        KW: int,
        depth: int,
        step: int,
        b_row: int,
        to: int,
        dilation: tuple[int, int] | None = None,
    ) -> Array:
        """Return the same for tiles that finish their sums, where pixels of the output are `to` elements apart."""
        window = self._window(x, KW, depth, b_row, dilation or self.g.dilation)
        return product_strides(*window, pixels=(step * x.array.shape[3], to, to))

    def _window(
        self, x: FeatureMap, KW: int, depth: int, b_row: int, dilation: tuple[int, int]
    ) -> tuple[tuple[int, int], tuple[int, int, int], tuple[int, int, int]]:
        """Return (I, K) of a tile, and its steps in x and in the weights."""
        Wp, C = x.array.shape[2:]
        row, column = dilation[0] * Wp * C, dilation[1] * C
        if dilation[1] == 1 and self.groups == 1:
            return (1, KW * depth), (row, 0, 1), (KW * depth * b_row, 0, b_row)
        return (KW, depth), (row, column, 1), (KW * depth * b_row, depth * b_row, b_row)

    def run(self, rows: int, step: int, x: FeatureMap) -> int:
        """Return the number of output rows in one unit of work."""
        row_bytes = step * math.prod(x.array.shape[2:]) * x.array.itemsize
        # Each run reads all the weights again.
        runs = UNITS if self.w.nbytes <= CACHED_WEIGHTS else -(-UNITS * self.width // self.filters)
        return int(max(1, min(-(-rows // runs), CACHED_RUN // max(1, row_bytes))))

    def weight_gradient(self, x: FeatureMap, delta: FeatureMap, dw: Array) -> tuple[Call, Call | None]:
        """Return the call that correlates x with delta, and the one that adds up the parts in dw, if any.

        There must be room for a register after the end of delta. The sums are in whole registers of filters, or of
        filters times pixels.
        """
        g, groups = self.g, self.groups
        KH, KW, Cg, F = self.w.shape
        Fg, fold = F // groups, self.fold
        padded = -(-fold * Fg // self.lanes) * self.lanes
        window = KW + (fold - 1) * g.stride[1]
        rows = KH * window * Cg
        runs, length, per_row = (KH, window * Cg, 1) if self.merged else (KH * KW, Cg, KW)
        image_bytes = max(1, (x.array.nbytes + delta.array.nbytes) // max(1, self.count))
        together, band = lot(self.count, g.out_height, g.out_width, image_bytes)
        lots = self.count // together * -(-g.out_height // band)
        parts = parts_of(lots, rows * groups * padded * dw.itemsize)
        whole = padded == Fg and parts == 1
        sums = dw.reshape(1, rows, F) if whole else self.scratch((parts, rows, groups * padded))
        Wp, C = x.array.shape[2:]
        strides = tile_strides(
            (together, g.out_width // fold),
            (g.stride[0] * Wp * C, math.prod(x.array.shape[1:]), fold * g.stride[1] * C),
            (delta.array.shape[2] * F, math.prod(delta.array.shape[1:]), fold * F),
            a_row=1,
            c_row=sums.shape[2],
        )
        block = even_blocks(length)
        tiles = groups * runs * -(-length // block) * -(-padded // self.width)
        sizes = CorrelationSizes(
            runs=runs,
            length=length,
            per_row=per_row,
            dilation_h=g.dilation[0],
            dilation_w=g.dilation[1],
            first_row=self.first_window(x)[0],
            first_column=self.first_window(x)[1],
            top=delta.top,
            left=delta.left,
            groups=groups,
            block=block,
            together=together,
            units=min(tiles, self.threads),
            rows=g.out_height,
            stride=g.stride[0],
            real=x.top,
            beyond=x.top + x.height,
            band=band,
        )
        correlation = Call(correlate, (self.address, x.array, delta.array, sums, strides, packed(sizes)))
        if whole:
            return correlation, None
        return correlation, Call(add_up, (sums, fold, g.stride[1], groups, dw))

    def bias_gradient(self, delta: FeatureMap, db: Array) -> Call:
        """Return the call that adds up delta; there must be room for a register after its end."""
        sums = self.scratch((max(1, min(MOST_PARTS, self.count)), -(-self.filters // self.lanes) * self.lanes))
        sizes = packed((*delta.place, self.g.out_height, self.g.out_width, 1, 1))
        return Call(bias_gradient, (delta.array, sums, db, sizes))

    def _phases(self) -> tuple[Phases, Phases]:
        g = self.g
        rows, columns = (
            phases(*axis)
            for axis in zip((g.height, g.width), g.kernel, g.stride, g.dilation, (p for p, _ in g.padding), strict=True)
        )
        return rows, columns

    def delta_room(self) -> tuple[int, int]:
        """Return the columns of zeros before and after delta that the windows of `data_gradient` cover."""
        columns = self._phases()[1]
        first = min((phase.place for phase in columns.phases if phase.taps), default=0)
        ends = (p.place + (p.taps - 1) * columns.dilation + p.positions for p in columns.phases if p.taps)
        return max(0, -first), max(0, max(ends, default=0) - self.g.out_width)

    def data_gradient(
        self, delta: FeatureMap, dx: FeatureMap, gate: FeatureMap | None = None
    ) -> tuple[Call, list[tuple[Call, int]]]:
        """Return the call that packs the weights, and those that compute dx, each with its multiply-adds.

        Pixels of dx with the same remainders by the stride are a convolution of delta, in its `delta_room`, with some
        of the taps, in reverse order and with the channel axes exchanged. `gate` is as for `convolve`.
        """
        KH, KW, Cg, F = self.w.shape
        rows, columns = self._phases()
        panels = self._panels(Cg, KH * KW * (F // self.groups))
        cells: list[tuple[int, int]] = []
        found = []
        for row in rows.phases:
            for column in columns.phases:
                call = self._phase(delta, dx, gate, panels, len(cells), row, column, (rows.dilation, columns.dilation))
                found.append((call, self.multiply_adds * row.taps * column.taps // (KH * KW)))
                cells += [
                    (row.first + u * rows.tap_step, column.first + v * columns.tap_step)
                    for u in reversed(range(row.taps))
                    for v in reversed(range(column.taps))
                ]
        order = np.array(cells, np.int64).reshape(-1, 2)
        return Call(pack_rotated, (self.w, order, panels)), found

    def _phase(
        self,
        delta: FeatureMap,
        dx: FeatureMap,
        gate: FeatureMap | None,
        panels: Array,
        first_cell: int,
        row: Phase,
        column: Phase,
        dilation: tuple[int, int],
    ) -> Call:
        """The convolution that computes one phase of dx, whose weights begin at `first_cell` of the panels."""
        depth = self.filters // self.groups
        groups, blocks, cells, width = panels.shape
        other, plain = gate or dx, biased(np.zeros(self.channels, dx.array.dtype))
        sizes = Sizes(
            kernel_rows=row.taps,
            rows=row.positions,
            columns=column.positions,
            first_row=delta.top + row.place,
            first_column=delta.left + column.place,
            top=dx.top + row.start,
            left=dx.left + column.start,
            step_h=self.g.stride[0],
            step_w=self.g.stride[1],
            other_top=other.top + row.start,
            other_left=other.left + column.start,
            run=self.run(self.count * row.positions, 1, delta),
            block=even_blocks(column.positions),
            dilation=dilation[0],
            real=delta.top,
            beyond=delta.top + delta.height,
            groups=groups,
            group_step=blocks * cells * width,
            block_step=cells * width,
            w_first=first_cell * depth * width,
        )
        to = self.g.stride[1] * self.channels
        strides = self._product_strides(delta, column.taps, depth, 1, width, to, dilation)
        call = (
            product_tile_address(self.w.dtype), delta.array, panels, plain.scale, plain.shift, plain.bounds,
            other.array, dx.array, GATED if gate else ALONE, strides, packed(sizes),
        )  # fmt: skip
        return Call(convolve, call)

    def folded_data_gradient(self, delta: FeatureMap, dx: FeatureMap) -> tuple[Call, Call]:
        """Return the calls that pack the weights and compute dx over few channels, for delta in any buffer."""
        g, w = self.g, self.w
        KH, KW, C, F = w.shape
        blocks = -(-KW * C // self.width)
        panels = aligned((blocks, KH, F, self.width), w.dtype)  # zeros that are not written
        piece = blocks * self.width + 2 * self.lanes
        scratch = aligned((self.threads, g.out_width * piece), w.dtype)  # zeros between the pieces
        back = -g.dilation[0] * delta.array.shape[2] * F
        strides = tile_strides((1, F), (back, 0, 1), (F * self.width, 0, self.width), a_row=F, c_row=piece)
        sizes = FoldSizes(
            top=delta.top,
            left=delta.left,
            OH=g.out_height,
            OW=g.out_width,
            stride_w=g.stride[1],
            dilation_h=g.dilation[0],
            block=even_blocks(g.out_width),
            length=KW * C,
            H=g.height,
            W=g.width,
            pad_top=g.padding[0][0],
            pad_left=g.padding[1][0],
            dx_top=dx.top,
            dx_left=dx.left,
        )
        call = (self.address, delta.array, panels, dx.array, scratch, strides, packed(sizes))
        return Call(pack_kernel_rows, (w, panels)), Call(fold_data_gradient, call)
