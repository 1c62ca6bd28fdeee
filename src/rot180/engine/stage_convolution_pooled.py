"""A convolution fused with the max pooling that follows."""

from __future__ import annotations

import math

import numpy as np

from rot180.engine.stage import Context, Target, Value
from rot180.engine.stage_convolution import ConvolutionStage, integers
from rot180.engine.step import Step
from rot180.kernels.convolution import convolve_pool
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.memory import aligned
from rot180.kernels.pack import pack_rows, unpack_rows
from rot180.kernels.tile import even_blocks, tile_address
from rot180.kernels.walk import block_shape, gather_address, scatter_address
from rot180.kernels.winners import gather_winners, list_winners, scatter_winners
from rot180.nn.conv2d import Conv2d
from rot180.nn.layer import Layer, Shape
from rot180.nn.pooling import MaxPool2d

CACHED_BAND = 1 << 15
"""Bytes of padded image that a band of winners touches: two thirds of the first-level cache."""


class PooledConvolutionStage(ConvolutionStage):
    """Conv2d, max pooling over adjacent windows, and ReLU before or after it.

    Delta reaches the convolution as a list of winners, and both gradients visit only these.
    """

    def __init__(
        self, layers: list[Layer], inputs: list[Value], output_shape: Shape, relu: bool, pool: MaxPool2d
    ) -> None:
        super().__init__(layers, inputs, output_shape, relu)
        self.pool = pool

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Convolve and pool straight into the next stage's buffer."""
        (x,) = inputs
        bias = self._hold(context, x, y)
        context.keep(x)
        g, w = self.geometry, self.weight
        KH, KW, C, F = w.shape
        operand = self._operand(context)
        strides = self._strides(x.array.shape, KW, C, C, g.stride[1] * C, operand.row)
        ph, pw = self.pool.kernel_size
        height, width = y.height, y.width
        columns = width * pw
        scratch = context.scratch((context.threads, (ph * columns + 1) * self.panel_width))
        self.winners = context.saved((context.count, height, width, F), np.uint8)
        run = self._run(context.count * height, ph * g.stride[0], x)
        sizes = integers(
            KH, height, width, *g.stride, *self.first_window, *y.place, ph, pw, run, even_blocks(columns), columns,
            g.dilation[0], *self.real_rows, operand.blocks[2],
        )  # fmt: skip
        call = (
            tile_address(context.dtype), x.array, operand.array, bias, y.array, self.winners, scratch, strides, sizes,
            self.relu,
        )  # fmt: skip
        return [
            *operand.steps,
            Step(self.names, "convolve and pool", convolve_pool, call, context.count * self.multiply_adds),
        ]

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """List the winners from delta, wherever it is, then process the lists."""
        (dx,) = targets
        g, x, w = self.geometry, self.x, self.weight
        KH, KW, C, F = w.shape
        ph, pw = self.pool.kernel_size
        height, width = self.winners.shape[1:3]
        _, _, Wp, _ = x.array.shape
        # Bands of pooled rows whose part of the image stays in the first-level cache.
        reach = (g.dilation[0] * (KH - 1)) // (ph * g.stride[0])
        rows = max(1, CACHED_BAND // (x.array[0, 0].nbytes * ph * g.stride[0]) - reach)
        bands = -(-height // min(rows, height))
        rows = -(-height // bands)
        shape = (context.count, bands, F)
        offsets, values = context.scratch((*shape, rows * width), np.int32), context.scratch((*shape, rows * width))
        counts = context.scratch(shape, np.int32)
        places = np.arange(256)
        shifts = (((places // pw) * g.stride[0] * Wp + (places % pw) * g.stride[1]) * C).astype(np.int32)
        sizes = integers(*dy.place, ph * g.stride[0] * Wp * C, pw * g.stride[1] * C, rows)
        listing = (dy.array, self.winners, offsets, values, counts, shifts, sizes)
        registers = -(-KW * C // self.lanes)
        r, j = block_shape(KH, registers)
        row, column = self.first_window
        sizes = integers(
            g.dilation[0] * Wp * C, (row * Wp + column) * C, r, j, registers, KH, min(F, 4 * context.threads)
        )
        packed = context.scratch((F, KH, registers * self.lanes))
        dw = context.gradients[f"{self.conv.name}.weight"]
        db = context.gradients.get(f"{self.conv.name}.bias", np.zeros(F, context.dtype))
        macs = context.count * self.multiply_adds
        lists = (offsets, values, counts)
        gather = (gather_address(context.dtype), x.array, *lists, packed, db, sizes)
        steps = [
            Step(self.names, "list winners", list_winners, listing),
            Step(self.names, "weight gradient from winners", gather_winners, gather, macs),
            Step(self.names, "order weight gradient", unpack_rows, (packed, dw)),
        ]
        if dx is None:
            return steps
        weights = aligned(packed.shape, context.dtype)
        spread = self._spread(context)
        scatter = (scatter_address(context.dtype), weights, *lists, spread.array, sizes)
        dx.give(spread)
        return [
            *steps,
            Step(self.names, "pack weights by filter", pack_rows, (w, weights)),
            Step(self.names, "data gradient from winners", scatter_winners, scatter, macs),
        ]

    def _spread(self, context: Context) -> FeatureMap:
        """Return a buffer like the input's for its delta, with rows between the images.

        Only zeros are added below the last kernel row of an image, but two threads must not add to the same place.
        """
        x = self.x
        count, height, width, channels = x.array.shape
        extra = -(-self.lanes // (width * channels))
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
