"""The part of a pass that a layer's explainer needs: its own arrays, and names for the cells around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rot180.inside.explain.cells import GRAD, VALUE, Cell, name_of
from rot180.inside.explain.ledger import Factor
from rot180.inside.explain.trace import Trace
from rot180.nn.layer import Layer
from rot180.ops.types import Array

Index = tuple[int, ...]


@dataclass(frozen=True)
class View:
    """One layer of a pass."""

    trace: Trace
    place: int

    @property
    def layer(self) -> Layer:
        """The layer."""
        return self.trace.model.layers[self.place]

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.layer.name

    @property
    def x(self) -> Array:
        """Its input."""
        return self.trace.inputs[self.place]

    @property
    def y(self) -> Array:
        """Its output."""
        return self.trace.outputs[self.place]

    @property
    def saved(self) -> Any:
        """The arrays saved by its forward pass."""
        return self.trace.saved[self.place]

    @property
    def dy(self) -> Array:
        """The gradient of its output."""
        return self.trace.deltas[self.place + 1]

    def _factor(self, value: Any, cell: Cell) -> Factor:
        return Factor(float(value), name_of(cell, self.trace.model, self.trace.count))

    def input(self, index: Index) -> Factor:
        """Return a number of the input."""
        return self._factor(self.x[index], Cell(self.place - 1, "output", VALUE, index))

    def output(self, index: Index) -> Factor:
        """Return a number of the output."""
        return self._factor(self.y[index], Cell(self.place, "output", VALUE, index))

    def delta(self, index: Index) -> Factor:
        """Return a number of the output's gradient."""
        return self._factor(self.dy[index], Cell(self.place, "output", GRAD, index))

    def parameter(self, name: str, index: Index) -> Factor:
        """Return a number of a parameter."""
        return self._factor(self.layer.parameters[name][index], Cell(self.place, name, VALUE, index))
