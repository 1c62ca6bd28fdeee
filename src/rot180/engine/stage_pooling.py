"""Pooling that does not run inside a convolution: any window, stride and padding."""

from __future__ import annotations

import numpy as np

from rot180.engine.feature_map import FeatureMap
from rot180.engine.stage import Context, Stage
from rot180.engine.step import Step
from rot180.kernels.memory import aligned
from rot180.kernels.pooling import avg_pool, max_pool, pool_sizes
from rot180.kernels.pooling_backward import avg_pool_backward, max_pool_backward
from rot180.nn.layer import Layer, Shape
from rot180.nn.pooling import AvgPool2d, MaxPool2d
from rot180.ops.geometry import geometry


class PoolingStage(Stage):
    """MaxPool2d or AvgPool2d. What lies around a window is left out, so the input needs no padding."""

    def __init__(self, layers: list[Layer], input_shape: Shape, output_shape: Shape) -> None:
        super().__init__(layers, input_shape, output_shape)
        (pool,) = layers
        if not isinstance(pool, MaxPool2d | AvgPool2d):
            raise TypeError(f"not a pooling layer: {pool!r}")
        self.pool = pool
        self.geometry = geometry(
            input_shape[0], input_shape[1], pool.kernel_size, stride=pool.stride, padding=pool.padding, name=pool.name
        )

    def forward(self, context: Context, x: FeatureMap, y: FeatureMap) -> list[Step]:
        """Take the largest or the mean of each window."""
        sizes = pool_sizes(self.geometry, x.place, y.place)
        if isinstance(self.pool, AvgPool2d):
            return [Step(self.names, "mean", avg_pool, (x.array, y.array, self.pool.count_include_pad, sizes))]
        taps = self.geometry.kernel[0] * self.geometry.kernel[1]
        self.winners = aligned((context.count, *self.output_shape), np.uint8 if taps <= 256 else np.int32)
        return [Step(self.names, "maximum", max_pool, (x.array, y.array, self.winners, sizes))]

    def backward(
        self, context: Context, dy: FeatureMap, dx: FeatureMap | None, gate: FeatureMap | None
    ) -> tuple[list[Step], FeatureMap | None, bool]:
        """Send delta to the winners, or share it equally."""
        if dx is None:
            return [], None, False
        sizes = pool_sizes(self.geometry, dx.place, dy.place)
        if isinstance(self.pool, AvgPool2d):
            call = (dy.array, dx.array, self.pool.count_include_pad, sizes)
            return [Step(self.names, "share delta", avg_pool_backward, call)], dx, False
        arguments = (dy.array, self.winners, dx.array, sizes)
        return [Step(self.names, "delta to winners", max_pool_backward, arguments)], dx, False
