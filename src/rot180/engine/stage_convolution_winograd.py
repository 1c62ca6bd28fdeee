"""A convolution by minimal filtering: fewer multiplications, tile by tile."""

from __future__ import annotations

from rot180.engine.stage import Context, Gate, Target, Value, widest
from rot180.engine.stage_convolution import ConvolutionStage
from rot180.engine.step import Step
from rot180.kernels.call import Call
from rot180.kernels.elementwise import GATE
from rot180.kernels.feature_map import FeatureMap, Sides
from rot180.kernels.turning import turn
from rot180.kernels.winograd import transform_weights
from rot180.kernels.winograd_calls import Winograd, delta_room, image_room
from rot180.nn.layer import Layer, Shape

_PREPARES = {transform_weights: "transform weights", turn: "rotate weights"}


class WinogradStage(ConvolutionStage):
    """Conv2d with a 3x3 or 5x5 kernel, and ReLU.

    The input and delta are in buffers with as many zeros around them as whole tiles reach.
    """

    def __init__(self, layers: list[Layer], inputs: list[Value], output_shape: Shape, relu: bool) -> None:
        super().__init__(layers, inputs, output_shape, relu)
        self.keeps_output = relu
        self.padding = widest([self.geometry.padding, image_room(self.geometry)])

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Convolve straight into the buffer that the next stages read."""
        (x,) = inputs
        bias = self.hold(context, x)
        if self.relu:
            context.keep(y)
            self.gate = Gate(GATE, y)
        self.filtering = Winograd(
            self.weight, self.geometry, count=context.count, threads=context.threads, scratch=context.scratch
        )
        return self._steps("convolve in tiles", self.filtering.forward(x, y, bias, limits=self.limits))

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
        calls = self.filtering.data_gradient(dy, dx.map, dx.gate)
        dx.is_gated = dx.gate is not None
        return [*steps, *self._steps("data gradient in tiles", calls)]

    def _steps(self, does: str, calls: list[Call]) -> list[Step]:
        *prepare, convolve = calls
        steps = [self.step(_PREPARES[call.kernel], call) for call in prepare]
        return [*steps, self.step(does, convolve, multiplies=True)]
