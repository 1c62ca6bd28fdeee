"""Convolution with what follows it: bias, ReLU, max-pool."""

from __future__ import annotations

import math

import numpy as np

from rot180.engine.feature_map import FeatureMap
from rot180.engine.gating import relu_backward_step
from rot180.engine.stage import Context, Stage
from rot180.engine.step import Step
from rot180.kernels.convolution import BIAS, BIAS_RELU, GATE, PLAIN, convolve, convolve_pool
from rot180.kernels.folding import fold_data_gradient, pack_kernel_rows
from rot180.kernels.memory import aligned
from rot180.kernels.pack import pack_folded, pack_panels, pack_rotated, pack_rows, unfold_gradient, unpack_rows
from rot180.kernels.simd import lane_count_of
from rot180.kernels.tile import TILE_VECTORS, even_blocks, tile_address, tile_strides
from rot180.kernels.walk import block_shape, gather_address, scatter_address
from rot180.kernels.weight_gradient import bias_gradient, correlate
from rot180.kernels.winners import gather_winners, list_winners, scatter_winners
from rot180.nn.conv2d import Conv2d
from rot180.nn.layer import Layer, Shape
from rot180.nn.pooling import MaxPool2d
from rot180.ops.geometry import Geometry, geometry

UNITS = 16
"""Into how many runs of rows a batch falls at least, where it has so many: enough for as many cores."""
CACHED_RUN = 1 << 18
"""Bytes of images that one run of rows reads at most: with the kernels they stay in the second-level cache."""
CACHED_BAND = 1 << 15
"""Bytes of padded image that a band of winners touches: two thirds of the first-level cache."""
FEW_CHANNELS = 9
"""Below this many, the data gradient is folded from kernel rows: dx's channels would leave half a register empty."""
CACHED_TOGETHER = 400_000
"""Bytes of images and delta that the weight gradient's tiles walk over again and again."""


def integers(*values: int) -> np.ndarray:
    """The sizes that a kernel takes."""
    return np.array(values, np.int64)


