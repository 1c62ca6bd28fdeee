"""A 1x1 convolution as a matrix product."""

from __future__ import annotations

from rot180.engine.stage import Context, Target
from rot180.engine.stage_convolution import ConvolutionStage
from rot180.engine.step import Step
from rot180.kernels.clearing import clear
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.pointwise_calls import Pointwise


class PointwiseStage(ConvolutionStage):
    """Conv2d with a 1x1 kernel, and ReLU; delta may be in any buffer."""

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Multiply straight into the buffer that the next stages read."""
        x, *added = inputs
        self.hold(context, x, y)
        self.products = Pointwise(self.weight, self.geometry, threads=context.threads, scratch=context.scratch)
        # In inference, packing takes as long as it saves, and with two cores longer.
        finish = self.finish(context, added)
        pack, multiply = self.products.forward(x, y, finish, weights_in_place=not context.training)
        packing = [self.step("pack weights", pack)] if pack else []
        return [*packing, self.step("multiply", multiply, multiplies=True)]

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Correlate delta with the input, and multiply it by the weights transposed."""
        (dx,) = targets
        steps = self.gradients(context, dy)
        if dx is None:
            return steps
        if self.geometry.stride != (1, 1):
            steps.append(Step(self.names, "clear", clear, (dx.map.array,)))
        pack, multiply = self.products.data_gradient(dy, dx.map, dx.gate)
        dx.is_gated = dx.gate is not None
        return [
            *steps,
            self.step("pack weights, transposed", pack),
            self.step("data gradient", multiply, multiplies=True),
        ]
