"""A convolution with dense delta: with or without ReLU, not followed by max pooling."""

from __future__ import annotations

from rot180.engine.stage import Context, Target
from rot180.engine.stage_convolution import ConvolutionStage
from rot180.engine.step import Step
from rot180.kernels.feature_map import NO_PADDING, FeatureMap, Sides


class DenseConvolutionStage(ConvolutionStage):
    """Conv2d and ReLU.

    Delta is in a padded buffer, over which the data gradient is again a convolution; with few channels it is folded
    from kernel rows instead, and delta may be in any buffer.
    """

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Convolve straight into the buffer that the next stages read."""
        x, *added = inputs
        self.hold(context, x, y)
        # For one image, packing would take longer than it saves.
        finish = self.finish(context, added)
        operand, convolve, pixels = self.calls.forward(x, y, finish, weights_in_place=context.count == 1)
        does = "pack weights" if pixels == 1 else f"pack weights for {pixels} pixels"
        pack = [self.step(does, operand.pack)] if operand.pack else []
        return [*pack, self.step("convolve", convolve, multiplies=True)]

    @property
    def delta_padding(self) -> Sides:
        """The zeros that the windows of the data gradient cover."""
        return NO_PADDING if self.calls.folds else ((0, 0), self.calls.delta_room())

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Correlate delta with the input, and convolve it with the rotated kernel."""
        (dx,) = targets
        steps = self.gradients(context, dy)
        if dx is None:
            return steps
        if self.calls.folds:
            pack, fold = self.calls.folded_data_gradient(dy, dx.map)
            steps.append(self.step("pack kernel rows", pack))
            return [*steps, self.step("data gradient by rows", fold, multiplies=True)]
        pack, parts = self.calls.data_gradient(dy, dx.map, dx.gate)
        dx.is_gated = dx.gate is not None
        steps.append(self.step("pack weights, rotated", pack))
        for number, (part, multiply_adds) in enumerate(parts, 1):
            does = "data gradient" if len(parts) == 1 else f"data gradient, part {number} of {len(parts)}"
            steps.append(Step(self.names, does, *part, multiply_adds))
        return steps
