"""The calls of both gradients of a convolution behind which adjacent windows are pooled: they visit only the winners.

Winners are visited window by window, for the weight gradient of short kernel rows and for the data gradient of few
weights; otherwise they are listed by filter, and both gradients read the lists.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from rot180.kernels.call import Call, packed
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.frame_tile import MOST_ROWS as MOST_FRAME_ROWS
from rot180.kernels.frame_tile import frame_steps, frame_tile_address, most_columns
from rot180.kernels.memory import aligned
from rot180.kernels.pack import frame_weights, pack_rows, unpack_rows
from rot180.kernels.pooled_calls import PooledConvolution
from rot180.kernels.tile import even_blocks
from rot180.kernels.walk import block_shape, gather_address, scatter_address
from rot180.kernels.winner_tile import (
    MOST_ROWS,
    filters_at_a_time,
    row_length,
    table_of_places,
    window_steps,
    winner_tile_address,
)
from rot180.kernels.winners import gather_windows, gather_winners, list_winners, scatter_winners, spread_windows
from rot180.ops.types import Array

CACHED_BAND = 1 << 15
"""Bytes of padded image that a band of winners touches: two thirds of the first-level cache."""
PARTS = 8
"""The most parts of a batch over which sums without lists are made, for as many threads."""
CACHED_FRAMES = 1 << 15
"""Bytes of weights that stay in the first-level cache while the filters' winners in a window are visited."""
CACHED_PART = 1 << 22
"""Bytes of padded images and lists that are still in some cache when they are read again: a part of the batch."""


class ListedPart(NamedTuple):
    """The calls for some images of a batch, in the order in which they have to run."""

    images: slice
    listing: Call
    weight_gradient: Call
    data_gradient: Call | None


