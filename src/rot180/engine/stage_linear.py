"""A fully connected layer with its bias and the activation that follows."""

from __future__ import annotations

import numpy as np

from rot180.engine.elementwise_steps import KINDS
from rot180.engine.stage import Context, Gate, Stage, Target, Value
from rot180.engine.step import Step
from rot180.kernels import linear_calls
from rot180.kernels.elementwise import NOTHING
from rot180.kernels.feature_map import FeatureMap
from rot180.nn.activation import ReLU, Sigmoid, Tanh
from rot180.nn.layer import Layer, Shape
from rot180.ops.types import Array

FUSED = (ReLU, Sigmoid, Tanh)
"""Activations that are applied as the sums are computed."""


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
        self.x = x
        bias = self.linear.parameters.get("bias", np.zeros(0, context.dtype))
        multiply = linear_calls.multiply(
            x.vectors, self.weight, bias, y.vectors, threads=context.threads, scratch=context.scratch,
            activation=self.activation, steady=context.steady,
        )  # fmt: skip
        return [Step(self.names, "multiply", *multiply, context.count * self.weight.size)]

    @property
    def weight(self) -> Array:
        """(inputs, outputs)"""
        return self.linear.parameters["weight"]

    def accepts(self, delta: FeatureMap) -> bool:
        """Return whether delta is a matrix."""
        return not delta.is_padded

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Compute the data gradient before the update changes the weights."""
        (dx,) = targets
        name = f"{self.linear.name}.weight"
        macs = context.count * self.weight.size
        steps = []
        if dx is not None:
            call = linear_calls.data_gradient(
                dy.vectors, self.weight, dx.map.vectors, threads=context.threads, scratch=context.scratch
            )
            steps.append(Step(self.names, "data gradient", *call, macs))
        does = "weight gradient"
        if name in context.updates:
            does = "weight gradient and update"
            update = linear_calls.Update(*context.updates[name])
        else:
            update = linear_calls.keep(context.gradients[name])
        db = context.gradients.get(f"{self.linear.name}.bias", np.zeros(0, context.dtype))
        call = linear_calls.weight_gradient(
            self.x.vectors, dy.vectors, db, update, threads=context.threads, scratch=context.scratch
        )
        return [*steps, Step(self.names, does, *call, macs)]
