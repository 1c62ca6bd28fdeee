"""A fully connected layer with what follows it: bias, ReLU."""

from __future__ import annotations

import numpy as np

from rot180.engine.feature_map import FeatureMap
from rot180.engine.stage import Context, Stage
from rot180.engine.step import Step
from rot180.kernels.affine import (
    KEEP,
    affine,
    affine_data_gradient,
    affine_weight_gradient,
    column_sums,
)
from rot180.kernels.memory import aligned
from rot180.kernels.pack import pack_panels
from rot180.kernels.simd import lane_count_of
from rot180.kernels.tile import (
    TILE_ROWS,
    TILE_VECTORS,
    WIDE,
    dot_tile_address,
    even_blocks,
    tile_address,
    tile_strides,
)
from rot180.nn.layer import Layer, Shape


class LinearStage(Stage):
    """Linear, and ReLU where it follows. The weight's update is applied where its gradient is formed."""

    insists = True

    def __init__(self, layers: list[Layer], input_shape: Shape, output_shape: Shape, relu: bool) -> None:
        super().__init__(layers, input_shape, output_shape)
        self.linear, self.relu = layers[0], relu
        self.keeps_output = relu

    def forward(self, context: Context, x: FeatureMap, y: FeatureMap) -> list[Step]:
        """Multiply, in place of the weights where their rows are whole registers, else from panels."""
        w = self.linear.parameters["weight"]
        inputs, outputs = w.shape
        self.x, self.y = x, y
        width = TILE_VECTORS * lane_count_of(context.dtype)
        if context.count == 1 and outputs % (WIDE * lane_count_of(context.dtype)) == 0:
            width = WIDE * lane_count_of(context.dtype)
        has_bias = "bias" in self.linear.parameters
        bias = self.linear.parameters["bias"] if has_bias else np.zeros(outputs, context.dtype)
        block = even_blocks(context.count)
        scratch = aligned((context.threads, TILE_ROWS * width), context.dtype)
        steps = []
        if outputs % width == 0:
            operand, block_step, row = w, width, outputs
        else:
            operand = aligned((1, -(-outputs // width), inputs, width), context.dtype)
            block_step, row = inputs * width, width
            steps.append(Step(self.names, "pack weights", pack_panels, (w.reshape(1, 1, inputs, outputs), operand)))
        strides = tile_strides((1, inputs), (0, 0, 1), (0, 0, row), a_row=inputs, c_row=width)
        sizes = np.array([block_step, width, block, has_bias, self.relu], np.int64)
        # Flat, whichever it is: one compiled kernel for both.
        operand = operand.reshape(-1)
        call = (tile_address(context.dtype), x.vectors, operand, bias, y.vectors, scratch, strides, sizes)
        return [*steps, Step(self.names, "multiply", affine, call, context.count * w.size)]

    def gate(self) -> FeatureMap | None:
        """Its output, where a ReLU ends it."""
        return self.y if self.relu else None

    def backward(
        self, context: Context, dy: FeatureMap, dx: FeatureMap | None, gate: FeatureMap | None
    ) -> tuple[list[Step], FeatureMap | None, bool]:
        """The data gradient first: the update changes the weights."""
        name = f"{self.linear.name}.weight"
        w = self.linear.parameters["weight"]
        inputs, outputs = w.shape
        macs = context.count * w.size
        steps = []
        target = None
        if dx is not None:
            target = dx if not dx.is_padded else context.new_map(self.input_shape)
            strides = np.array([outputs, outputs, inputs], np.int64)
            call = (dot_tile_address(context.dtype), dy.vectors, w, target.vectors, strides)
            steps.append(Step(self.names, "data gradient", affine_data_gradient, call, macs))
        if "bias" in self.linear.parameters:
            db = context.gradients[f"{self.linear.name}.bias"]
            steps.append(Step(self.names, "bias gradient", column_sums, (dy.vectors, db)))
        width = TILE_VECTORS * lane_count_of(context.dtype)
        length = -(-outputs // width) * width
        block = even_blocks(inputs)
        strides = tile_strides((1, 1), (inputs, 0, 0), (outputs, 0, 0), a_row=1, c_row=length)
        scratch = aligned((context.threads, TILE_ROWS * length), context.dtype)
        sizes = np.array([block, length], np.int64)
        if name in context.updates:
            does = "weight gradient and update"
            parameter, m, v, rule, hyper = context.updates[name]
        else:
            does = "weight gradient"
            parameter = m = v = context.gradients[name]
            rule, hyper = KEEP, np.zeros(9)
        arguments = (
            tile_address(context.dtype), self.x.vectors, dy.vectors, parameter, m, v, scratch, strides, sizes, rule,
            hyper,
        )  # fmt: skip
        steps.append(Step(self.names, does, affine_weight_gradient, arguments, macs))
        return steps, target, False
