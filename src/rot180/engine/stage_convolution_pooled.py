"""A convolution fused with the max pooling that follows."""

from __future__ import annotations

import math

import numpy as np

from rot180.engine.stage import Context, Target, Value
from rot180.engine.stage_convolution import ConvolutionStage
from rot180.engine.step import Step
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.normalization import fold
from rot180.kernels.pooled_calls import PooledConvolution
from rot180.kernels.winner_calls import WinnerGradients
from rot180.nn.batch_norm import BatchNorm2d
from rot180.nn.conv2d import Conv2d
from rot180.nn.layer import Layer, Shape
from rot180.nn.pooling import MaxPool2d
from rot180.ops.types import Array


class PooledConvolutionStage(ConvolutionStage):
    """Conv2d, max pooling over adjacent windows, and ReLU before or after it.

    Delta is not brought back to the size of the convolution's output: both gradients visit only the winners.
    """

    CALLS = PooledConvolution
    calls: PooledConvolution

    def __init__(
        self, layers: list[Layer], inputs: list[Value], output_shape: Shape, relu: bool, pool: MaxPool2d
    ) -> None:
        super().__init__(layers, inputs, output_shape, relu)
        self.pool = pool
        self.keeps_output = False  # winners say where delta passes
        self._folded: Array | None = None

    @property
    def weight(self) -> Array:
        """(KH, KW, C, F); with the normalization, if there is one: a negative scale would turn maxima into minima."""
        return super().weight if self._folded is None else self._folded

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Convolve and pool straight into the next stage's buffer."""
        (x,) = inputs
        bias = self.bias(context)
        if self.norm is not None:
            bias = self._fold(context, self.norm, bias)
        self.hold(context, x)
        self.winners = context.saved((context.count, y.height, y.width, self.weight.shape[3]), np.uint8)
        window = self.pool.kernel_size
        operand, convolve = self.calls.pooled(x, y, self.winners, bias, window, relu=self.relu)
        pack = [self.step("pack weights", operand.pack)] if operand.pack else []
        return [*pack, self.step("convolve and pool", convolve, multiplies=True)]

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Visit the winners, wherever delta is; where they are listed, part by part of a large batch."""
        (dx,) = targets
        gradients = WinnerGradients(self.calls, self.x, self.winners, self.pool.kernel_size)
        dw = context.gradients[f"{self.conv.name}.weight"]
        db = context.gradients.get(f"{self.conv.name}.bias", np.zeros(self.weight.shape[3], context.dtype))
        if dx is None and not gradients.needs_lists:
            gather = gradients.weight_gradient_by_window(dy, dw, db)
            return [self.step("weight gradient from winners", gather, multiplies=True)]
        steps, spread = [], None
        if dx is not None:
            x = self.x
            spread = context.map_inside(gradients.delta_size, x.top, x.left, x.height, x.width, zeros_around=False)
            dx.give(spread)
            if calls := gradients.data_gradient_by_window(dy, spread):
                steps.append(self.step("pack weights by filter", calls[0]))
                steps.append(self.step("data gradient from winners", calls[1], multiplies=True))
                spread = None
        pack, parts, order = gradients.from_lists(dy, dw, db, spread)
        if pack:
            steps.append(self.step("pack weights by filter", pack))
        for part in parts:
            share = self.calls.multiply_adds * (part.images.stop - part.images.start) // context.count
            steps.append(self.step("list winners", part.listing))
            steps.append(Step(self.names, "weight gradient from winners", *part.weight_gradient, share))
            if part.data_gradient:
                steps.append(Step(self.names, "data gradient from winners", *part.data_gradient, share))
        return [*steps, self.step("order weight gradient", order)]

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


def fuses_pool(conv: Conv2d, pool: Layer, shape: Shape) -> bool:
    """Return whether max pooling can run inside the convolution: adjacent, few enough windows, no padding."""
    return (
        isinstance(pool, MaxPool2d)
        and conv.groups == 1
        and conv.dilation[1] == 1
        and pool.stride == pool.kernel_size
        and 1 < math.prod(pool.kernel_size) < 255
        and not pool.geometry(shape).is_padded
    )
