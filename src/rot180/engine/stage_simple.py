"""Stages of one layer each: activations, dropout, flattening, and layers without a compiled kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rot180.engine.feature_map import FeatureMap
from rot180.engine.gating import KINDS, activate_step, combine_step, copy_step
from rot180.engine.stage import Context, Stage
from rot180.engine.step import Step
from rot180.errors import ArgumentError
from rot180.kernels.elementwise import (
    GATE,
    MULTIPLY,
    NOISY_RELU,
    RELU,
)
from rot180.kernels.softmax_rows import softmax_backward_rows, softmax_rows
from rot180.nn.activation import NoisyReLU, Softmax
from rot180.nn.contract import own_backward, own_forward
from rot180.nn.dropout import Dropout
from rot180.nn.layer import Layer, Shape

Backward = tuple[list[Step], FeatureMap | None, bool]


class ActivationStage(Stage):
    """ReLU, LeakyReLU, Sigmoid, Tanh: in place, since their derivatives follow from their outputs."""

    in_place = True
    keeps_output = True

    def forward(self, context: Context, x: FeatureMap, y: FeatureMap) -> list[Step]:
        """y = f(x)"""
        self.y = y
        self.kind, self.gate_kind = KINDS[type(self.layers[0])]
        self.slope = float(getattr(self.layers[0], "slope", 0.0))
        return [activate_step(self.names, "activate", self.kind, x, y, self.slope)]

    def backward(self, context: Context, dy: FeatureMap, dx: FeatureMap | None, gate: FeatureMap | None) -> Backward:
        """dx = dy * f'"""
        if dx is None:
            return [], None, False
        return [combine_step(self.names, "gate", self.gate_kind, dy, self.y, dx, self.slope)], dx, False


class NoisyReLUStage(Stage):
    """max(0, x + noise) in training, ReLU otherwise."""

    in_place = True
    keeps_output = True

    def forward(self, context: Context, x: FeatureMap, y: FeatureMap) -> list[Step]:
        """Draw the noise as the layer does, then add it."""
        self.y = y
        sigma = getattr(self.layers[0], "sigma", 0.0)
        if not context.training or sigma == 0:
            return [activate_step(self.names, "activate", RELU, x, y)]
        noise = context.new_map(self.input_shape)

        def draw(array: np.ndarray[Any, Any], source: dict[str, np.random.Generator | None]) -> None:
            needed(source, self.names).standard_normal(array.shape, dtype=array.dtype.type, out=array)
            array *= array.dtype.type(sigma)

        return [
            Step(self.names, "draw noise", draw, (noise.array, context.generator)),
            combine_step(self.names, "activate", NOISY_RELU, x, noise, y),
        ]

    def backward(self, context: Context, dy: FeatureMap, dx: FeatureMap | None, gate: FeatureMap | None) -> Backward:
        """dx = dy where y > 0"""
        if dx is None:
            return [], None, False
        return [combine_step(self.names, "gate", GATE, dy, self.y, dx)], dx, False


class DropoutStage(Stage):
    """x times a mask in training, x itself otherwise."""

    in_place = True

    def forward(self, context: Context, x: FeatureMap, y: FeatureMap) -> list[Step]:
        """Draw the mask as the layer does, then multiply."""
        layer = self.layers[0]
        if not isinstance(layer, Dropout):
            raise TypeError(f"not Dropout: {layer!r}")
        if not context.training or layer.rate == 0:
            self.mask = None
            return [] if x is y else [copy_step(self.names, "move", x, y)]
        mask = self.mask = context.new_map(self.input_shape)
        uniform = np.empty(mask.array.shape, np.float32)
        kept = np.empty(mask.array.shape, bool)
        scale = np.asarray(1 / (1 - layer.rate), context.dtype)

        def draw(array: np.ndarray[Any, Any], source: dict[str, np.random.Generator | None]) -> None:
            needed(source, self.names).random(dtype=np.float32, out=uniform)
            np.greater_equal(uniform, np.float32(layer.rate), out=kept)
            np.multiply(kept, scale, out=array)

        return [
            Step(self.names, "draw mask", draw, (mask.array, context.generator)),
            combine_step(self.names, "mask", MULTIPLY, x, mask, y),
        ]

    def backward(self, context: Context, dy: FeatureMap, dx: FeatureMap | None, gate: FeatureMap | None) -> Backward:
        """dx = dy * mask"""
        if self.mask is None or dx is None:
            return [], dy if dx is not None else None, False
        return [combine_step(self.names, "mask", MULTIPLY, dy, self.mask, dx)], dx, False


