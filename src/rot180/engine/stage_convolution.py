"""The common part of all convolutions of a plan."""

from __future__ import annotations

import numpy as np

from rot180.engine.stage import Context, Stage, Value
from rot180.engine.step import Step
from rot180.kernels.call import Call
from rot180.kernels.convolution_calls import Convolution
from rot180.kernels.feature_map import FeatureMap
from rot180.nn.conv2d import Conv2d
from rot180.nn.layer import Layer, Shape
from rot180.ops.geometry import geometry
from rot180.ops.types import Array


class ConvolutionStage(Stage):
    """Conv2d with the ReLU that follows, if any."""

    def __init__(self, layers: list[Layer], inputs: list[Value], output_shape: Shape, relu: bool) -> None:
        super().__init__(layers, inputs, output_shape)
        self.conv, self.relu = layers[0], relu
        conv = self.conv
        if not isinstance(conv, Conv2d):
            raise TypeError(f"a convolution stage starts with Conv2d, not {conv!r}")
        self.groups = conv.groups
        self.geometry = geometry(
            self.input_shape[0], self.input_shape[1], conv.kernel_size, stride=conv.stride, padding=conv.padding,
            dilation=conv.dilation, name=conv.name,
        )  # fmt: skip
        self.padding = self.geometry.padding

    @property
    def weight(self) -> Array:
        """(KH, KW, C/groups, F)"""
        return self.conv.parameters["weight"]

    def hold(self, context: Context, x: FeatureMap) -> Array:
        """Remember the input, and prepare the calls; return the bias, zeros if there is none."""
        context.keep(x)
        self.x = x
        self.calls = Convolution(
            self.weight, self.geometry, self.groups, count=context.count, threads=context.threads,
            scratch=context.scratch,
        )  # fmt: skip
        return self.conv.parameters.get("bias", np.zeros(self.weight.shape[3], context.dtype))

    def gradients(self, context: Context, dy: FeatureMap) -> list[Step]:
        """Return the steps that compute the gradients of weight and bias."""
        correlate, add_up = self.calls.weight_gradient(self.x, dy, context.gradients[f"{self.conv.name}.weight"])
        steps = [self.step("weight gradient", correlate, multiplies=True)]
        if add_up:
            steps.append(self.step("add up", add_up))
        return [*steps, *self.bias_gradient(context, dy)]

    def bias_gradient(self, context: Context, dy: FeatureMap) -> list[Step]:
        """Return the step that computes the gradient of the bias, if there is one."""
        if "bias" not in self.conv.parameters:
            return []
        db = context.gradients[f"{self.conv.name}.bias"]
        return [self.step("bias gradient", self.calls.bias_gradient(dy, db))]

    def step(self, does: str, call: Call, *, multiplies: bool = False) -> Step:
        """Return a call as a step of the plan."""
        return Step(self.names, does, *call, self.calls.multiply_adds if multiplies else 0)
