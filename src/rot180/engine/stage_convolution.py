"""The common part of all convolutions of a plan."""

from __future__ import annotations

import math

import numpy as np

from rot180.engine.stage import Context, Stage, Value
from rot180.engine.step import Step
from rot180.kernels.call import Call
from rot180.kernels.convolution_calls import Convolution
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.normalization import fold
from rot180.kernels.winograd_weights_calls import filters_weights, weight_gradient_by_tiles
from rot180.nn.activation_piecewise import ReLU6
from rot180.nn.batch_norm import BatchNorm2d
from rot180.nn.conv2d import Conv2d
from rot180.nn.layer import Layer, Shape
from rot180.ops.geometry import geometry
from rot180.ops.types import Array


class ConvolutionStage(Stage):
    """Conv2d with the ReLU that follows, if any.

    In inference, a BatchNorm2d directly after the convolution is folded into its weights, anew for each batch.
    """

    def __init__(self, layers: list[Layer], inputs: list[Value], output_shape: Shape, relu: bool) -> None:
        super().__init__(layers, inputs, output_shape)
        conv = layers[0]
        if not isinstance(conv, Conv2d):
            raise TypeError(f"a convolution stage starts with Conv2d, not {conv!r}")
        self.conv, self.relu = conv, relu
        self.norm = next((layer for layer in layers[1:] if isinstance(layer, BatchNorm2d)), None)
        self._folded: Array | None = None
        self.groups = conv.groups
        self.geometry = geometry(
            self.input_shape[0], self.input_shape[1], conv.kernel_size, stride=conv.stride, padding=conv.padding,
            dilation=conv.dilation, name=conv.name,
        )  # fmt: skip
        self.padding = self.geometry.padding

    @property
    def weight(self) -> Array:
        """(KH, KW, C/groups, F)"""
        return self.conv.parameters["weight"] if self._folded is None else self._folded

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and the largest output."""
        if isinstance(self.layers[-1], ReLU6):
            return 0.0, 6.0
        return (0.0, math.inf) if self.relu else (-math.inf, math.inf)

    def hold(self, context: Context, x: FeatureMap) -> Array:
        """Remember the input, and prepare the calls; return the bias, zeros if there is none."""
        context.keep(x)
        self.x = x
        bias = self.conv.parameters.get("bias", np.zeros(self.weight.shape[3], context.dtype))
        if self.norm is not None:
            bias = self._fold(context, self.norm, bias)
        self.calls = Convolution(
            self.weight, self.geometry, self.groups, count=context.count, threads=context.threads,
            scratch=context.scratch,
        )  # fmt: skip
        return bias

    def _fold(self, context: Context, norm: BatchNorm2d, bias: Array) -> Array:
        """Fold the normalization into weights and bias, and return the latter."""
        w = self.conv.parameters["weight"]
        filters = w.shape[3]
        folded, scale, shift = context.scratch(w.shape), context.scratch((filters,)), context.scratch((filters,))
        given = (norm.statistics["running_mean"], norm.statistics["running_var"], *norm.scale_and_shift(w))
        call = (w.reshape(-1, filters), bias, *given, norm.eps, scale, folded.reshape(-1, filters), shift)
        context.steps.append(Step(self.names, "fold normalization", fold, call))
        self._folded = folded
        return shift

    def gradients(self, context: Context, dy: FeatureMap) -> list[Step]:
        """Return the steps that compute the gradients of weight and bias."""
        dw = context.gradients[f"{self.conv.name}.weight"]
        if filters_weights(self.conv.algorithm, self.geometry, self.groups, dw.shape, context.count):
            correlate = weight_gradient_by_tiles(
                self.x, dy, dw, self.geometry, threads=context.threads, scratch=context.scratch
            )
            steps = [self.step("weight gradient in tiles", correlate, multiplies=True)]
        else:
            correlate, add_up = self.calls.weight_gradient(self.x, dy, dw)
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
