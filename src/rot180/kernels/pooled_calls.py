"""The calls of a convolution behind which adjacent windows are pooled."""

from __future__ import annotations

import math

from rot180.kernels.call import Call, packed
from rot180.kernels.convolution import PoolSizes, convolve_pool, convolve_pool_squares
from rot180.kernels.convolution_calls import Convolution, Operand
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.finishing import biased
from rot180.kernels.pool_tile import POOLED, most_windows, pool_strides, pool_tile_address
from rot180.kernels.tile import TILE_VECTORS, even_blocks
from rot180.ops.types import Array


class PooledConvolution(Convolution):
    """A convolution of a batch, with max pooling."""

    def pooled(
        self, x: FeatureMap, y: FeatureMap, winners: Array, bias: Array, window: tuple[int, int], *, relu: bool
    ) -> tuple[Operand, Call]:
        """Return the packed weights, and the call that computes y, the maxima over windows, and their places.

        Around x there must be zeros, as many as the windows of the convolution need.
        """
        if window == (POOLED, POOLED):
            return self._over_squares(x, y, winners, bias, relu)
        operand = self.operand(in_place=self.count == 1)
        pixels = y.width * window[1]
        sizes = self._sizes(x, y, window, operand, columns=y.width, convolved=pixels, block=even_blocks(pixels))
        scratch = self.scratch((self.threads, (window[0] * pixels + 1) * self.width))
        strides = self._strides(x, operand.row)
        arguments = self.address, x.array, operand.array, bias, y.array, winners, scratch, strides, sizes, relu
        return operand, Call(convolve_pool, arguments)

    def _over_squares(
        self, x: FeatureMap, y: FeatureMap, winners: Array, bias: Array, relu: bool
    ) -> tuple[Operand, Call]:
        """The same for windows whose sums stay in registers, several windows in one if there are few filters."""
        g, window = self.g, (POOLED, POOLED)
        _, KW, C, F = self.w.shape
        step = POOLED * g.stride[1]
        fold = self._fold_of(y.width, step)
        halves = fold == 2 and 2 * F == self.lanes
        apart = g.stride[1] if halves else step  # pixels between what shares a register: columns, or windows
        if fold > 1:
            operand, finish = self._folded(fold, apart, biased(bias))
            bias = finish.shift
        else:
            operand = self.operand(in_place=self.count == 1)
        columns = y.width // fold
        block = even_blocks(columns, most_windows(min(TILE_VECTORS, -(-fold * F // self.lanes))))
        sizes = self._sizes(x, y, window, operand, columns=columns, convolved=columns, block=block)
        strides = pool_strides(
            *self._window(x, KW + (fold - 1) * apart, C, operand.row, g.dilation),
            windows=(fold * step * C, fold * F),
            inside=(g.stride[0] * math.prod(x.array.shape[2:]), (step if halves else g.stride[1]) * C),
        )
        address = pool_tile_address(self.w.dtype, halves=halves)
        arguments = address, x.array, operand.array, bias, y.array, winners, strides, sizes, relu
        return operand, Call(convolve_pool_squares, arguments)

    def _sizes(
        self,
        x: FeatureMap,
        y: FeatureMap,
        window: tuple[int, int],
        operand: Operand,
        *,
        columns: int,
        convolved: int,
        block: int,
    ) -> Array:
        """Pack `PoolSizes`."""
        (stride_h, stride_w), (row, column) = self.g.stride, self.first_window(x)
        return packed(
            PoolSizes(
                kernel_rows=self.w.shape[0],
                rows=y.height,
                columns=columns,
                stride_h=stride_h,
                stride_w=stride_w,
                first_row=row,
                first_column=column,
                top=y.top,
                left=y.left,
                window_rows=window[0],
                window_columns=window[1],
                run=self.run(self.count * y.height, window[0] * stride_h, x),
                block=block,
                convolved=convolved,
                dilation=self.g.dilation[0],
                real=x.top,
                beyond=x.top + x.height,
                block_step=operand.blocks[2],
            )
        )