class ConvolutionStage(Stage):
    """Conv2d, with ReLU and a max-pool of touching windows where they follow.

    Behind a max-pool, delta reaches the convolution as a list of winners, and both gradients visit only these. Without
    one, delta lies in a padded buffer in which its data gradient is a convolution again.
    """

    def __init__(
        self, layers: list[Layer], input_shape: Shape, output_shape: Shape, relu: bool, pool: MaxPool2d | None
    ) -> None:
        super().__init__(layers, input_shape, output_shape)
        self.conv, self.relu, self.pool = layers[0], relu, pool
        conv = self.conv
        if not isinstance(conv, Conv2d):
            raise TypeError(f"a convolution stage starts with Conv2d, not {conv!r}")
        self.geometry: Geometry = geometry(
            input_shape[0], input_shape[1], conv.kernel_size, stride=conv.stride, padding=conv.padding,
            dilation=conv.dilation, name=conv.name,
        )  # fmt: skip
        self.padding = self.geometry.padding
        self.groups = conv.groups
        self.channels, self.filters = input_shape[2], conv.out_channels
        self.keeps_output = relu and pool is None
        self.merged = conv.dilation[1] == 1 and conv.groups == 1
        self.folds = pool is None and self.merged and conv.stride[0] == 1 and self.channels < FEW_CHANNELS
        self.insists = pool is None and conv.stride == (1, 1) and not self.folds

    @property
    def weight(self) -> np.ndarray:
        """(KH, KW, C/groups, F)"""
        return self.conv.parameters["weight"]

    @property
    def multiply_adds(self) -> int:
        """Of one pass over one image, counted densely."""
        g = self.geometry
        return g.out_height * g.out_width * self.weight.size

    def forward(self, context: Context, x: FeatureMap, y: FeatureMap) -> list[Step]:
        """Pack the weights, then convolve straight into the next stage's buffer."""
        g, w = self.geometry, self.weight
        self.x, self.y = x, y
        self.lanes = lane_count_of(context.dtype)
        self.panel_width = TILE_VECTORS * self.lanes
        KH, KW, Cg, F = w.shape
        panels = self._panels(context, F // self.groups, KH * KW * Cg)
        bias = self.conv.parameters.get("bias", np.zeros(F, context.dtype))
        (top, _), (_, _) = g.padding
        steps = [Step(self.names, "pack weights", pack_panels, (w, panels))]
        address = tile_address(context.dtype)
        fold = self._fold()
        if self.pool is None:
            columns = g.out_width // fold
            if fold > 1:
                KW = KW + (fold - 1) * g.stride[1]
                panels, plain = self._panels(context, fold * F, KH * KW * Cg), bias
                bias = aligned((fold * F,), context.dtype)
                pack = (w, plain, fold, g.stride[1], panels, bias)
                steps = [Step(self.names, f"pack weights for {fold} pixels", pack_folded, pack)]
            strides = self._strides(x.array.shape, KW, Cg, self.channels, a_row=fold * g.stride[1] * self.channels)
            scratch = aligned((context.threads, (columns + 1) * self.panel_width), context.dtype)
            run = self._run(context.count * g.out_height, g.stride[0], x)
            sizes = integers(
                KH, g.out_height, columns, g.stride[0], fold * g.stride[1], 0, 0, *y.place, 1, 1, 0, 0, run,
                even_blocks(columns), g.dilation[0], top, top + g.height, fold,
            )  # fmt: skip
            finish = BIAS_RELU if self.relu else BIAS
            call = (address, x.array, panels, bias, y.array, y.array, scratch, strides, sizes, finish)
            return [*steps, Step(self.names, "convolve", convolve, call, context.count * self.multiply_adds)]
        strides = self._strides(x.array.shape, KW, Cg, self.channels, a_row=g.stride[1] * self.channels)
        shared = (*g.stride, 0, 0)
        ph, pw = self.pool.kernel_size
        height, width = y.height, y.width
        columns = width * pw
        scratch = aligned((context.threads, (ph * columns + 1) * self.panel_width), context.dtype)
        self.winners = aligned((context.count, height, width, F), np.uint8)
        run = self._run(context.count * height, ph * g.stride[0], x)
        sizes = integers(
            KH, height, width, *shared, *y.place, ph, pw, run, even_blocks(columns), columns, g.dilation[0], top,
            top + g.height,
        )  # fmt: skip
        call = (address, x.array, panels, bias, y.array, self.winners, scratch, strides, sizes, self.relu)
        return [*steps, Step(self.names, "convolve and pool", convolve_pool, call, context.count * self.multiply_adds)]

    def _fold(self) -> int:
        """How many neighboring pixels share a register, so that few filters fill it."""
        if not self.merged or self.filters * 2 > self.lanes:
            return 1
        # Each more pixel widens the window by the stride: worth it while the register fills faster than that.
        widths = (q for q in range(1, self.lanes // self.filters + 1) if self.geometry.out_width % q == 0)
        return min(widths, key=lambda q: (self.geometry.kernel[1] + (q - 1) * self.geometry.stride[1]) / q)

    def _panels(self, context: Context, columns: int, rows: int) -> np.ndarray:
        blocks = -(-columns // self.panel_width)
        return aligned((self.groups, blocks, rows, self.panel_width), context.dtype)

    def _strides(self, shape: tuple[int, ...], KW: int, depth: int, all_channels: int, a_row: int) -> np.ndarray:
        """How a tile walks over a window: kernel rows, then columns and channels, in one run where that is possible."""
        d = self.geometry.dilation
        width, row = self.panel_width, d[0] * shape[2] * all_channels
        if self.merged:
            counts, a, b = (1, KW * depth), (row, 0, 1), (KW * depth * width, 0, width)
        else:
            counts, a = (KW, depth), (row, d[1] * all_channels, 1)
            b = (KW * depth * width, depth * width, width)
        return tile_strides(counts, a, b, a_row=a_row, c_row=width)

    def _run(self, rows: int, step: int, x: FeatureMap) -> int:
        """Rows of output in one unit of work."""
        row_bytes = step * x.array[0, 0].nbytes
        return int(max(1, min(-(-rows // UNITS), CACHED_RUN // max(1, row_bytes))))

    def gate(self) -> FeatureMap | None:
        """Its output, where a ReLU ends it and delta is not listed by winners."""
        return self.y if self.relu and self.insists else None

    def delta(self, context: Context) -> FeatureMap:
        """Delta with the padding that the data gradient needs (winners are listed from wherever delta lies)."""
        return self._padded_delta(context) if self.insists else super().delta(context)

    def _padded_delta(self, context: Context) -> FeatureMap:
        g = self.geometry
        sides = []
        for k, s, d, p, n, out in zip(
            g.kernel, g.stride, g.dilation, g.padding, (g.height, g.width), (g.out_height, g.out_width), strict=True
        ):
            before = d * (k - 1) - p[0]
            start = max(0, before)
            end = start + (out - 1) * s + 1
            total = max(start - before + n + d * (k - 1), end)
            sides.append((start, total - start, start - before))
        (top, height, self.first_row), (left, width, self.first_column) = sides
        array = aligned((context.count, top + height, left + width, self.filters), context.dtype)
        spread_height = (g.out_height - 1) * g.stride[0] + 1
        spread_width = (g.out_width - 1) * g.stride[1] + 1
        return FeatureMap(array, top, left, spread_height, spread_width)

    def backward(
        self, context: Context, dy: FeatureMap, dx: FeatureMap | None, gate: FeatureMap | None
    ) -> tuple[list[Step], FeatureMap | None, bool]:
        """Both gradients: by winners behind a pool, densely otherwise."""
        if self.pool is not None:
            return self._backward_winners(context, dy, dx)
        return self._backward_dense(context, dy, dx, gate)

    def _backward_dense(
        self, context: Context, dy: FeatureMap, dx: FeatureMap | None, gate: FeatureMap | None
    ) -> tuple[list[Step], FeatureMap | None, bool]:
        g, x, w = self.geometry, self.x, self.weight
        KH, KW, Cg, F = w.shape
        Fg, macs = F // self.groups, context.count * self.multiply_adds
        steps, step = [], g.stride
        if self.folds or g.stride != (1, 1):
            if self.relu:
                steps.append(relu_backward_step(self.names, dy, self.y, dy))
        if self.folds:
            delta, step = dy, (1, 1)
        elif g.stride != (1, 1):
            delta = self._padded_delta(context)
            spread = delta.inside[:, :: g.stride[0], :: g.stride[1]]
            steps.append(Step(self.names, "spread delta by the stride", np.copyto, (spread, dy.inside)))
        else:
            delta = dy
        # The weight gradient, into whole registers of filters, or of filters times pixels.
        fold = self._fold() if step[1] == 1 else 1  # spread pixels are no neighbors
        padded = -(-fold * Fg // self.lanes) * self.lanes
        target = context.gradients[f"{self.conv.name}.weight"]
        whole = padded == Fg
        window = KW + (fold - 1) * g.stride[1]
        rows = KH * window * Cg
        dw = target.reshape(rows, F) if whole else aligned((rows, self.groups * padded), context.dtype)
        runs, length, per_row = (KH, window * Cg, 1) if self.merged else (KH * KW, Cg, KW)
        strides = tile_strides(
            (1, g.out_width // fold),
            (g.stride[0] * x.array.shape[2] * self.channels, 0, fold * g.stride[1] * self.channels),
            (step[0] * delta.array.shape[2] * F, 0, fold * step[1] * F),
            a_row=1,
            c_row=dw.shape[1],
        )
        block = even_blocks(length)
        tiles = self.groups * runs * -(-length // block) * -(-padded // self.panel_width)
        together = max(1, CACHED_TOGETHER // (x.array[0].nbytes + delta.array[0].nbytes))
        top = g.padding[0][0]
        sizes = integers(
            runs, length, per_row, *g.dilation, 0, 0, *delta.place, self.groups, block, together,
            min(tiles, 4 * context.threads), g.out_height, g.stride[0], step[0], top, top + g.height,
        )  # fmt: skip
        address = tile_address(context.dtype)
        steps.append(
            Step(self.names, "weight gradient", correlate, (address, x.array, delta.array, dw, strides, sizes), macs)
        )
        if fold > 1:
            steps.append(Step(self.names, "add up the pixels", unfold_gradient, (dw, fold, g.stride[1], target)))
        elif not whole:
            view = dw.reshape(rows, self.groups, padded)[:, :, :Fg]
            steps.append(Step(self.names, "crop", np.copyto, (target.reshape(rows, self.groups, Fg), view)))
        if "bias" in self.conv.parameters:
            db = context.gradients[f"{self.conv.name}.bias"]
            sizes = integers(*delta.place, g.out_height, g.out_width, *step)
            steps.append(Step(self.names, "bias gradient", bias_gradient, (delta.array, db, sizes)))
        if dx is None:
            return steps, None, False
        if self.folds:
            return [*steps, *self._fold_rows(context, delta, dx, macs)], dx, False
        # The data gradient: the same convolution, with the kernel rotated by 180 degrees.
        panels = self._panels(context, Cg, KH * KW * Fg)
        strides = self._strides(delta.array.shape, KW, Fg, F, a_row=F)
        scratch = aligned((context.threads, (g.width + 1) * self.panel_width), context.dtype)
        gate_place = gate.place if gate else (0, 0)
        sizes = integers(
            KH, g.height, g.width, 1, 1, self.first_row, self.first_column, *dx.place, 1, 1, *gate_place,
            self._run(context.count * g.height, 1, delta), even_blocks(g.width), g.dilation[0], delta.top,
            delta.top + delta.height, 1,
        )  # fmt: skip
        call = (
            address, delta.array, panels, np.zeros(self.channels, context.dtype), dx.array,
            gate.array if gate else dx.array, scratch, strides, sizes, GATE if gate else PLAIN,
        )  # fmt: skip
        steps += [
            Step(self.names, "pack weights, rotated", pack_rotated, (w, panels)),
            Step(self.names, "data gradient", convolve, call, macs),
        ]
        return steps, dx, gate is not None

    def _spread(self, context: Context) -> FeatureMap:
        """A buffer like the input's for its delta, with rows between the images.

        What is added behind the last kernel row of an image are zeros, but two threads must not add to one place.
        """
        x = self.x
        count, height, width, channels = x.array.shape
        extra = -(-self.lanes // (width * channels))
        array = aligned((count, height + extra, width, channels), context.dtype)
        return FeatureMap(array, x.top, x.left, x.height, x.width)

    def _fold_rows(self, context: Context, delta: FeatureMap, dx: FeatureMap, macs: int) -> list[Step]:
        """The data gradient over few channels."""
        g, w = self.geometry, self.weight
        KH, KW, C, F = w.shape
        width, blocks = self.panel_width, -(-KW * C // self.panel_width)
        panels = aligned((blocks, KH, F, width), context.dtype)
        piece = blocks * width + 2 * self.lanes
        scratch = aligned((context.threads, g.out_width * piece), context.dtype)
        back = -g.dilation[0] * delta.array.shape[2] * F
        strides = tile_strides((1, F), (back, 0, 1), (F * width, 0, width), a_row=F, c_row=piece)
        sizes = integers(
            *delta.place, g.out_height, g.out_width, g.stride[1], g.dilation[0], even_blocks(g.out_width), KW * C,
            g.height, g.width, g.padding[0][0], g.padding[1][0], *dx.place,
        )  # fmt: skip
        call = (tile_address(context.dtype), delta.array, panels, dx.array, scratch, strides, sizes)
        return [
            Step(self.names, "pack kernel rows", pack_kernel_rows, (w, panels)),
            Step(self.names, "data gradient by rows", fold_data_gradient, call, macs),
        ]

    def _backward_winners(
        self, context: Context, dy: FeatureMap, dx: FeatureMap | None
    ) -> tuple[list[Step], FeatureMap | None, bool]:
        g, x, w = self.geometry, self.x, self.weight
        if self.pool is None:
            raise TypeError("winners need a pool")
        KH, KW, C, F = w.shape
        ph, pw = self.pool.kernel_size
        height, width = self.winners.shape[1:3]
        _, _, Wp, _ = x.array.shape
        # Bands of pooled rows whose piece of image stays in the first-level cache.
        reach = (g.dilation[0] * (KH - 1)) // (ph * g.stride[0])
        rows = max(1, CACHED_BAND // (x.array[0, 0].nbytes * ph * g.stride[0]) - reach)
        bands = -(-height // min(rows, height))
        rows = -(-height // bands)
        shape = (context.count, bands, F)
        offsets, values = aligned((*shape, rows * width), np.int32), aligned((*shape, rows * width), context.dtype)
        counts = aligned(shape, np.int32)
        places = np.arange(256)
        shifts = (((places // pw) * g.stride[0] * Wp + (places % pw) * g.stride[1]) * C).astype(np.int32)
        sizes = integers(*dy.place, ph * g.stride[0] * Wp * C, pw * g.stride[1] * C, rows)
        listing = (dy.array, self.winners, offsets, values, counts, shifts, sizes)
        registers = -(-KW * C // self.lanes)
        r, j = block_shape(KH, registers)
        sizes = integers(g.dilation[0] * Wp * C, 0, r, j, registers, KH, min(F, 4 * context.threads))
        packed = aligned((F, KH, registers * self.lanes), context.dtype)
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
            return steps, None, False
        weights = aligned(packed.shape, context.dtype)
        spread = self._spread(context)
        scatter = (scatter_address(context.dtype), weights, *lists, spread.array, sizes)
        steps += [
            Step(self.names, "pack weights by filter", pack_rows, (w, weights)),
            Step(self.names, "data gradient from winners", scatter_winners, scatter, macs),
        ]
        return steps, spread, False


def fuses_pool(conv: Conv2d, pool: Layer, shape: Shape) -> bool:
    """Whether a max-pool can run inside the convolution: touching windows without padding, few enough to be counted."""
    return (
        isinstance(pool, MaxPool2d)
        and conv.groups == 1
        and conv.dilation[1] == 1
        and pool.stride == pool.kernel_size
        and 1 < math.prod(pool.kernel_size) < 255
        and not geometry(shape[0], shape[1], pool.kernel_size, stride=pool.stride, padding=pool.padding).is_padded
    )
