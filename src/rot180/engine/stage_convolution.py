"""The common part of all convolutions of a plan: geometry, weights, and division of the work."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rot180.engine.stage import Context, Stage, Value
from rot180.engine.step import Step
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.pack import pack_panels
from rot180.kernels.simd import lane_count_of
from rot180.kernels.tile import TILE_VECTORS, tile_strides
from rot180.nn.conv2d import Conv2d
from rot180.nn.layer import Layer, Shape
from rot180.ops.geometry import Geometry, geometry
from rot180.ops.types import Array

UNITS = 16
"""The least number of runs that the rows of a batch are divided into, if possible: enough for as many cores."""
CACHED_RUN = 1 << 18
"""The most bytes of images that one run of rows reads: together with the kernels they fit the second-level cache."""


def integers(*values: int) -> Array:
    """Return the sizes that a kernel takes, as an array."""
    return np.array(values, np.int64)


class Operand(NamedTuple):
    """Weights as the convolution kernels read them."""

    array: Array
    row: int
    """The distance from one cell of the window to the next, in elements."""
    blocks: tuple[int, int, int]
    """The number of groups, and the distances between groups and between blocks of filters, in elements."""
    steps: list[Step]
    """The steps that put the weights there."""


def packed(panels: Array, steps: list[Step]) -> Operand:
    """Return the operand for panels (G, blocks, cells, width) and the steps that fill them."""
    groups, blocks, cells, width = panels.shape
    return Operand(panels, width, (groups, blocks * cells * width, cells * width), steps)


class ConvolutionStage(Stage):
    """Conv2d with the ReLU that follows, if any."""

    def __init__(self, layers: list[Layer], inputs: list[Value], output_shape: Shape, relu: bool) -> None:
        super().__init__(layers, inputs, output_shape)
        self.conv, self.relu = layers[0], relu
        conv = self.conv
        if not isinstance(conv, Conv2d):
            raise TypeError(f"a convolution stage starts with Conv2d, not {conv!r}")
        self.geometry: Geometry = geometry(
            self.input_shape[0], self.input_shape[1], conv.kernel_size, stride=conv.stride, padding=conv.padding,
            dilation=conv.dilation, name=conv.name,
        )  # fmt: skip
        self.padding = self.geometry.padding
        self.groups = conv.groups
        self.channels, self.filters = self.input_shape[2], conv.out_channels
        self.merged = conv.dilation[1] == 1 and conv.groups == 1
        """Whether the columns and channels of a kernel row are contiguous in the image."""

    @property
    def weight(self) -> Array:
        """(KH, KW, C/groups, F)"""
        return self.conv.parameters["weight"]

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one pass over one image, counted densely."""
        return self.geometry.out_height * self.geometry.out_width * self.weight.size

    def _hold(self, context: Context, x: FeatureMap, y: FeatureMap) -> Array:
        """Remember where input and output are; return the bias, zeros if there is none."""
        self.x, self.y = x, y
        self.lanes = lane_count_of(context.dtype)
        self.panel_width = TILE_VECTORS * self.lanes
        return self.conv.parameters.get("bias", np.zeros(self.filters, context.dtype))

    def _panels(self, context: Context, columns: int, rows: int) -> Array:
        blocks = -(-columns // self.panel_width)
        return context.scratch((self.groups, blocks, rows, self.panel_width))

    def _operand(self, context: Context) -> Operand:
        """Return the weights as the forward kernels read them: packed, unless packing takes longer than it saves."""
        w, width = self.weight, self.panel_width
        KH, KW, Cg, F = w.shape
        if context.count == 1:
            return Operand(w, F, (self.groups, F // self.groups, width), [])
        panels = self._panels(context, F // self.groups, KH * KW * Cg)
        return packed(panels, [Step(self.names, "pack weights", pack_panels, (w, panels))])

    def _strides(self, shape: tuple[int, ...], KW: int, depth: int, all_channels: int, a_row: int, b_row: int) -> Array:
        """Return how a tile traverses a window: kernel rows, then columns and channels, in one run if possible."""
        d = self.geometry.dilation
        row = d[0] * shape[2] * all_channels
        if self.merged:
            counts, a, b = (1, KW * depth), (row, 0, 1), (KW * depth * b_row, 0, b_row)
        else:
            counts, a = (KW, depth), (row, d[1] * all_channels, 1)
            b = (KW * depth * b_row, depth * b_row, b_row)
        return tile_strides(counts, a, b, a_row=a_row, c_row=self.panel_width)

    @property
    def first_window(self) -> tuple[int, int]:
        """The row and column of the input's buffer where the first window begins."""
        (top, _), (left, _) = self.geometry.padding
        return self.x.top - top, self.x.left - left

    @property
    def real_rows(self) -> tuple[int, int]:
        """The first row of the input's buffer that is no padding, and the first one after it that is."""
        return self.x.top, self.x.top + self.x.height

    def _run(self, rows: int, step: int, x: FeatureMap) -> int:
        """Return the number of output rows in one unit of work."""
        row_bytes = step * x.array[0, 0].nbytes
        return int(max(1, min(-(-rows // UNITS), CACHED_RUN // max(1, row_bytes))))
