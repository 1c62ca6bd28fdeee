"""A strided convolution by minimal filtering, over images rearranged from space to depth."""

from __future__ import annotations

from rot180.engine.stage import Context
from rot180.engine.stage_convolution_dense import DenseConvolutionStage
from rot180.engine.step import Step
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.space_to_depth_calls import Rearranged


class RearrangedStage(DenseConvolutionStage):
    """Conv2d with stride, and ReLU; the data gradient, which a first layer has not, is that of dense convolution."""

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Rearrange the input, and convolve it straight into the buffer that the next stages read."""
        x, *added = inputs
        self.hold(context, x, y)
        self.rearranged = Rearranged(
            self.weight, self.geometry, count=context.count, threads=context.threads, scratch=context.scratch
        )
        self.deep = context.saved(self.rearranged.deep_shape)
        spread, *prepare, convolve = self.rearranged.forward(self.deep, y, self.finish(context, added))
        return [
            self.step("space to depth", self.rearranged.to_depth(x, self.deep)),
            self.step("rearrange weights", spread),
            *(self.step("transform weights", call) for call in prepare),
            self.in_tiles("convolve in tiles", convolve, self.outputs_size, self.rearranged.taps_shape),
        ]

    def gradients(self, context: Context, dy: FeatureMap) -> list[Step]:
        """Return the steps that compute the gradients of weight and bias."""
        dw = context.gradients[f"{self.conv.name}.weight"]
        correlate, order = self.rearranged.weight_gradient(self.deep, dy, dw)
        return [
            self.in_tiles("weight gradient in tiles", correlate, self.outputs_size, self.rearranged.taps_shape),
            self.step("order weight gradient", order),
            *self.bias_gradient(context, dy),
        ]
