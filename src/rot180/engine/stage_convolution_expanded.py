"""A 1x1 convolution with the depthwise convolution that follows, in inference."""

from __future__ import annotations

from rot180.engine.stage import Context, Stage, Target
from rot180.engine.stage_convolution_depthwise import DepthwiseStage
from rot180.engine.stage_convolution_pointwise import PointwiseStage
from rot180.engine.step import Step
from rot180.kernels.expansion_calls import expand_and_convolve_calls
from rot180.kernels.feature_map import FeatureMap


class ExpandedDepthwiseStage(Stage):
    """Two convolutions with what finishes each; the map between them never exists as a whole."""

    def __init__(self, expand: PointwiseStage, deep: DepthwiseStage) -> None:
        super().__init__([*expand.layers, *deep.layers], expand.inputs, deep.output_shape)
        self.expand, self.deep = expand, deep

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Compute y straight from x."""
        (x,) = inputs
        w, deep, geometry = self.expand.weight, self.deep.weight, self.deep.geometry
        convolve = expand_and_convolve_calls(
            x, w, self.expand.finish(context, []), deep, geometry, y, self.deep.finish(context, []),
            threads=context.threads, scratch=context.scratch,
        )  # fmt: skip
        return [Step(self.names, "multiply and convolve", *convolve, self.products(context.count))]

    def products(self, count: int) -> int:
        """Return the multiply-adds of so many images."""
        g = self.deep.geometry
        first, second = self.expand.weight.size, self.deep.weight.size
        return count * (g.height * g.width * first + g.out_height * g.out_width * second)

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Raise: there is no backward pass in inference."""
        raise TypeError(f"{self.names}: the map between the two convolutions is not kept")


def expands(expand: PointwiseStage, deep: DepthwiseStage) -> bool:
    """Return whether the second stage, which reads the first one's output, may run with it."""
    has_one_filter_each = deep.input_shape[2] == deep.output_shape[2]
    return len(expand.inputs) == 1 and expand.geometry.stride == (1, 1) and has_one_filter_each
