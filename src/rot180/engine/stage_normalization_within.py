"""Group, instance and layer normalization."""

from __future__ import annotations

import numpy as np

from rot180.engine.stage import Context, Stage, Target, Value
from rot180.engine.stage_normalization import activation_kind
from rot180.engine.step import Step
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.normalization_within_calls import GroupNormalization, LayerNormalization
from rot180.nn.group_norm import GroupNorm, InstanceNorm2d, LayerNorm
from rot180.nn.layer import Layer, Shape
from rot180.ops.types import Array


class NormalizationWithinStage(Stage):
    """GroupNorm or InstanceNorm2d and an activation, whose input is formed again in the backward pass; or LayerNorm of
    the channels of each pixel."""

    def __init__(self, layers: list[Layer], inputs: list[Value], output_shape: Shape) -> None:
        super().__init__(layers, inputs, output_shape)
        self.norm = layers[0]
        self.kind, self.slope = activation_kind(layers[1] if len(layers) > 1 else None)

    @property
    def overwritable(self) -> list[Value]:
        """The input, unless the backward pass needs it."""
        return [] if self.output.needs_delta else self.inputs

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """y = f(gamma * xhat + beta)"""
        (x,) = inputs
        context.keep(x)
        self.x = x
        return [Step(self.names, "normalize", *self._calls(context).forward(x, y))]

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Return the step that computes dx and the gradients of scale and shift."""
        (target,) = targets
        dx = context.new_map(self.input_shape) if target is None else target.map
        gradients = context.scratch((2, self.input_shape[-1]))
        steps = [Step(self.names, "data gradient", *self._calls(context).backward(dy, self.x, dx, gradients))]
        if self.norm.parameters:
            stored = [context.gradients[f"{self.norm.name}.{name}"] for name in ("weight", "bias")]
            steps.append(Step(self.names, "scale, shift gradients", _store, (gradients, *stored)))
        return steps

    def _calls(self, context: Context) -> GroupNormalization | LayerNormalization:
        norm, scratch = self.norm, context.scratch
        if not isinstance(norm, GroupNorm | InstanceNorm2d | LayerNorm):
            raise TypeError(f"not a normalization within an image: {norm!r}")
        gamma, beta = norm.scale_and_shift(self.x.array)
        if isinstance(norm, LayerNorm):
            return LayerNormalization(gamma, beta, norm.eps, scratch=scratch)
        return GroupNormalization(
            gamma, beta, norm.groups_of(self.input_shape[-1]), norm.eps, kind=self.kind, slope=self.slope,
            threads=context.threads, scratch=scratch,
        )  # fmt: skip


def _store(gradients: Array, dgamma: Array, dbeta: Array) -> None:
    np.copyto(dgamma, gradients[0])
    np.copyto(dbeta, gradients[1])