class WinnerGradients:
    """Gradients of a convolution of a batch, with max pooling.

    Parameters
    ----------
    calls : PooledConvolution
    x : FeatureMap
        The convolution's input, as in the forward pass.
    winners : (N, rows, columns, F) uint8
        The places of maxima in the pooled windows, or CLOSED.
    window : (int, int)
        Rows and columns of a pooling window.
    """

    def __init__(self, calls: PooledConvolution, x: FeatureMap, winners: Array, window: tuple[int, int]) -> None:
        self.calls, self.x, self.winners, self.window = calls, x, winners, window
        self.w, self.g, self.dtype = calls.w, calls.g, calls.w.dtype

    @property
    def needs_lists(self) -> bool:
        """Whether the weight gradient reads lists."""
        return not self._row_length

    @property
    def delta_size(self) -> tuple[int, int, int, int]:
        """The size of a buffer for the input's delta: that of the input's, with rows between the images.

        Only zeros are added below the last kernel row of an image, but two threads must not add to the same place.
        """
        count, height, width, channels = self.x.array.shape
        return count, height - (-self.calls.lanes // (width * channels)), width, channels

    def weight_gradient_by_window(self, dy: FeatureMap, dw: Array, db: Array) -> Call:
        """Return the call that computes the gradients of weight and bias without lists."""
        g, length = self.g, self._row_length
        KH, _, C, F = self.w.shape
        height, width = self.winners.shape[1:3]
        line = self.x.array.shape[2] * C
        window = self.window[0] * g.stride[0] * line, self.window[1] * g.stride[1] * C
        band = max(1, CACHED_BAND // (window[0] * self.dtype.itemsize + width * F * (self.dtype.itemsize + 1)))
        steps = window_steps(
            row=g.dilation[0] * line, window=window, delta=(dy.array.shape[2] * F, F), winners=width * F
        )
        sizes = packed((*dy.place, self._first_window(self.x), even_blocks(height, band), filters_at_a_time(KH)))
        sums = self.calls.scratch((min(PARTS, self.calls.count), F, KH + 1, length))
        address, places = winner_tile_address(length, self.dtype), table_of_places(self._offsets())
        maps = self.x.array, dy.array, self.winners
        return Call(gather_windows, (address, *maps, places, sums, dw, db, steps, sizes))

    def data_gradient_by_window(self, dy: FeatureMap, dx: FeatureMap) -> tuple[Call, Call] | None:
        """Return the calls that pack the weights and compute dx without lists.

        None if the weights, with zeros around them for all places in a window, are too many for the cache.
        """
        g = self.g
        KH, KW, C, F = self.w.shape
        (ph, pw), (stride_h, stride_w) = self.window, g.stride
        top, left = (ph - 1) * stride_h, (pw - 1) * stride_w * C
        lanes = self.calls.lanes
        rows, registers = top + KH, -(-(left + KW * C) // lanes)
        shape = F * rows + top, left + registers * lanes  # the zeros below a filter are those above the next
        if rows > MOST_FRAME_ROWS or g.dilation[0] > 1 or math.prod(shape) * self.dtype.itemsize > CACHED_FRAMES:
            return None
        framed = aligned(shape, self.dtype)  # zeros around the weights
        line = dx.array.shape[2] * C
        steps = frame_steps(row=line, window=pw * stride_w * C, filters=F, framed=(rows * shape[1], shape[1]))
        held = even_blocks(registers, most_columns(rows))
        sizes = packed((*dy.place, self._first_window(dx), ph * stride_h * line, rows, registers, held))
        places = table_of_places(
            [top * shape[1] + left - (r * stride_h * shape[1] + c * stride_w * C) for r in range(ph) for c in range(pw)]
        )
        tile = frame_tile_address(self.dtype)
        spread = Call(spread_windows, (tile, framed, dy.array, self.winners, places, dx.array, steps, sizes))
        return Call(frame_weights, (self.w, framed, top, left)), spread

    def from_lists(
        self, dy: FeatureMap, dw: Array, db: Array, dx: FeatureMap | None
    ) -> tuple[Call | None, list[ListedPart], Call]:
        """Return the call that packs the weights, those of each part of the batch, and the one that orders dw.

        Without dx, there is no data gradient, and no weights are packed.
        """
        g, x = self.g, self.x
        KH, KW, C, F = self.w.shape
        count, threads, scratch = self.calls.count, self.calls.threads, self.calls.scratch
        (ph, pw), (height, width) = self.window, self.winners.shape[1:3]
        line, lanes = x.array.shape[2] * C, self.calls.lanes
        # Bands of pooled rows whose part of the image stays in the first-level cache.
        reach = (g.dilation[0] * (KH - 1)) // (ph * g.stride[0])
        rows = max(1, CACHED_BAND // (x.array[0, 0].nbytes * ph * g.stride[0]) - reach)
        bands = -(-height // min(rows, height))
        rows = -(-height // bands)
        listed = bands * F * rows * width * (x.array.itemsize + 4)
        part = even_blocks(count, max(1, CACHED_PART // (listed + x.array[0].nbytes)))
        # Small images are listed several together, if they stay in the cache and the cores have enough of them.
        group = max(1, min(CACHED_BAND // (2 * x.array[0].nbytes), part // (4 * threads)))
        shape = (-(-part // group), bands, F)
        most = group * rows * width
        offsets, values = scratch((*shape, most), np.int32), scratch((*shape, most))
        counts = scratch(shape, np.uint32)
        shifts = np.zeros(256, np.int32)
        shifts[: ph * pw] = self._offsets()
        steps = ph * g.stride[0] * line, pw * g.stride[1] * C, x.array[0].size
        listing = shifts, packed((*dy.place, *steps, group, rows))
        registers = -(-KW * C // lanes)
        r, j = block_shape(KH, registers)
        walks = (g.dilation[0] * line, self._first_window(x), r, j, registers, KH, group, min(F, 4 * threads))
        rows_of_dw = scratch((F, KH, registers * lanes))
        weights = None if dx is None else aligned(rows_of_dw.shape, self.dtype)  # zeros after the end of a kernel row
        parts = []
        for first in range(0, count, part):
            some = slice(first, min(first + part, count))
            lists = tuple(one[: -(-(some.stop - first) // group)] for one in (offsets, values, counts))
            sizes = packed((*walks, min(first, 1)))
            gather = gather_address(self.dtype), x.array[some], *lists, rows_of_dw, db, sizes
            scatter = None
            if dx is not None:
                scatter = Call(scatter_winners, (scatter_address(self.dtype), weights, *lists, dx.array[some], sizes))
            listed_winners = Call(list_winners, (dy.array[some], self.winners[some], *lists, *listing))
            parts.append(ListedPart(some, listed_winners, Call(gather_winners, gather), scatter))
        pack = None if weights is None else Call(pack_rows, (self.w, weights))
        return pack, parts, Call(unpack_rows, (rows_of_dw, dw))

    @property
    def _row_length(self) -> int:
        """How many lanes hold a kernel row whose sums are made without lists; 0 if there have to be lists."""
        KH, KW, C, _ = self.w.shape
        return row_length(KW * C, self.dtype) if KH <= MOST_ROWS else 0

    def _first_window(self, x: FeatureMap) -> int:
        """Return the offset of the first window in an image of the buffer of x."""
        row, column = self.calls.first_window(x)
        return (row * x.array.shape[2] + column) * x.array.shape[3]

    def _offsets(self) -> list[int]:
        """Return, by place in a pooling window, the offset of that place in the padded image."""
        width, C = self.x.array.shape[2:]
        (stride_h, stride_w), (ph, pw) = self.g.stride, self.window
        return [(r * stride_h * width + c * stride_w) * C for r in range(ph) for c in range(pw)]