class FlattenStage(Stage):
    """The same memory in another shape."""

    moves_nothing = True
    insists = True

    def forward(self, context: Context, x: FeatureMap, y: FeatureMap) -> list[Step]:
        """Nothing is moved."""
        return []

    def backward(self, context: Context, dy: FeatureMap, dx: FeatureMap | None, gate: FeatureMap | None) -> Backward:
        """Nothing is moved."""
        return [], dy.reshaped(self.input_shape) if dx is not None else None, False


class SoftmaxStage(Stage):
    """Softmax over the channels, on whole buffers."""

    keeps_output = True
    insists = True

    def forward(self, context: Context, x: FeatureMap, y: FeatureMap) -> list[Step]:
        """y = softmax(x)"""
        self.y = context.new_map(self.output_shape) if y.is_padded else y
        steps = [Step(self.names, "softmax", softmax_rows, (_rows(x), _rows(self.y)))]
        return steps if self.y is y else [*steps, copy_step(self.names, "move", self.y, y)]

    def backward(self, context: Context, dy: FeatureMap, dx: FeatureMap | None, gate: FeatureMap | None) -> Backward:
        """dx = y * (dy - sum(dy*y))"""
        if dx is None:
            return [], None, False
        target = context.new_map(self.input_shape) if dx.is_padded else dx
        step = Step(self.names, "softmax", softmax_backward_rows, (_rows(dy), _rows(self.y), _rows(target)))
        return [step], target, False


def _rows(x: FeatureMap) -> np.ndarray[Any, Any]:
    return x.array.reshape(-1, x.array.shape[3])


class LayerStage(Stage):
    """Any other layer, called in NumPy."""

    keeps_output = True

    def __init__(self, layer: Layer, input_shape: Shape, output_shape: Shape) -> None:
        super().__init__([layer], input_shape, output_shape)
        self.layer = layer
        self.saved: Any = None

    def forward(self, context: Context, x: FeatureMap, y: FeatureMap) -> list[Step]:
        """Call the layer's forward and copy what it returns."""

        def call(source: np.ndarray[Any, Any], target: np.ndarray[Any, Any]) -> None:
            result, self.saved = own_forward(
                self.layer,
                source,
                self.output_shape,
                training=context.training,
                generator=context.generator["noise"],
            )
            np.copyto(target, result.reshape(target.shape))

        return [Step(self.names, "forward in NumPy", call, (self._given(x, self.input_shape), y.inside))]

    def backward(self, context: Context, dy: FeatureMap, dx: FeatureMap | None, gate: FeatureMap | None) -> Backward:
        """Call the layer's backward and copy what it returns."""

        def call(source: np.ndarray[Any, Any], target: np.ndarray[Any, Any] | None) -> None:
            result, gradients = own_backward(self.layer, source, self.saved, needs_dx=target is not None)
            if target is not None and result is not None:
                np.copyto(target, result.reshape(target.shape))
            for name, gradient in gradients.items():
                np.copyto(context.gradients[f"{self.layer.name}.{name}"], gradient)

        inside = None if dx is None else dx.inside
        step = Step(self.names, "backward in NumPy", call, (self._given(dy, self.output_shape), inside))
        return [step], dx, False

    @staticmethod
    def _given(x: FeatureMap, shape: Shape) -> np.ndarray[Any, Any]:
        return x.vectors if len(shape) == 1 else x.inside


def needed(source: dict[str, np.random.Generator | None], names: str) -> np.random.Generator:
    """Return the generator of a training step."""
    generator = source["noise"]
    if generator is None:
        raise ArgumentError(f"{names}: training draws random numbers; pass a generator to train_step")
    return generator


SIMPLE: dict[type[Layer], Callable[[list[Layer], Shape, Shape], Stage]] = {
    **dict.fromkeys(KINDS, ActivationStage),
    NoisyReLU: NoisyReLUStage,
    Dropout: DropoutStage,
    Softmax: SoftmaxStage,
}
