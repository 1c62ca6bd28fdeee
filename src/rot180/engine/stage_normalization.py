"""Batch normalization, with the sum and the activation after it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rot180.engine.elementwise_steps import KINDS
from rot180.engine.halts import Mean
from rot180.engine.stage import Context, Gate, Stage, Target, Value, WholeBatch
from rot180.engine.stage_activation import FURTHER, kind_of
from rot180.engine.step import Step
from rot180.kernels import elementwise
from rot180.kernels.call import Call
from rot180.kernels.elementwise import NOTHING
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.memory import aligned
from rot180.kernels.normalization_calls import Normalization
from rot180.nn.activation import LeakyReLU, ReLU
from rot180.nn.batch_norm import BatchNorm2d, Normalized
from rot180.nn.joins import Add
from rot180.nn.layer import Layer, Shape
from rot180.ops.batch_norm import check_count
from rot180.ops.types import Array

FUSED = (ReLU, LeakyReLU, *FURTHER)
"""Activations that run inside the normalization before them."""


class BatchNormStage(Stage):
    """BatchNorm2d and an activation; or BatchNorm2d, Add with one other input, and ReLU.

    Without a sum, the activation's input is formed again from x in the backward pass, and y is not kept.

    If the batch is a part of a whole one, the pass halts for the mean over all parts: of mean and mean square, which
    give mean and variance of the whole, and of the two sums in dx. In float64, around the running mean, which is the
    same everywhere and soon near, the mean square loses no digits.
    """

    def __init__(self, layers: list[Layer], inputs: list[Value], output_shape: Shape) -> None:
        super().__init__(layers, inputs, output_shape)
        norm, *following = layers
        if not isinstance(norm, BatchNorm2d):
            raise TypeError(f"not BatchNorm2d: {norm!r}")
        self.norm = norm
        self.adds = bool(following) and isinstance(following[0], Add)
        activation = following[-1] if following and not isinstance(following[-1], Add) else None
        self.kind, self.slope = activation_kind(activation)
        self.keeps_output = self.adds and self.kind != NOTHING

    @property
    def overwritable(self) -> list[Value]:
        """The input, unless the backward pass needs it."""
        return [] if self.output.needs_delta else self.inputs[:1]

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Return the steps for mean and variance of the batch, if training, and for y."""
        x, *shortcut = inputs
        self.x = x
        channels = self.input_shape[-1]
        of_batch = context.training and not self.norm.frozen
        self.whole = context.whole if of_batch else None
        if of_batch:
            if self.whole is None:
                check_count((context.count, *self.input_shape))
            self.mean, self.var = aligned((channels,), context.dtype), aligned((channels,), context.dtype)
        else:
            self.mean, self.var = self.norm.statistics["running_mean"], self.norm.statistics["running_var"]
        calls = self._calls(context, self.kind)
        steps = [self._step("mean and variance", calls.moments(x))] if of_batch else []
        if self.whole is not None:
            steps += self._moments_of(self.whole)
        context.keep(x)
        if self.keeps_output:
            context.keep(y)
            self.gate = Gate(elementwise.GATE, y)
        return [*steps, self._step("normalize", calls.forward(x, y, *shortcut))]

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Return the steps for the gradients of scale and shift, and for dx; the other summand gets delta as it is."""
        target, *shortcut = targets
        if shortcut and shortcut[0] is not None:
            shortcut[0].give(dy)
        # The gate of an activation after a sum is applied beforehand.
        calls = self._calls(context, NOTHING if self.adds else self.kind)
        gradients = [self._gradient(context, name) for name in ("weight", "bias")]
        steps = [self._step("scale, shift gradients", calls.parameter_gradients(dy, self.x, *gradients))]
        if target is not None:
            if self.whole is not None:
                gradients, more = self._sums_of_whole(gradients)
                steps += more
            elif self.norm.frozen:  # mean and variance do not depend on x, so that nothing is subtracted from delta
                gradients = [np.zeros(self.input_shape[-1:], context.dtype) for _ in gradients]
            steps.append(self._step("data gradient", calls.data_gradient(dy, self.x, target.map, *gradients)))
        return steps

    def learn(self) -> None:
        """Include mean and variance of the batch in the running averages."""
        if self.whole is None:
            self.norm.learn(Normalized(self.x.inside, self.mean, self.var, not self.norm.frozen))
        else:
            self.norm.include(self.mean, self.var, self.whole.images * math.prod(self.input_shape[:-1]))

    def _moments_of(self, whole: WholeBatch) -> list[Step]:
        """Return the steps that replace mean and variance by those of the whole batch."""
        mean, var, around = self.mean, self.var, self.norm.statistics["running_mean"]
        numbers = np.empty((2, len(mean)))

        def give() -> Mean:
            check_count((whole.images, *self.input_shape))
            numbers[0] = mean.astype(np.float64) - around
            numbers[1] = var + numbers[0] ** 2
            return Mean(numbers.reshape(-1))

        def take() -> None:
            np.copyto(mean, around + numbers[0], casting="same_kind")
            np.copyto(var, np.maximum(numbers[1] - numbers[0] ** 2, 0), casting="same_kind")

        return self._shared(give, take)

    def _sums_of_whole(self, own: list[Array]) -> tuple[list[Array], list[Step]]:
        """Return arrays for the gradients of the whole batch, and the steps that fill them from those of the part.

        Both are of the mean loss over their images, and the kernel divides them by the part's.
        """
        numbers = np.empty((2, len(self.mean)))
        of_whole = [np.empty_like(array) for array in own]

        def give() -> Mean:
            for row, array in zip(numbers, own, strict=True):
                np.copyto(row, array)
            return Mean(numbers.reshape(-1))

        def take() -> None:
            for row, array in zip(numbers, of_whole, strict=True):
                np.copyto(array, row, casting="same_kind")

        return of_whole, self._shared(give, take)

    def _shared(self, give: Callable[[], Mean], take: Callable[[], None]) -> list[Step]:
        return [Step(self.names, "give to other parts", give, ()), Step(self.names, "take their mean", take, ())]

    def _calls(self, context: Context, kind: int) -> Normalization:
        gamma, beta = self.norm.scale_and_shift(self.x.inside)
        return Normalization(
            gamma, beta, self.mean, self.var, self.norm.eps, kind=kind, slope=self.slope,
            threads=context.threads, scratch=context.scratch,
        )  # fmt: skip

    def _gradient(self, context: Context, name: str) -> Array:
        """Return the array for a gradient, also where it is not learned: dx is computed from it."""
        target = context.gradients.get(f"{self.norm.name}.{name}")
        return context.scratch(self.input_shape[-1:]) if target is None else target

    def _step(self, does: str, call: Call) -> Step:
        return Step(self.names, does, *call)


def activation_kind(layer: Layer | None) -> tuple[int, float]:
    """Return the kind of an activation, and its number."""
    if layer is None:
        return NOTHING, 0.0
    if type(layer) in FURTHER:
        return kind_of(layer)
    return KINDS[type(layer)][0], float(getattr(layer, "slope", 0.0))
