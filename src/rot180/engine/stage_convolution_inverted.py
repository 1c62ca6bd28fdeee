"""An inverted residual block, in inference: 1x1, depthwise and 1x1 convolution, and the sum with a shortcut."""

from __future__ import annotations

from rot180.engine.stage import Context, Stage, Target, Value
from rot180.engine.stage_convolution_expanded import ExpandedDepthwiseStage
from rot180.engine.stage_convolution_pointwise import PointwiseStage
from rot180.engine.step import Step
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.inverted_residual_calls import Convolved, inverted_residual

BALANCED = 0.9
"""The least part of the threads' time that must be used if whole images are units of work."""


class InvertedResidualStage(Stage):
    """Three convolutions with what finishes each, as one step if there are images enough for all threads.

    Otherwise the first two are one step, whose units of work are smaller, and the third another.
    """

    def __init__(self, expanded: ExpandedDepthwiseStage, reduce: PointwiseStage) -> None:
        inputs = [*expanded.inputs, *reduce.inputs[1:]]
        super().__init__([*expanded.layers, *reduce.layers], inputs, reduce.output_shape)
        self.expanded, self.reduce = expanded, reduce

    @property
    def overwritable(self) -> list[Value]:
        """What is added to the sums."""
        return self.inputs[1:]

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Compute y straight from x, or with the map before the last convolution in between."""
        x, *added = inputs
        if not is_balanced(context.count, context.threads):
            between = context.new_map(self.expanded.output_shape)
            steps = self.expanded.forward(context, [x], between)
            return [*steps, *self.reduce.forward(context, [between, *added], y)]
        expand, deep, reduce = self.expanded.expand, self.expanded.deep, self.reduce
        multiply = inverted_residual(
            x,
            Convolved(expand.weight, expand.finish(context, [])),
            Convolved(deep.weight, deep.finish(context, [])),
            deep.geometry,
            Convolved(reduce.weight, reduce.finish(context, added)),
            y,
            threads=context.threads,
            scratch=context.scratch,
        )
        products = self.expanded.products(context.count) + context.count * self._pixels * reduce.weight.size
        return [Step(self.names, "multiply, convolve, multiply", *multiply, products)]

    @property
    def _pixels(self) -> int:
        return self.output_shape[0] * self.output_shape[1]

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Raise: there is no backward pass in inference."""
        raise TypeError(f"{self.names}: the maps between the convolutions are not kept")


def is_balanced(images: int, threads: int) -> bool:
    """Return whether threads that share whole images are busy nearly all the time.

    >>> is_balanced(16, 2), is_balanced(3, 2), is_balanced(1, 1)
    (True, False, False)
    """
    return images > 1 and images >= BALANCED * threads * -(-images // threads)
