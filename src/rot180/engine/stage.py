"""A stage of a plan: one layer, or several that run as one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from rot180.engine.feature_map import NO_PADDING, FeatureMap, Sides, new_map
from rot180.engine.step import Step
from rot180.nn.layer import Layer, Shape


@dataclass
class Context:
    """The data shared by all stages of a plan.

    By full name, `gradients` holds the array that each parameter's gradient is written to, and `updates` what is needed
    to update a parameter as its gradient is computed: parameter, two state arrays, rule, hyper-parameters.
    """

    count: int
    dtype: np.dtype[Any]
    training: bool
    threads: int
    gradients: dict[str, np.ndarray[Any, Any]]
    generator: dict[str, np.random.Generator | None]
    updates: dict[str, tuple[Any, ...]]

    def new_map(self, shape: Shape, padding: Sides = NO_PADDING) -> FeatureMap:
        """Allocate a zeroed buffer for this batch."""
        return new_map(self.count, shape, padding, self.dtype)


class Stage(ABC):
    """Makes the steps of its layers. `input_shape` and `output_shape` are those of one image."""

    padding: Sides = NO_PADDING
    """The padding it needs around its input."""
    in_place: bool = False
    """Whether its output may take the place of its input."""
    keeps_output: bool = False
    """Whether its backward pass reads its output, which therefore must not be overwritten."""
    moves_nothing: bool = False
    """Whether its output is its input in another shape."""
    insists: bool = False
    """Whether it can use delta only in the buffer that it prefers."""

    def __init__(self, layers: list[Layer], input_shape: Shape, output_shape: Shape) -> None:
        self.layers, self.input_shape, self.output_shape = layers, input_shape, output_shape

    @property
    def names(self) -> str:
        """The layers it runs, such as `conv1 relu1 pool1`."""
        return " ".join(layer.name for layer in self.layers)

    @abstractmethod
    def forward(self, context: Context, x: FeatureMap, y: FeatureMap) -> list[Step]:
        """Return the forward steps from x to y, and allocate the buffers that backward needs."""

    def delta(self, context: Context) -> FeatureMap:
        """Return the buffer that it prefers for the delta of its output."""
        return context.new_map(self.output_shape)

    def gate(self) -> FeatureMap | None:
        """Its output, if delta passes only where it is positive and the stage above may apply this gate."""
        return None

    @abstractmethod
    def backward(
        self, context: Context, dy: FeatureMap, dx: FeatureMap | None, gate: FeatureMap | None
    ) -> tuple[list[Step], FeatureMap | None, bool]:
        """Return the backward steps.

        `dx` is the buffer that the stage below prefers for its delta, None if it is not needed. Returns the steps, the
        buffer that delta is actually in, and whether the gate of the stage below has been applied.
        """
