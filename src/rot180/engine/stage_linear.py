"""A fully connected layer with its bias and the activation that follows."""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.engine.feature_map import FeatureMap
from rot180.engine.gating import KINDS, combine_step
from rot180.engine.stage import Context, Stage
from rot180.engine.step import Step
from rot180.kernels.affine import (
    KEEP,
    affine,
    affine_data_gradient,
    affine_one,
    affine_weight_gradient,
)
from rot180.kernels.elementwise import NOTHING, RELU
from rot180.kernels.memory import aligned
from rot180.kernels.simd import lane_count_of
from rot180.kernels.tile import (
    TILE_ROWS,
    TILE_VECTORS,
    dot_tile_address,
    even_blocks,
    tile_address,
    tile_strides,
)
from rot180.nn.activation import ReLU, Sigmoid, Tanh
from rot180.nn.layer import Layer, Shape

FUSED = (ReLU, Sigmoid, Tanh)
"""Activations that are applied as the sums are computed."""
PARTS = 16
"""The number of parts that a single image's inputs are split into, whatever the number of threads."""


class LinearStage(Stage):
    """Linear, and the activation that follows, if any. The weight is updated as its gradient is computed."""

    insists = True

    def __init__(self, layers: list[Layer], input_shape: Shape, output_shape: Shape) -> None:
        super().__init__(layers, input_shape, output_shape)
        self.linear, *activations = layers
        self.activation, self.gate_kind = KINDS[type(activations[0])] if activations else (NOTHING, NOTHING)
        self.keeps_output = self.activation != NOTHING

    def forward(self, context: Context, x: FeatureMap, y: FeatureMap) -> list[Step]:
        """Multiply by the weights in place."""
        w = self.linear.parameters["weight"]
        inputs, outputs = w.shape
        self.x, self.y = x, y
        lanes = lane_count_of(context.dtype)
        bias = self.linear.parameters.get("bias", np.zeros(0, context.dtype))
        address = tile_address(context.dtype)
        call: tuple[Any, ...]
        if context.count == 1:
            sums = aligned((PARTS, -(-outputs // lanes) * lanes), context.dtype)
            strides = tile_strides((1, 1), (1, 0, 0), (outputs, 0, 0), a_row=inputs, c_row=outputs)
            call = (address, x.vectors, w, bias, y.vectors, sums, strides, self.activation)
            return [Step(self.names, "multiply", affine_one, call, w.size)]
        width = TILE_VECTORS * lanes
        scratch = aligned((context.threads, TILE_ROWS * width), context.dtype)
        strides = tile_strides((1, inputs), (0, 0, 1), (0, 0, outputs), a_row=inputs, c_row=width)
        sizes = np.array([width, even_blocks(context.count)], np.int64)
        call = (address, x.vectors, w, bias, y.vectors, scratch, strides, sizes, self.activation)
        return [Step(self.names, "multiply", affine, call, context.count * w.size)]

    def gate(self) -> FeatureMap | None:
        """Its output, if it ends in a ReLU."""
        return self.y if self.activation == RELU else None

    def backward(
        self, context: Context, dy: FeatureMap, dx: FeatureMap | None, gate: FeatureMap | None
    ) -> tuple[list[Step], FeatureMap | None, bool]:
        """Apply the gate if still pending, then compute the data gradient before the update changes the weights."""
        name = f"{self.linear.name}.weight"
        w = self.linear.parameters["weight"]
        inputs, outputs = w.shape
        macs = context.count * w.size
        steps = []
        if self.activation not in (NOTHING, RELU):
            steps.append(combine_step(self.names, "gate", self.gate_kind, dy, self.y, dy))
        target = None
        if dx is not None:
            target = dx if not dx.is_padded else context.new_map(self.input_shape)
            strides = np.array([outputs, outputs, inputs], np.int64)
            call = (dot_tile_address(context.dtype), dy.vectors, w, target.vectors, strides)
            steps.append(Step(self.names, "data gradient", affine_data_gradient, call, macs))
        db = context.gradients.get(f"{self.linear.name}.bias", np.zeros(0, context.dtype))
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
            tile_address(context.dtype), self.x.vectors, dy.vectors, parameter, m, v, db, scratch, strides, sizes,
            rule, hyper,
        )  # fmt: skip
        steps.append(Step(self.names, does, affine_weight_gradient, arguments, macs))
        return steps, target, False
