"""The part of a pass that a layer's explainer needs: its own arrays, and names for the cells around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rot180.inside.explain.cells import GRAD, VALUE, Cell, array_name, with_index
from rot180.inside.explain.ledger import Factor
from rot180.inside.explain.trace import Trace
from rot180.nn.layer import Layer
from rot180.ops.types import Array

Index = tuple[int, ...]


@dataclass(frozen=True)
class View:
    """One layer of a pass.

    Attributes
    ----------
    trace : Trace
    place : int
        Its index in the network.
    slot : int
        Which of a join's inputs it is asked about, from 0.
    """

    trace: Trace
    place: int
    slot: int = 0
    _names: dict[tuple[int, str, str], tuple[str, int]] = field(default_factory=dict, repr=False, compare=False)
    """Of arrays that have been named: a sum has many entries of few arrays."""

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
        """Its input, or the one of a join's inputs that is asked about."""
        return self.trace.input(self.place, self.slot)

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

    def _factor(self, value: Any, layer: int, array: str, what: str, index: Index) -> Factor:
        key = layer, array, what
        if key not in self._names:
            self._names[key] = array_name(Cell(*key, ()), self.trace.model, self.trace.count)
        return Factor(float(value), with_index(*self._names[key], index))

    def input(self, index: Index, slot: int = 0) -> Factor:
        """Return a number of the input, or of one of a join's inputs."""
        source = self.trace.model.nodes[self.place].reads[slot]
        return self._factor(self.trace.input(self.place, slot)[index], source, "output", VALUE, index)

    def output(self, index: Index) -> Factor:
        """Return a number of the output."""
        return self._factor(self.y[index], self.place, "output", VALUE, index)

    def delta(self, index: Index) -> Factor:
        """Return a number of the output's gradient."""
        return self._factor(self.dy[index], self.place, "output", GRAD, index)

    def parameter(self, name: str, index: Index) -> Factor:
        """Return a number of a parameter or statistic."""
        arrays = self.layer.parameters if name in self.layer.parameters else self.layer.statistics
        return self._factor(arrays[name][index], self.place, name, VALUE, index)

    def own(self, value: float, array: str, index: Index, what: str = VALUE) -> Factor:
        """Return a number of an array of the layer's own, such as the mean of a normalization."""
        return self._factor(value, self.place, array, what, index)
