"""A convolution fused with the max pooling that follows."""

from __future__ import annotations

import math

import numpy as np

from rot180.engine.stage import Context, Target, Value
from rot180.engine.stage_convolution import ConvolutionStage
from rot180.engine.step import Step
from rot180.kernels.call import Call, packed
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.frame_tile import MOST_ROWS as MOST_FRAME_ROWS
from rot180.kernels.frame_tile import frame_steps, frame_tile_address, most_columns
from rot180.kernels.memory import aligned
from rot180.kernels.normalization import fold
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
from rot180.nn.batch_norm import BatchNorm2d
from rot180.nn.conv2d import Conv2d
from rot180.nn.layer import Layer, Shape
from rot180.nn.pooling import MaxPool2d
from rot180.ops.types import Array

CACHED_BAND = 1 << 15
"""Bytes of padded image that a band of winners touches: two thirds of the first-level cache."""
PARTS = 8
"""The most parts of a batch over which sums without lists are made, for as many threads."""
CACHED_FRAMES = 1 << 15
"""Bytes of weights that stay in the first-level cache while the filters' winners in a window are visited."""
CACHED_PART = 1 << 22
"""Bytes of padded images and lists that are still in some cache when they are read again: a part of the batch."""


class PooledConvolutionStage(ConvolutionStage):
    """Conv2d, max pooling over adjacent windows, and ReLU before or after it.

    Delta reaches the convolution as lists of winners, and both gradients visit only these. All windows are visited for
    the weight gradient of a first layer with short kernel rows, and for the data gradient of a layer with few weights.
    """

    CALLS = PooledConvolution
    calls: PooledConvolution

    def __init__(
        self, layers: list[Layer], inputs: list[Value], output_shape: Shape, relu: bool, pool: MaxPool2d
    ) -> None:
        super().__init__(layers, inputs, output_shape, relu)
        self.pool = pool
        self.keeps_output = False  # winners say where delta passes
        self._folded: Array | None = None

    @property
    def weight(self) -> Array:
        """(KH, KW, C, F); with the normalization, if there is one: a negative scale would turn maxima into minima."""
        return super().weight if self._folded is None else self._folded

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Convolve and pool straight into the next stage's buffer."""
        (x,) = inputs
        bias = self.bias(context)
        if self.norm is not None:
            bias = self._fold(context, self.norm, bias)
        self.hold(context, x)
        self.winners = context.saved((context.count, y.height, y.width, self.weight.shape[3]), np.uint8)
        window = self.pool.kernel_size
        operand, convolve = self.calls.pooled(x, y, self.winners, bias, window, relu=self.relu)
        pack = [self.step("pack weights", operand.pack)] if operand.pack else []
        return [*pack, self.step("convolve and pool", convolve, multiplies=True)]

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """List the winners from delta, wherever it is, then process the lists; a large batch part by part."""
        (dx,) = targets
        if dx is None and (length := self._row_length()):
            return [self.step("weight gradient from winners", self._gather(context, dy, length), multiplies=True)]
        g, x, w = self.geometry, self.x, self.weight
        KH, KW, C, F = w.shape
        ph, pw = self.pool.kernel_size
        height, width = self.winners.shape[1:3]
        Wp, lanes = x.array.shape[2], self.calls.lanes
        # Bands of pooled rows whose part of the image stays in the first-level cache.
        reach = (g.dilation[0] * (KH - 1)) // (ph * g.stride[0])
        rows = max(1, CACHED_BAND // (x.array[0, 0].nbytes * ph * g.stride[0]) - reach)
        bands = -(-height // min(rows, height))
        rows = -(-height // bands)
        listed = bands * F * rows * width * (x.array.itemsize + 4)
        part = even_blocks(context.count, max(1, CACHED_PART // (listed + x.array[0].nbytes)))
        # Small images are listed several together, if they stay in the cache and the cores have enough of them.
        group = max(1, min(CACHED_BAND // (2 * x.array[0].nbytes), part // (4 * context.threads)))
        shape = (-(-part // group), bands, F)
        most = group * rows * width
        offsets, values = context.scratch((*shape, most), np.int32), context.scratch((*shape, most))
        counts = context.scratch(shape, np.uint32)
        shifts = np.zeros(256, np.int32)
        shifts[: ph * pw] = self._offsets()
        listing = (
            shifts,
            packed((*dy.place, ph * g.stride[0] * Wp * C, pw * g.stride[1] * C, x.array[0].size, group, rows)),
        )
        registers = -(-KW * C // lanes)
        r, j = block_shape(KH, registers)
        row, column = self.calls.first_window(x)
        first_window = (row * Wp + column) * C
        walks = (g.dilation[0] * Wp * C, first_window, r, j, registers, KH, group, min(F, 4 * context.threads))
        rows_of_dw = context.scratch((F, KH, registers * lanes))
        dw = context.gradients[f"{self.conv.name}.weight"]
        db = context.gradients.get(f"{self.conv.name}.bias", np.zeros(F, context.dtype))
        steps = [] if dx is None else self._spread_by_window(context, dy, dx)
        spread = None
        if dx is not None and not steps:
            weights = aligned(rows_of_dw.shape, context.dtype)  # zeros beyond the end of a kernel row
            steps.append(self.step("pack weights by filter", Call(pack_rows, (w, weights))))
            spread = self._spread(context)
            dx.give(spread)
        for first in range(0, context.count, part):
            some = slice(first, min(first + part, context.count))
            images = x.array[some]
            lists = tuple(one[: -(-len(images) // group)] for one in (offsets, values, counts))
            sizes = packed((*walks, min(first, 1)))
            calls = {
                "list winners": Call(list_winners, (dy.array[some], self.winners[some], *lists, *listing)),
                "weight gradient from winners": Call(
                    gather_winners, (gather_address(context.dtype), images, *lists, rows_of_dw, db, sizes)
                ),
            }
            if spread is not None:
                scatter = (scatter_address(context.dtype), weights, *lists, spread.array[some], sizes)
                calls["data gradient from winners"] = Call(scatter_winners, scatter)
            steps += [self._of_images(does, call, some) for does, call in calls.items()]
        return [*steps, self.step("order weight gradient", Call(unpack_rows, (rows_of_dw, dw)))]

    def _row_length(self) -> int:
        """Return how many lanes hold a kernel row whose sums are made without lists; 0 if there have to be lists."""
        KH, KW, C, _ = self.weight.shape
        return row_length(KW * C, self.weight.dtype) if KH <= MOST_ROWS else 0

    def _gather(self, context: Context, dy: FeatureMap, length: int) -> Call:
        """Return the call that computes both gradients without lists."""
        g, x = self.geometry, self.x
        KH, _, C, F = self.weight.shape
        ph, pw = self.pool.kernel_size
        height, width = self.winners.shape[1:3]
        Wp = x.array.shape[2]
        row, column = self.calls.first_window(x)
        window = ph * g.stride[0] * Wp * C, pw * g.stride[1] * C
        band = max(1, CACHED_BAND // (window[0] * x.array.itemsize + width * F * (x.array.itemsize + 1)))
        steps = window_steps(
            row=g.dilation[0] * Wp * C, window=window, delta=(dy.array.shape[2] * F, F), winners=width * F
        )
        sizes = packed((*dy.place, (row * Wp + column) * C, even_blocks(height, band), filters_at_a_time(KH)))
        sums = context.scratch((min(PARTS, context.count), F, KH + 1, length))
        dw = context.gradients[f"{self.conv.name}.weight"]
        db = context.gradients.get(f"{self.conv.name}.bias", np.zeros(F, context.dtype))
        address, places = winner_tile_address(length, context.dtype), table_of_places(self._offsets())
        return Call(gather_windows, (address, x.array, dy.array, self.winners, places, sums, dw, db, steps, sizes))

    def _spread_by_window(self, context: Context, dy: FeatureMap, dx: Target) -> list[Step]:
        """Return the steps of a data gradient without lists; none if the framed weights are too many for the cache."""
        g = self.geometry
        KH, KW, C, F = self.weight.shape
        (ph, pw), (stride_h, stride_w) = self.pool.kernel_size, g.stride
        top, left = (ph - 1) * stride_h, (pw - 1) * stride_w * C
        lanes = self.calls.lanes
        rows, registers = top + KH, -(-(left + KW * C) // lanes)
        shape = F * rows + top, left + registers * lanes  # the zeros below a filter are those above the next
        if rows > MOST_FRAME_ROWS or g.dilation[0] > 1 or math.prod(shape) * context.dtype.itemsize > CACHED_FRAMES:
            return []
        framed = aligned(shape, context.dtype)  # zeros around the weights
        spread = self._spread(context)
        dx.give(spread)
        line = spread.array.shape[2] * C
        steps = frame_steps(row=line, window=pw * stride_w * C, filters=F, framed=(rows * shape[1], shape[1]))
        row, column = self.calls.first_window(self.x)
        held = even_blocks(registers, most_columns(rows))
        sizes = packed((*dy.place, row * line + column * C, ph * stride_h * line, rows, registers, held))
        places = table_of_places(
            [top * shape[1] + left - (r * stride_h * shape[1] + c * stride_w * C) for r in range(ph) for c in range(pw)]
        )
        tile = frame_tile_address(context.dtype)
        call = Call(spread_windows, (tile, framed, dy.array, self.winners, places, spread.array, steps, sizes))
        return [
            self.step("pack weights by filter", Call(frame_weights, (self.weight, framed, top, left))),
            self.step("data gradient from winners", call, multiplies=True),
        ]

    def _offsets(self) -> list[int]:
        """Return, by place in a pooling window, the offset of that place in the padded image."""
        Wp, C = self.x.array.shape[2:]
        (stride_h, stride_w), (ph, pw) = self.geometry.stride, self.pool.kernel_size
        return [(r * stride_h * Wp + c * stride_w) * C for r in range(ph) for c in range(pw)]

    def _of_images(self, does: str, call: Call, some: slice) -> Step:
        """Return a call for some images of the batch as a step."""
        share = self.calls.multiply_adds * (some.stop - some.start) // self.calls.count
        return Step(self.names, does, *call, 0 if call.kernel is list_winners else share)

    def _fold(self, context: Context, norm: BatchNorm2d, bias: Array) -> Array:
        """Fold the normalization into weights and bias, and return the latter."""
        w = self.conv.parameters["weight"]
        filters = w.shape[3]
        folded, scale, shift = context.scratch(w.shape), context.scratch((filters,)), context.scratch((filters,))
        given = (norm.statistics["running_mean"], norm.statistics["running_var"], *norm.scale_and_shift(w))
        call = (w.reshape(-1, filters), bias, *given, norm.eps, scale, folded.reshape(-1, filters), shift)
        context.steps.append(Step(self.names, "fold normalization", fold, call))
        self._folded = folded
        return shift

    def _spread(self, context: Context) -> FeatureMap:
        """Return a buffer like the input's for its delta, with rows between the images.

        Only zeros are added below the last kernel row of an image, but two threads must not add to the same place.
        """
        x = self.x
        count, height, width, channels = x.array.shape
        extra = -(-self.calls.lanes // (width * channels))
        size = (count, height + extra, width, channels)
        return context.map_inside(size, x.top, x.left, x.height, x.width, zeros_around=False)


def fuses_pool(conv: Conv2d, pool: Layer, shape: Shape) -> bool:
    """Return whether max pooling can run inside the convolution: adjacent, few enough windows, no padding."""
    return (
        isinstance(pool, MaxPool2d)
        and conv.groups == 1
        and conv.dilation[1] == 1
        and pool.stride == pool.kernel_size
        and 1 < math.prod(pool.kernel_size) < 255
        and not pool.geometry(shape).is_padded
    )
