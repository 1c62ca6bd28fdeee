"""A convolution whose filters each see one channel."""

from __future__ import annotations

import numpy as np

from rot180.engine.stage import Context, Target, Value, has_zeros_around
from rot180.engine.stage_convolution import ConvolutionStage
from rot180.engine.step import Step
from rot180.kernels.depthwise import repeat_channels, sum_repeats
from rot180.kernels.depthwise_calls import Depthwise
from rot180.kernels.feature_map import FeatureMap
from rot180.nn.layer import Layer, Shape


class DepthwiseStage(ConvolutionStage):
    """Conv2d with as many groups as channels, and ReLU; delta may be in any buffer."""

    def __init__(self, layers: list[Layer], inputs: list[Value], output_shape: Shape, relu: bool) -> None:
        super().__init__(layers, inputs, output_shape, relu)
        # Without columns of zeros, pixels at the edges would need tiles of their own; rows are always processed alone.
        self.padding = ((0, 0), self.geometry.padding[1])

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Convolve straight into the buffer that the next stages read."""
        (x,) = inputs
        self.hold(context, x, y)
        self.depthwise = Depthwise(self.weight, self.geometry, scratch=context.scratch)
        repeated, steps = self._repeated(context)
        convolve = self.depthwise.forward(repeated, y, self.finish(context, []))
        return [*steps, self.step("convolve", convolve, multiplies=True)]

    def new_delta(self, context: Context) -> FeatureMap:
        """Return a buffer with the columns of zeros that let all pixels of dx be computed alike."""
        return context.new_map(self.output_shape, ((0, 0), self.depthwise.delta_room()))

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Correlate delta with the input, and convolve it with the kernel backwards."""
        (dx,) = targets
        repeated, steps = self._repeated(context)
        dw = context.gradients[f"{self.conv.name}.weight"]
        correlate, add_up = self.depthwise.weight_gradient(repeated, dy, dw)
        steps += [self.step("weight gradient", correlate, multiplies=True), self.step("add up", add_up)]
        steps += self.bias_gradient(context, dy)
        if dx is None:
            return steps
        is_repeated = repeated is not self.x
        target = context.new_map((*self.input_shape[:2], self.output_shape[2])) if is_repeated else dx.map
        convolve = self.depthwise.data_gradient(dy, target, zeros_around=has_zeros_around(dy))
        steps.append(self.step("data gradient", convolve, multiplies=True))
        if is_repeated:
            sizes = np.array(dx.map.place, np.int64)
            steps.append(Step(self.names, "add up channels", sum_repeats, (target.array, dx.map.array, sizes)))
        return steps

    def _repeated(self, context: Context) -> tuple[FeatureMap, list[Step]]:
        """Return the input with each channel repeated for its filters, and the step that does so if necessary."""
        x, filters = self.x, self.output_shape[2]
        if filters == x.array.shape[3]:
            return x, []
        array = context.scratch((*x.array.shape[:3], filters))
        repeated = FeatureMap(array, x.top, x.left, x.height, x.width)
        return repeated, [Step(self.names, "repeat channels", repeat_channels, (x.array, array))]
