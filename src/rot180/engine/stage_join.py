"""Joins: sums with the ReLU after them, concatenations and gates."""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from rot180.engine.elementwise_steps import add_step, combine_step, gate_scratch, multiply_step
from rot180.engine.stage import Context, Gate, Stage, Target, Value, widest
from rot180.engine.step import Step
from rot180.kernels import addition, elementwise
from rot180.kernels.feature_map import FeatureMap, Sides
from rot180.kernels.joins import copy_channels, multiply_backward
from rot180.nn.layer import Layer, Shape


class AddStage(Stage):
    """Add, and the ReLU after it. All inputs receive the same delta, in one buffer."""

    def __init__(self, layers: list[Layer], inputs: list[Value], output_shape: Shape) -> None:
        super().__init__(layers, inputs, output_shape)
        self.keeps_output = self.relu = len(layers) > 1

    @property
    def overwritable(self) -> list[Value]:
        """The first two inputs: the others are still to be added when the output is first written."""
        return self.inputs[:2]

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """y = x1 + x2 + ..., from left to right"""
        if self.relu:
            context.keep(y)
            self.gate = Gate(elementwise.GATE, y)
        total, *others = inputs
        steps = []
        for number, x in enumerate(others, 1):
            finish = addition.RELU if self.relu and number == len(others) else addition.PLAIN
            steps.append(add_step(self.names, "add", total, x, y, finish))
            total = y
        return steps

    @property
    def delta_padding(self) -> Sides:
        """What the stages need that delta is passed on to."""
        producers = (value.producer for value in self.inputs if value.needs_delta)
        return widest([producer.delta_padding for producer in producers if producer is not None])

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Pass delta on."""
        for target in targets:
            if target is not None:
                target.give(dy)
        return []


class ConcatenateStage(Stage):
    """Concatenate: channels are copied to their place, and their delta from there."""

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """y = [x1 | x2 | ...]"""
        return [
            self._copy("concatenate", x, y, (0, start, value.shape[-1]))
            for x, value, start in zip(inputs, self.inputs, self._starts, strict=True)
        ]

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Return to each input the channels of delta that are its own."""
        return [
            self._copy("split delta", dy, target.map, (start, 0, value.shape[-1]))
            for target, value, start in zip(targets, self.inputs, self._starts, strict=True)
            if target is not None
        ]

    @property
    def _starts(self) -> list[int]:
        return list(accumulate((value.shape[-1] for value in self.inputs[:-1]), initial=0))

    def _copy(self, does: str, x: FeatureMap, y: FeatureMap, channels: tuple[int, int, int]) -> Step:
        sizes = np.array([x.height, x.width, *x.place, *y.place, *channels], np.int64)
        return Step(self.names, does, copy_channels, (x.array, y.array, False, sizes))


class MultiplyStage(Stage):
    """Multiply: maps times a gate of the same shape, or with one value per channel."""

    @property
    def overwritable(self) -> list[Value]:
        """The maps, unless the gradient of the gate needs them."""
        return [] if self.output.needs_delta else self.inputs[:1]

    def forward(self, context: Context, inputs: list[FeatureMap], y: FeatureMap) -> list[Step]:
        """y = x * gate"""
        x, gate = self.x, self.factor = inputs
        context.keep(x, gate)
        if self._is_elementwise:
            return [combine_step(self.names, "multiply", elementwise.MULTIPLY, x, gate, y)]
        return [multiply_step(self.names, "multiply", x, gate.vectors, y, context)]

    def backward(self, context: Context, dy: FeatureMap, targets: list[Target | None]) -> list[Step]:
        """Return delta times the other factor; the gate's is a sum over pixels if the gate is one value per channel."""
        x, gate = self.x, self.factor
        if self._is_elementwise:
            pairs = zip(targets, (gate, x), strict=True)
            return [
                combine_step(self.names, "multiply delta", elementwise.MULTIPLY, dy, other, target.map)
                for target, other in pairs
                if target is not None
            ]
        dx, dgate = (
            context.new_map(value.shape) if target is None else target.map
            for target, value in zip(targets, self.inputs, strict=True)
        )
        sizes = np.array([x.height, x.width, *dy.place, *x.place, *dx.place], np.int64)
        scratch = gate_scratch(x, context)
        call = (dy.array, x.array, gate.vectors, dx.array, dgate.vectors, scratch, sizes)
        return [Step(self.names, "multiply delta", multiply_backward, call)]

    @property
    def _is_elementwise(self) -> bool:
        return self.inputs[0].shape == self.inputs[1].shape
