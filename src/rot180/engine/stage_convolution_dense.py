"""A convolution with dense delta: with or without ReLU, not followed by max pooling."""

from __future__ import annotations

from rot180.engine.elementwise_steps import copy_step
from rot180.engine.stage import Context, Gate, Target, Value
from rot180.engine.stage_convolution import ConvolutionStage
from rot180.engine.step import Step
from rot180.kernels.elementwise import GATE
from rot180.kernels.feature_map import NO_PADDING, FeatureMap, Sides
from rot180.kernels.memory import aligned
from rot180.nn.layer import Layer, Shape


class DenseConvolutionStage(ConvolutionStage):
    """Conv2d and ReLU.

    Delta is in a padded buffer, over which the data gradient is again a convolution; with few channels it is folded
    from kernel rows instead, and delta may be in any buffer.
    """

    def __init__(self, layers: list[Layer], inputs: list[Value], output_shape: Shape, relu: bool) -> None:
        super().__init__(layers, inputs, output_shape, relu)
        self.keeps_output = relu

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Convolve straight into the buffer that the next stages read."""
        (x,) = inputs
        bias = self.hold(context, x)
        if self.relu:
            context.keep(y)
            self.gate = Gate(GATE, y)
        # For one image, packing would take longer than it saves.
        operand, convolve, pixels = self.calls.forward(x, bias, y, relu=self.relu, weights_in_place=context.count == 1)
        does = "pack weights" if pixels == 1 else f"pack weights for {pixels} pixels"
        pack = [self.step(does, operand.pack)] if operand.pack else []
        return [*pack, self.step("convolve", convolve, multiplies=True)]

    @property
    def _convolves_delta(self) -> bool:
        return self.geometry.stride == (1, 1) and not self.calls.folds

    @property
    def delta_padding(self) -> Sides:
        """The zeros that the windows of the data gradient cover."""
        if not self._convolves_delta:
            return NO_PADDING
        (top, height), (left, width) = self.calls.delta_room()
        return (top, height - top - self.output_shape[0]), (left, width - left - self.output_shape[1])

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Correlate delta with the input, and convolve it with the rotated kernel."""
        (dx,) = targets
        steps = self.gradients(context, dy)
        if dx is None:
            return steps
        if self.calls.folds:
            pack, fold = self.calls.folded_data_gradient(dy, dx.map)
            does = "pack kernel rows", "data gradient by rows"
        else:
            if not self._convolves_delta:
                spread = self._spread_delta(context)
                steps.append(copy_step(self.names, "spread delta by the stride", dy, spread, self.geometry.stride))
                dy = spread
            pack, fold = self.calls.data_gradient(dy, dx.map, dx.gate)
            dx.is_gated = dx.gate is not None
            does = "pack weights, rotated", "data gradient"
        return [*steps, self.step(does[0], pack), self.step(does[1], fold, multiplies=True)]

    def _spread_delta(self, context: Context) -> FeatureMap:
        """Return a buffer for delta with its pixels a stride apart, and zeros in between and around."""
        (top, height), (left, width) = self.calls.delta_room()
        g = self.geometry
        # Not shared: what is not written stays zero.
        array = aligned((context.count, height, width, self.output_shape[2]), context.dtype)
        spread = ((n - 1) * s + 1 for n, s in zip((g.out_height, g.out_width), g.stride, strict=True))
        return FeatureMap(array, top, left, *spread)
