"""A fully connected layer with its bias and the activation that follows."""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.engine.elementwise_steps import KINDS
from rot180.engine.stage import Context, Gate, Stage, Target, Value
from rot180.engine.step import Step
from rot180.kernels.affine import (
    KEEP,
    affine,
    affine_data_gradient,
    affine_one,
    affine_weight_gradient,
)
from rot180.kernels.elementwise import NOTHING
from rot180.kernels.feature_map import FeatureMap
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

    def __init__(self, layers: list[Layer], inputs: list[Value], output_shape: Shape) -> None:
        super().__init__(layers, inputs, output_shape)
        self.linear, *activations = layers
        self.activation, self.gate_kind = KINDS[type(activations[0])] if activations else (NOTHING, NOTHING)
        self.keeps_output = self.activation != NOTHING

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Multiply by the weights in place."""
        (x,) = inputs
        context.keep(x)
        if self.activation != NOTHING:
            context.keep(y)
            self.gate = Gate(self.gate_kind, y)
        w = self.linear.parameters["weight"]
        n_in, outputs = w.shape
        self.x = x
        lanes = lane_count_of(context.dtype)
        bias = self.linear.parameters.get("bias", np.zeros(0, context.dtype))
        address = tile_address(context.dtype)
        call: tuple[Any, ...]
        if context.count == 1:
            sums = context.scratch((PARTS, -(-outputs // lanes) * lanes))
            strides = tile_strides((1, 1), (1, 0, 0), (outputs, 0, 0), a_row=n_in, c_row=outputs)
            call = (address, x.vectors, w, bias, y.vectors, sums, strides, self.activation)
            return [Step(self.names, "multiply", affine_one, call, w.size)]
        width = TILE_VECTORS * lanes
        scratch = context.scratch((context.threads, TILE_ROWS * width))
        strides = tile_strides((1, n_in), (0, 0, 1), (0, 0, outputs), a_row=n_in, c_row=width)
        sizes = np.array([width, even_blocks(context.count)], np.int64)
        call = (address, x.vectors, w, bias, y.vectors, scratch, strides, sizes, self.activation)
        return [Step(self.names, "multiply", affine, call, context.count * w.size)]

    def accepts(self, delta: FeatureMap) -> bool:
        """Return whether delta is a matrix."""
        return not delta.is_padded

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Compute the data gradient before the update changes the weights."""
        (dx,) = targets
        name = f"{self.linear.name}.weight"
        w = self.linear.parameters["weight"]
        n_in, outputs = w.shape
        macs = context.count * w.size
        steps = []
        if dx is not None:
            strides = np.array([outputs, outputs, n_in], np.int64)
            call = (dot_tile_address(context.dtype), dy.vectors, w, dx.map.vectors, strides)
            steps.append(Step(self.names, "data gradient", affine_data_gradient, call, macs))
        db = context.gradients.get(f"{self.linear.name}.bias", np.zeros(0, context.dtype))
        width = TILE_VECTORS * lane_count_of(context.dtype)
        length = -(-outputs // width) * width
        block = even_blocks(n_in)
        strides = tile_strides((1, 1), (n_in, 0, 0), (outputs, 0, 0), a_row=1, c_row=length)
        scratch = context.scratch((context.threads, TILE_ROWS * length))
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
        return steps
