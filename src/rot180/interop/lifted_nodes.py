"""The nodes of a network, while it is made from those of another program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from rot180.errors import ModelError, Rot180Error
from rot180.nn import Layer, Node
from rot180.nn.layer import Shape
from rot180.nn.notation_items import MAX_LAYERS
from rot180.ops.types import Array


class _Shaped(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...


class _Call(Protocol):
    def error(self, why: str) -> ModelError: ...


Stored = TypeVar("Stored", bound=_Shaped)


@dataclass
class LiftedNodes(Generic[Stored]):
    """The nodes of the network so far.

    Attributes
    ----------
    input_shape : tuple
    pixels : tuple of (array, array) or None
        Scale and shift that the other program applies to pixels first, for each channel.
    nodes : list of Node
    shapes : list of tuple
        The output of each node, for one image.
    arrays : list of dict
        The parameters and statistics of each node's layer, in the layout used here.
    """

    input_shape: Shape
    pixels: tuple[Array, Array] | None = None
    nodes: list[Node] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)
    arrays: list[dict[str, Stored]] = field(default_factory=list)

    def shape_of(self, place: int) -> Shape:
        """Return the output shape of a node, or the input shape."""
        return self.input_shape if place < 0 else self.shapes[place]

    def layer_of(self, place: int) -> Layer | None:
        """Return the layer of a node; None for the input."""
        return None if place < 0 else self.nodes[place].layer

    def append(self, call: _Call, layer: Layer, reads: Sequence[int], arrays: Mapping[str, Stored]) -> int:
        """Append a node with the arrays of its layer, and return its place; raise ModelError if it does not fit."""
        if len(self.nodes) >= MAX_LAYERS:
            raise call.error(f"a network has at most {MAX_LAYERS:,} layers; this model needs more")
        inputs = [self.shape_of(source) for source in reads]
        try:
            shape = layer.output_shape(*inputs)
            wanted: dict[str, Any] = {**layer.parameter_shapes(inputs[0]), **layer.statistic_shapes(inputs[0])}
        except Rot180Error as error:
            raise call.error(f"as a layer it does not fit ({error})") from None
        found = {name: array.shape for name, array in arrays.items()}
        if found != wanted:
            raise call.error(f"its arrays have the shapes {found}, but the layer needs {wanted}")
        self.nodes.append(Node(layer, tuple(reads)))
        self.shapes.append(shape)
        self.arrays.append(dict(arrays))
        return len(self.nodes) - 1
