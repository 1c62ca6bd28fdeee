"""The common part of all convolutions of a plan."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from rot180.engine.stage import Context, Gate, Stage, Value
from rot180.engine.step import Step
from rot180.kernels.call import Call
from rot180.kernels.convolution_calls import Convolution
from rot180.kernels.elementwise import GATE
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.finishing import Finish, biased
from rot180.kernels.winograd_calls import tiles_along
from rot180.kernels.winograd_transforms import POINTS
from rot180.kernels.winograd_weights_calls import filters_weights, weight_gradient_by_tiles
from rot180.nn.activation_piecewise import ReLU6
from rot180.nn.batch_norm import BatchNorm2d
from rot180.nn.conv2d import Conv2d
from rot180.nn.layer import Layer, Shape
from rot180.ops.geometry import geometry
from rot180.ops.types import Array


class ConvolutionStage(Stage):
    """Conv2d with the ReLU that follows, if any.

    In inference, also with a BatchNorm2d directly after the convolution, the sum with another value, and ReLU6: they
    finish the sums before these leave their registers.
    """

    CALLS: ClassVar[type[Convolution]] = Convolution
    """What makes the calls of its kernels."""

    def __init__(self, layers: list[Layer], inputs: list[Value], output_shape: Shape, relu: bool) -> None:
        super().__init__(layers, inputs, output_shape)
        conv = layers[0]
        if not isinstance(conv, Conv2d):
            raise TypeError(f"a convolution stage starts with Conv2d, not {conv!r}")
        self.conv, self.relu = conv, relu
        self.norm = next((layer for layer in layers[1:] if isinstance(layer, BatchNorm2d)), None)
        self.groups = conv.groups
        self.geometry = geometry(
            self.input_shape[0], self.input_shape[1], conv.kernel_size, stride=conv.stride, padding=conv.padding,
            dilation=conv.dilation, name=conv.name,
        )  # fmt: skip
        self.padding = self.geometry.padding
        self.keeps_output = relu

    @property
    def overwritable(self) -> list[Value]:
        """What is added to the sums."""
        return self.inputs[1:]

    @property
    def weight(self) -> Array:
        """(KH, KW, C/groups, F)"""
        return self.conv.parameters["weight"]

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and the largest output."""
        if isinstance(self.layers[-1], ReLU6):
            return 0.0, 6.0
        return (0.0, math.inf) if self.relu else (-math.inf, math.inf)

    def hold(self, context: Context, x: FeatureMap, y: FeatureMap | None = None) -> None:
        """Remember the input, and an output of ReLU, behind which delta passes where it is positive; prepare calls."""
        context.keep(x)
        self.x = x
        if self.relu and y is not None:
            context.keep(y)
            self.gate = Gate(GATE, y)
        self.calls = self.CALLS(
            self.weight, self.geometry, self.groups, count=context.count, threads=context.threads,
            scratch=context.scratch,
        )  # fmt: skip

    def bias(self, context: Context) -> Array:
        """Return the bias; zeros if there is none."""
        return self.conv.parameters.get("bias", np.zeros(self.weight.shape[3], context.dtype))

    def finish(self, context: Context, added: list[FeatureMap]) -> Finish:
        """Return what becomes of the sums; `added` are the inputs after the first."""
        bias = self.bias(context)
        made = biased(bias) if self.norm is None else Finish(*context.scale_and_shift(self.norm, bias))
        return made._replace(limits=self.limits, added=added[0] if added else None)

    def gradients(self, context: Context, dy: FeatureMap) -> list[Step]:
        """Return the steps that compute the gradients of weight and bias."""
        dw = context.gradients[f"{self.conv.name}.weight"]
        if filters_weights(self.conv.algorithm, self.geometry, self.groups, dw.shape, context.count):
            correlate = weight_gradient_by_tiles(
                self.x, dy, dw, self.geometry, threads=context.threads, scratch=context.scratch
            )
            steps = [self.in_tiles("weight gradient in tiles", correlate, self.outputs_size)]
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

    def in_tiles(self, does: str, call: Call, size: tuple[int, int], w_shape: tuple[int, ...] | None = None) -> Step:
        """Return a step of minimal filtering: maps of this size are in tiles, and weights have this shape."""
        taps, _, channels, filters = self.weight.shape if w_shape is None else w_shape
        tiles = self.calls.count * tiles_along(size[0], taps) * tiles_along(size[1], taps)
        return Step(self.names, does, *call, self.calls.multiply_adds, POINTS**2 * tiles * channels * filters)

    @property
    def outputs_size(self) -> tuple[int, int]:
        """Rows and columns of the convolution's output, before a pooling that it may include."""
        return self.geometry.out_height, self.geometry.out_width
