"""Stages of one layer each: activations, dropout, flattening and softmax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rot180.engine.elementwise_steps import KINDS, activate_step, combine_step, copy_step, multiply_step
from rot180.engine.stage import Context, Stage, Target, Value
from rot180.engine.step import Step
from rot180.errors import ArgumentError
from rot180.kernels.elementwise import GATE, MULTIPLY, NOISY_RELU, RELU
from rot180.kernels.feature_map import FeatureMap, Sides
from rot180.kernels.softmax_rows import softmax_backward_rows, softmax_rows
from rot180.nn.dropout import Dropout, DropPath

Generators = dict[str, np.random.Generator | None]


class InPlaceStage(Stage):
    """A layer whose output may take the place of its input."""

    @property
    def overwritable(self) -> list[Value]:
        """The input."""
        return self.inputs


class ActivationStage(InPlaceStage):
    """ReLU, LeakyReLU, Sigmoid, Tanh: in place, since their derivatives follow from their outputs."""

    keeps_output = True

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """y = f(x)"""
        (x,) = inputs
        context.keep(y)
        self.y = y
        self.kind, self.gate_kind = KINDS[type(self.layers[0])]
        self.slope = float(getattr(self.layers[0], "slope", 0.0))
        return [activate_step(self.names, "activate", self.kind, x, y, self.slope)]

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """dx = dy * f'"""
        (dx,) = targets
        return [combine_step(self.names, "gate", self.gate_kind, dy, self.y, dx.map, self.slope)] if dx else []


class NoisyReLUStage(InPlaceStage):
    """max(0, x + noise) in training, ReLU otherwise."""

    keeps_output = True

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Draw the noise as the layer does, then add it."""
        (x,) = inputs
        context.keep(y)
        self.y = y
        sigma = getattr(self.layers[0], "sigma", 0.0)
        if not context.training or sigma == 0:
            return [activate_step(self.names, "activate", RELU, x, y)]
        noise = context.new_map(self.input_shape)

        def draw(array: np.ndarray[Any, Any], source: Generators) -> None:
            needed(source, self.names).standard_normal(array.shape, dtype=array.dtype.type, out=array)
            array *= array.dtype.type(sigma)

        return [
            Step(self.names, "draw noise", draw, (noise.array, context.generator)),
            combine_step(self.names, "activate", NOISY_RELU, x, noise, y),
        ]

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """dx = dy where y > 0"""
        (dx,) = targets
        return [combine_step(self.names, "gate", GATE, dy, self.y, dx.map)] if dx else []


class DropoutStage(InPlaceStage):
    """x times a mask in training, x itself otherwise."""

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Draw the mask as the layer does, then multiply."""
        (x,) = inputs
        layer = self.layers[0]
        if not isinstance(layer, Dropout):
            raise TypeError(f"not Dropout: {layer!r}")
        if not context.training or layer.rate == 0:
            self.mask = None
            return [] if x is y else [copy_step(self.names, "move", x, y)]
        mask = self.mask = context.new_map(self.input_shape)
        context.keep(mask)
        draw = _drawing(self.names, layer.rate, mask.array.shape, context.dtype)
        return [
            Step(self.names, "draw mask", draw, (mask.array, context.generator)),
            combine_step(self.names, "mask", MULTIPLY, x, mask, y),
        ]

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """dx = dy * mask"""
        (dx,) = targets
        if dx is None:
            return []
        if self.mask is None:
            dx.give(dy)
            return []
        return [combine_step(self.names, "mask", MULTIPLY, dy, self.mask, dx.map)]


class DropPathStage(InPlaceStage):
    """x times a mask with one value per image in training, x itself otherwise."""

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Draw the mask as the layer does, then multiply."""
        (x,) = inputs
        layer = self.layers[0]
        if not isinstance(layer, DropPath):
            raise TypeError(f"not DropPath: {layer!r}")
        if not context.training or layer.rate == 0:
            self.mask = None
            return [] if x is y else [copy_step(self.names, "move", x, y)]
        mask = self.mask = context.saved((context.count, x.array.shape[3]))
        draw = _drawing(self.names, layer.rate, (context.count, 1), context.dtype)
        return [
            Step(self.names, "draw mask", draw, (mask, context.generator)),
            multiply_step(self.names, "mask", x, mask, y, context),
        ]

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """dx = dy * mask"""
        (dx,) = targets
        if dx is None:
            return []
        if self.mask is None:
            dx.give(dy)
            return []
        return [multiply_step(self.names, "mask", dy, self.mask, dx.map, context)]


class FlattenStage(Stage):
    """The same memory in another shape; a padded map is copied."""

    is_view = True

    def new_output(self, context: Context, padding: Sides) -> FeatureMap:
        """Return the input in another shape, if it is not padded."""
        x = self.inputs[0].map
        return super().new_output(context, padding) if x.is_padded else x.reshaped(self.output_shape)

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """Move nothing, if possible."""
        (x,) = inputs
        return [copy_step(self.names, "move", x, y.reshaped(self.input_shape))] if x.is_padded else []

    def accepts(self, delta: FeatureMap) -> bool:
        """Return whether delta can be reshaped."""
        return not delta.is_padded

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Move nothing."""
        (dx,) = targets
        if dx is not None:
            dx.give(dy.reshaped(self.input_shape))
        return []


class SoftmaxStage(Stage):
    """Softmax over the channels, on whole buffers."""

    keeps_output = True

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """y = softmax(x)"""
        (x,) = inputs
        before, after = [], []
        if x.is_padded:
            dense = context.new_map(self.input_shape)
            before.append(copy_step(self.names, "move", x, dense))
            x = dense
        self.y = y
        if y.is_padded:
            self.y = context.new_map(self.output_shape)
            after.append(copy_step(self.names, "move", self.y, y))
        context.keep(self.y)
        return [*before, Step(self.names, "softmax", softmax_rows, (_rows(x), _rows(self.y))), *after]

    def accepts(self, delta: FeatureMap) -> bool:
        """Return whether delta consists of rows."""
        return not delta.is_padded

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """dx = y * (dy - sum(dy*y))"""
        (dx,) = targets
        if dx is None:
            return []
        if dx.map.is_padded:
            dx.give(context.new_map(self.input_shape))
        return [Step(self.names, "softmax", softmax_backward_rows, (_rows(dy), _rows(self.y), _rows(dx.map)))]


def _rows(x: FeatureMap) -> np.ndarray[Any, Any]:
    return x.array.reshape(-1, x.array.shape[3])


def needed(source: Generators, names: str) -> np.random.Generator:
    """Return the generator of a training step."""
    generator = source["noise"]
    if generator is None:
        raise ArgumentError(f"{names}: training draws random numbers; pass a generator to train_step")
    return generator


def _drawing(names: str, rate: float, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Callable[..., None]:
    """Return a function that draws a mask of this shape, as the layers do, into an array that it is broadcast to."""
    uniform, kept = np.empty(shape, np.float32), np.empty(shape, bool)
    scale = np.asarray(1 / (1 - rate), dtype)

    def draw(array: np.ndarray[Any, Any], source: Generators) -> None:
        needed(source, names).random(dtype=np.float32, out=uniform)
        np.greater_equal(uniform, np.float32(rate), out=kept)
        np.multiply(kept, scale, out=array)

    return draw
