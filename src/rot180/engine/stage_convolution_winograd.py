"""A convolution by minimal filtering: fewer multiplications, tile by tile."""

from __future__ import annotations

import numpy as np

from rot180.engine.stage import Context, Target, Value, widest
from rot180.engine.stage_convolution import ConvolutionStage
from rot180.engine.stage_convolution_pooled import PooledConvolutionStage
from rot180.engine.step import Step
from rot180.kernels.call import Call
from rot180.kernels.feature_map import FeatureMap, Sides
from rot180.kernels.pooling import pool_sizes
from rot180.kernels.pooling_backward import max_pool_backward
from rot180.kernels.winograd_calls import Winograd, delta_room, image_room
from rot180.nn.layer import Layer, Shape
from rot180.nn.pooling import MaxPool2d

SPREAD = 3
"""Taps of the kernels whose gradients need dense delta behind max pooling."""


class WinogradStage(ConvolutionStage):
    """Conv2d with a 3x3 or 5x5 kernel, and ReLU.

    The input and delta are in buffers with as many zeros around them as whole tiles reach.
    """

    def __init__(self, layers: list[Layer], inputs: list[Value], output_shape: Shape, relu: bool) -> None:
        super().__init__(layers, inputs, output_shape, relu)
        self.padding = widest([self.geometry.padding, image_room(self.geometry)])

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Convolve straight into the buffer that the next stages read."""
        x, *added = inputs
        self.hold(context, x, y)
        self.filtering = _filtering(self, context)
        return _steps(self, "convolve in tiles", self.filtering.forward(x, y, self.finish(context, added)))

    @property
    def delta_padding(self) -> Sides:
        """The zeros that the tiles of the data gradient reach."""
        return delta_room(self.geometry)

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Correlate delta with the input, and convolve it with the rotated kernel."""
        (dx,) = targets
        steps = self.gradients(context, dy)
        if dx is None:
            return steps
        return [*steps, *_data_gradient(self, self.filtering, dy, dx)]


class PooledWinogradStage(PooledConvolutionStage):
    """Conv2d with a 3x3 or 5x5 kernel, max pooling of 2x2, and ReLU before or after it.

    Of 5x5, both gradients visit winners only, as in direct convolution. Of 3x3, it is faster to spread delta first.
    """

    def __init__(
        self, layers: list[Layer], inputs: list[Value], output_shape: Shape, relu: bool, pool: MaxPool2d
    ) -> None:
        super().__init__(layers, inputs, output_shape, relu, pool)
        self.padding = widest([self.geometry.padding, image_room(self.geometry)])

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Convolve and pool straight into the next stage's buffer."""
        (x,) = inputs
        self.hold(context, x)
        self.winners = context.saved((context.count, y.height, y.width, y.array.shape[3]), np.uint8)
        self.filtering = _filtering(self, context)
        calls = self.filtering.pooled(x, y, self.winners, self.finish(context, []))
        return _steps(self, "convolve in tiles and pool", calls)

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Spread delta, wherever it is, and go on as if there were no pooling; or list the winners."""
        if self.geometry.kernel[0] != SPREAD:
            return super().backward(context, dy, targets)
        (dx,) = targets
        g = self.geometry
        shape = (g.out_height, g.out_width, self.output_shape[2])
        delta = context.new_map(shape, delta_room(g))
        sizes = pool_sizes(self.pool.geometry(shape), delta.place, dy.place)
        spread = max_pool_backward(dy.array, self.winners, delta.array, sizes)
        steps = [self.step("delta to winners", spread), *self.gradients(context, delta)]
        return steps if dx is None else [*steps, *_data_gradient(self, self.filtering, delta, dx)]


def _filtering(stage: ConvolutionStage, context: Context) -> Winograd:
    return Winograd(stage.weight, stage.geometry, count=context.count, threads=context.threads, scratch=context.scratch)


def _data_gradient(stage: ConvolutionStage, filtering: Winograd, delta: FeatureMap, dx: Target) -> list[Step]:
    so_far = dx.so_far
    dx.is_added = so_far is not None
    gate = dx.gate_of_sum if dx.is_added else dx.gate
    dx.is_gated = gate is not None
    calls = filtering.data_gradient(delta, so_far or dx.map, gate, add=dx.is_added)
    return _steps(stage, "data gradient in tiles", calls, (stage.geometry.height, stage.geometry.width))


def _steps(stage: ConvolutionStage, does: str, calls: list[Call], size: tuple[int, int] | None = None) -> list[Step]:
    """Return calls as steps; maps of this size are in tiles, by default the outputs."""
    *prepare, convolve = calls
    steps = [stage.step("transform weights", call) for call in prepare]
    return [*steps, stage.in_tiles(does, convolve, size or stage.outputs_size)]
