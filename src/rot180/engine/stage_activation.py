"""The activations of deeper networks."""

from __future__ import annotations

import numpy as np

from rot180.engine.stage import Context, Stage, Target, Value
from rot180.engine.step import Step
from rot180.kernels import activation as kinds
from rot180.kernels.channelwise import parts_of, period_of
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.learned_slope import prelu, prelu_backward
from rot180.nn.activation_piecewise import ELU, Hardsigmoid, Hardswish, ReLU6
from rot180.nn.activation_smooth import GELU, SiLU
from rot180.nn.layer import Layer, Shape

FURTHER: dict[type[Layer], int] = {
    ReLU6: kinds.RELU6,
    Hardsigmoid: kinds.HARD_SIGMOID,
    Hardswish: kinds.HARD_SWISH,
    ELU: kinds.ELU,
    SiLU: kinds.SILU,
    GELU: kinds.GELU,
}
"""Activations of `kernels.activation`; those of `kernels.elementwise` have kernels of their own."""


def kind_of(layer: Layer) -> tuple[int, float]:
    """Return the kind of one of these activations, and its number."""
    if isinstance(layer, GELU) and layer.approximate == "tanh":
        return kinds.GELU_TANH, 0.0
    return FURTHER[type(layer)], float(getattr(layer, "alpha", 0.0))


class FurtherActivationStage(Stage):
    """ReLU6, Hardsigmoid, Hardswish, ELU, SiLU, GELU: in place if the derivative follows from the output."""

    def __init__(self, layers: list[Layer], inputs: list[Value], output_shape: Shape) -> None:
        super().__init__(layers, inputs, output_shape)
        self.kind, self.slope = kind_of(layers[0])
        self.keeps_output = self.kind in kinds.SAVES_OUTPUT

    @property
    def overwritable(self) -> list[Value]:
        """The input, unless the backward pass needs it."""
        return self.inputs if self.keeps_output or not self.output.needs_delta else []

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """y = f(x)"""
        (x,) = inputs
        self.kept_map = y if self.keeps_output else x
        context.keep(self.kept_map)
        sizes = np.array([x.height, x.width, *x.place, *y.place], np.int64)
        return [Step(self.names, "activate", kinds.apply, (self.kind, x.array, y.array, self.slope, sizes))]

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """dx = dy * f'"""
        (target,) = targets
        if target is None:
            return []
        dx, kept = target.map, self.kept_map
        sizes = np.array([dy.height, dy.width, *dy.place, *kept.place, *dx.place], np.int64)
        call = (self.kind, dy.array, kept.array, dx.array, self.slope, sizes)
        return [Step(self.names, "gate", kinds.apply_gate, call)]


class PReLUStage(Stage):
    """A ReLU with a learned slope for each channel."""

    @property
    def overwritable(self) -> list[Value]:
        """The input, unless the backward pass needs it."""
        return [] if self.output.needs_delta else self.inputs

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """y = x where x > 0, else slope * x"""
        (x,) = inputs
        context.keep(x)
        self.x, self.slope = x, self.layers[0].parameters["weight"]
        sizes = np.array([x.height, x.width, *x.place, *y.place], np.int64)
        table = context.scratch((self._period(context),))
        return [Step(self.names, "activate", prelu, (x.array, self.slope, y.array, table, sizes))]

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Return the step that computes the gradients of the slopes, and dx with them."""
        (target,) = targets
        x, period = self.x, self._period(context)
        dx = context.new_map(self.input_shape) if target is None else target.map
        shape = (parts_of(context.count * x.height), period)
        scratch = (context.scratch((period,)), context.scratch(shape), context.scratch(shape, np.float64))
        sizes = np.array([dy.height, dy.width, *dy.place, *x.place, *dx.place], np.int64)
        dslope = context.gradients[f"{self.layers[0].name}.weight"]
        call = (dy.array, x.array, self.slope, dx.array, dslope, *scratch, sizes)
        return [Step(self.names, "gate, slope gradient", prelu_backward, call)]

    def _period(self, context: Context) -> int:
        return period_of(self.x.array.shape[3], self.x.width, context.dtype)
