"""A convolution with dense delta: with or without ReLU, not followed by max pooling."""

from __future__ import annotations

import numpy as np

from rot180.engine.elementwise_steps import copy_step
from rot180.engine.stage import Context, Gate, Target, Value, has_zeros_around
from rot180.engine.stage_convolution import ConvolutionStage, integers, packed
from rot180.engine.step import Step
from rot180.kernels import elementwise
from rot180.kernels.convolution import BIAS, BIAS_RELU, GATE, PLAIN, convolve
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.folding import fold_data_gradient, pack_kernel_rows
from rot180.kernels.memory import aligned
from rot180.kernels.pack import add_up, pack_folded, pack_rotated
from rot180.kernels.tile import even_blocks, tile_address, tile_strides
from rot180.kernels.weight_gradient import MOST_PARTS, bias_gradient, correlate, lot, parts_of
from rot180.nn.layer import Layer, Shape

FEW_CHANNELS = 9
"""With fewer channels, the data gradient is folded from kernel rows: dx's channels would half fill a register."""


class DenseConvolutionStage(ConvolutionStage):
    """Conv2d and ReLU.

    Delta is in a padded buffer, over which the data gradient is again a convolution; with few channels it is folded
    from kernel rows instead, and delta may be in any buffer.
    """

    def __init__(self, layers: list[Layer], inputs: list[Value], output_shape: Shape, relu: bool) -> None:
        super().__init__(layers, inputs, output_shape, relu)
        stride = self.geometry.stride
        self.keeps_output = relu
        self.folds = self.merged and stride[0] == 1 and self.channels < FEW_CHANNELS
        self.convolves_delta = stride == (1, 1) and not self.folds

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Convolve straight into the next stage's buffer."""
        (x,) = inputs
        bias = self._hold(context, x, y)
        context.keep(x)
        if self.relu:
            context.keep(y)
            self.gate = Gate(elementwise.GATE, y)
        g, w = self.geometry, self.weight
        KH, KW, Cg, F = w.shape
        fold = self._fold()
        if fold > 1:
            KW = KW + (fold - 1) * g.stride[1]
            blocks = -(-fold * F // self.panel_width)
            # Not shared: what is not written stays zero.
            panels = aligned((1, blocks, KH * KW * Cg, self.panel_width), context.dtype)
            plain, bias = bias, aligned((fold * F,), bias.dtype)
            pack = (w, plain, fold, g.stride[1], panels, bias)
            operand = packed(panels, [Step(self.names, f"pack weights for {fold} pixels", pack_folded, pack)])
        else:
            operand = self._operand(context)
        columns = g.out_width // fold
        a_row = fold * g.stride[1] * self.channels
        strides = self._strides(x.array.shape, KW, Cg, self.channels, a_row, operand.row)
        scratch = context.scratch((context.threads, (columns + 1) * self.panel_width))
        sizes = integers(
            KH, g.out_height, columns, g.stride[0], fold * g.stride[1], *self.first_window, *y.place, 1, 1, 0, 0,
            self._run(context.count * g.out_height, g.stride[0], x), even_blocks(columns), g.dilation[0],
            *self.real_rows, fold, *operand.blocks,
        )  # fmt: skip
        call = (
            tile_address(context.dtype), x.array, operand.array, bias, y.array, y.array, scratch, strides, sizes,
            BIAS_RELU if self.relu else BIAS,
        )  # fmt: skip
        return [*operand.steps, Step(self.names, "convolve", convolve, call, context.count * self.multiply_adds)]

    def _fold(self) -> int:
        """Return how many neighboring pixels share a register, so that few filters fill it."""
        if not self.merged or self.filters * 2 > self.lanes:
            return 1
        # Each additional pixel widens the window by the stride: worth it while the register fills faster than that.
        widths = (q for q in range(1, self.lanes // self.filters + 1) if self.geometry.out_width % q == 0)
        return min(widths, key=lambda q: (self.geometry.kernel[1] + (q - 1) * self.geometry.stride[1]) / q)

    def new_delta(self, context: Context) -> FeatureMap:
        """Return the buffer of delta with the padding that the data gradient needs."""
        if not self.convolves_delta:
            return super().new_delta(context)
        (top, height, _), (left, width, _) = self._delta_sides()
        g = self.geometry
        size = (context.count, top + height, left + width, self.filters)
        return context.map_inside(size, top, left, g.out_height, g.out_width)

    def accepts(self, delta: FeatureMap) -> bool:
        """Return whether delta is padded as the data gradient needs it."""
        (top, height, _), (left, width, _) = self._delta_sides()
        size = (top + height, left + width)
        fits = delta.array.shape[1:3] == size and delta.place == (top, left) and has_zeros_around(delta)
        return fits or not self.convolves_delta

    def _spread_delta(self, context: Context) -> FeatureMap:
        """Return such a buffer for delta whose pixels are a stride apart, with zeros in between."""
        (top, height, _), (left, width, _) = self._delta_sides()
        g = self.geometry
        array = aligned((context.count, top + height, left + width, self.filters), context.dtype)
        spread_height = (g.out_height - 1) * g.stride[0] + 1
        spread_width = (g.out_width - 1) * g.stride[1] + 1
        return FeatureMap(array, top, left, spread_height, spread_width)

    def _delta_sides(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Return, by rows and by columns, the padding before delta, the length from there, and the first window."""
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
        return sides[0], sides[1]

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Correlate delta with the input, and convolve it with the rotated kernel."""
        (dx,) = targets
        steps = self._weight_gradient(context, dy)
        if dx is None:
            return steps
        if self.folds:
            return [*steps, *self._fold_rows(context, dy, dx.map)]
        if not self.convolves_delta:
            spread = self._spread_delta(context)
            steps.append(copy_step(self.names, "spread delta by the stride", dy, spread, self.geometry.stride))
            dy = spread
        steps += self._data_gradient(context, dy, dx.map, dx.gate)
        dx.is_gated = dx.gate is not None
        return steps

    def _weight_gradient(self, context: Context, delta: FeatureMap) -> list[Step]:
        """Return the steps, in whole registers of filters, or filters times pixels."""
        g, x = self.geometry, self.x
        KH, KW, Cg, F = self.weight.shape
        Fg = F // self.groups
        fold = self._fold()
        padded = -(-fold * Fg // self.lanes) * self.lanes
        target = context.gradients[f"{self.conv.name}.weight"]
        window = KW + (fold - 1) * g.stride[1]
        rows = KH * window * Cg
        runs, length, per_row = (KH, window * Cg, 1) if self.merged else (KH * KW, Cg, KW)
        image_bytes = x.array[0].nbytes + delta.array[0].nbytes
        together, band = lot(context.count, g.out_height, g.out_width, image_bytes)
        lots = context.count // together * -(-g.out_height // band)
        parts = parts_of(lots, rows * self.groups * padded * context.dtype.itemsize)
        whole = padded == Fg and parts == 1
        dw = target.reshape(1, rows, F) if whole else context.scratch((parts, rows, self.groups * padded))
        strides = tile_strides(
            (together, g.out_width // fold),
            (g.stride[0] * x.array.shape[2] * self.channels, x.array[0].size, fold * g.stride[1] * self.channels),
            (delta.array.shape[2] * F, delta.array[0].size, fold * F),
            a_row=1,
            c_row=dw.shape[2],
        )
        block = even_blocks(length)
        tiles = self.groups * runs * -(-length // block) * -(-padded // self.panel_width)
        sizes = integers(
            runs, length, per_row, *g.dilation, *self.first_window, *delta.place, self.groups, block, together,
            min(tiles, context.threads), g.out_height, g.stride[0], 1, *self.real_rows, band,
        )  # fmt: skip
        call = (tile_address(context.dtype), x.array, delta.array, dw, strides, sizes)
        steps = [Step(self.names, "weight gradient", correlate, call, context.count * self.multiply_adds)]
        if not whole:
            steps.append(Step(self.names, "add up", add_up, (dw, fold, g.stride[1], self.groups, target)))
        if "bias" in self.conv.parameters:
            db = context.gradients[f"{self.conv.name}.bias"]
            sums = context.scratch((min(MOST_PARTS, context.count), -(-F // self.lanes) * self.lanes))
            sizes = integers(*delta.place, g.out_height, g.out_width, 1, 1)
            steps.append(Step(self.names, "bias gradient", bias_gradient, (delta.array, sums, db, sizes)))
        return steps

    def _data_gradient(
        self, context: Context, delta: FeatureMap, dx: FeatureMap, gate: FeatureMap | None
    ) -> list[Step]:
        """The same convolution, with the kernel rotated by 180 degrees and its channel axes exchanged."""
        g, w = self.geometry, self.weight
        KH, KW, Cg, F = w.shape
        Fg = F // self.groups
        panels = self._panels(context, Cg, KH * KW * Fg)
        operand = packed(panels, [Step(self.names, "pack weights, rotated", pack_rotated, (w, panels))])
        strides = self._strides(delta.array.shape, KW, Fg, F, F, operand.row)
        scratch = context.scratch((context.threads, (g.width + 1) * self.panel_width))
        (_, _, first_row), (_, _, first_column) = self._delta_sides()
        gate_place = gate.place if gate else (0, 0)
        sizes = integers(
            KH, g.height, g.width, 1, 1, first_row, first_column, *dx.place, 1, 1, *gate_place,
            self._run(context.count * g.height, 1, delta), even_blocks(g.width), g.dilation[0], delta.top,
            delta.top + delta.height, 1, *operand.blocks,
        )  # fmt: skip
        call = (
            tile_address(context.dtype), delta.array, panels, np.zeros(self.channels, context.dtype), dx.array,
            gate.array if gate else dx.array, scratch, strides, sizes, GATE if gate else PLAIN,
        )  # fmt: skip
        return [
            *operand.steps,
            Step(self.names, "data gradient", convolve, call, context.count * self.multiply_adds),
        ]

    def _fold_rows(self, context: Context, delta: FeatureMap, dx: FeatureMap) -> list[Step]:
        """Return the steps of the data gradient for few channels."""
        g, w = self.geometry, self.weight
        KH, KW, C, F = w.shape
        width, blocks = self.panel_width, -(-KW * C // self.panel_width)
        panels = aligned((blocks, KH, F, width), context.dtype)  # zeros that are not written
        piece = blocks * width + 2 * self.lanes
        scratch = aligned((context.threads, g.out_width * piece), context.dtype)  # zeros between the pieces
        back = -g.dilation[0] * delta.array.shape[2] * F
        strides = tile_strides((1, F), (back, 0, 1), (F * width, 0, width), a_row=F, c_row=piece)
        sizes = integers(
            *delta.place, g.out_height, g.out_width, g.stride[1], g.dilation[0], even_blocks(g.out_width), KW * C,
            g.height, g.width, g.padding[0][0], g.padding[1][0], *dx.place,
        )  # fmt: skip
        call = (tile_address(context.dtype), delta.array, panels, dx.array, scratch, strides, sizes)
        return [
            Step(self.names, "pack kernel rows", pack_kernel_rows, (w, panels)),
            Step(self.names, "data gradient by rows", fold_data_gradient, call, context.count * self.multiply_adds),
        ]
