"""Pooling outside a convolution, of any window, stride and padding; average pooling with the activation before it."""

from __future__ import annotations

import numpy as np

from rot180.engine.elementwise_steps import KINDS
from rot180.engine.stage import Context, Stage, Target, Value
from rot180.engine.step import Step
from rot180.kernels.elementwise import NOTHING
from rot180.kernels.feature_map import FeatureMap, three
from rot180.kernels.pooling import avg_pool, max_pool, pool_sizes
from rot180.kernels.pooling_backward import avg_pool_backward, max_pool_backward, windows_lie_apart
from rot180.nn.activation import Sigmoid, Tanh
from rot180.nn.global_pooling import GlobalAvgPool2d, GlobalMaxPool2d
from rot180.nn.layer import Layer, Shape
from rot180.nn.pooling import AvgPool2d, MaxPool2d

FUSED = (Sigmoid, Tanh)
"""Activations that run inside average pooling."""


class PoolingStage(Stage):
    """Pooling of windows or of whole maps. The padding of a window is skipped, so the input needs none.

    A sigmoid or tanh before average pooling is applied to the input, in place.
    """

    def __init__(self, layers: list[Layer], inputs: list[Value], output_shape: Shape) -> None:
        super().__init__(layers, inputs, output_shape)
        *activations, pool = layers
        if not isinstance(pool, MaxPool2d | AvgPool2d | GlobalMaxPool2d | GlobalAvgPool2d):
            raise TypeError(f"not a pooling layer: {pool!r}")
        self.pool = pool
        self.activation, self.gate_kind = KINDS[type(activations[0])] if activations else (NOTHING, NOTHING)
        self.geometry = pool.geometry(self.input_shape)
        self.averages = isinstance(pool, AvgPool2d | GlobalAvgPool2d)
        self.counts_padding = bool(getattr(pool, "count_include_pad", True))

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Compute the maximum or the mean of each window."""
        x = self.x = inputs[0]
        if self.activation != NOTHING:
            context.keep(x)
        sizes = pool_sizes(self.geometry, x.place, y.place)
        if self.averages:
            call = (x.array, y.array, self.counts_padding, sizes, self.activation)
            return [Step(self.names, "mean", avg_pool, call)]
        taps = self.geometry.kernel[0] * self.geometry.kernel[1]
        self.winners = context.saved((context.count, *three(self.output_shape)), np.uint8 if taps <= 256 else np.int32)
        return [Step(self.names, "maximum", max_pool, (x.array, y.array, self.winners, sizes))]

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Send delta to the winners, or divide it equally."""
        (target,) = targets
        if target is None:
            return []
        dx = target.map
        sizes = pool_sizes(self.geometry, dx.place, dy.place)
        if self.averages:
            call = avg_pool_backward(dy.array, dx.array, self.counts_padding, sizes, self.gate_kind, self.x.array)
            return [Step(self.names, "share delta", *call)]
        return [Step(self.names, "delta to winners", *max_pool_backward(dy.array, self.winners, dx.array, sizes))]


def fuses_activation(activation: Layer, pool: Layer | None, shape: Shape) -> bool:
    """Return whether an activation can run inside the pooling that follows: a mean over windows that do not overlap."""
    if type(activation) not in FUSED or not isinstance(pool, AvgPool2d):
        return False
    return windows_lie_apart(pool_sizes(pool.geometry(shape)))
