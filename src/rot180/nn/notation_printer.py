"""Write a network in the notation.

A network made of series and parallel parts is written as such; any other as a list of its nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rot180.nn.flatten import Flatten
from rot180.nn.graph import INPUT, LayerShapes, Node, readers
from rot180.nn.layer import Layer, Shape
from rot180.nn.linear import Linear
from rot180.nn.weighted import Weighted
from rot180.nn.word import JOIN_SIGNS, MAX_DEPTH, SKIP, join


class Item(NamedTuple):
    """A layer, or a join with its branches: the places of its nodes, and its words."""

    places: list[int]
    words: list[str]


class NotInSeries(Exception):
    """The nodes are not made of series and parallel parts."""


def notation(
    input_shape: Shape, nodes: Sequence[Node], shapes: Sequence[LayerShapes], automatic_names: Sequence[str]
) -> str:
    """Return `28x28x1 > conv5x5:32:same relu maxpool2 > fc10`.

    A `>` is written after the input and before each layer with weights that is on no branch. A name is written if it is
    not the automatic one, and `flatten` if the parser would not insert it automatically. Values that depend on the
    input alone (`in_channels`) and users' functions as initializers are not written.
    """
    size = "x".join(map(str, input_shape))
    printer = _Printer(nodes, shapes, automatic_names)
    try:
        return " > ".join([size, *printer.blocks()])
    except NotInSeries:
        return "; ".join([size, *printer.statements()])


class _Printer:
    def __init__(self, nodes: Sequence[Node], shapes: Sequence[LayerShapes], automatic_names: Sequence[str]) -> None:
        self.nodes, self.shapes, self.automatic_names = nodes, shapes, automatic_names
        self.readers = readers(nodes)
        self.forks = _dominators(nodes)
        self.written = 0

    def blocks(self) -> list[str]:
        """Return the network as series and parallel parts; raise NotInSeries if it is not made of these."""
        blocks: list[list[str]] = [[]]
        items = self._series(len(self.nodes) - 1, INPUT, 0)
        if [place for item in items for place in item.places] != list(range(len(self.nodes))):
            raise NotInSeries  # a node would be written twice, or in another order, in which names are given
        for item in items:
            if isinstance(self.nodes[item.places[-1]].layer, Weighted) and blocks[-1]:
                blocks.append([])
            blocks[-1] += item.words
        return [" ".join(words) for words in blocks if words]

    def _series(self, end: int, start: int, depth: int) -> list[Item]:
        """Return the items after the node at `start`, to the node at `end`, which are in so many parentheses."""
        items: list[Item] = []
        while end != start:
            self.written += 1
            # A node that is read in two places would be written twice; a deep nest could not be read back.
            if end < start or self.written > len(self.nodes) or depth > MAX_DEPTH:
                raise NotInSeries
            layer, reads = self.nodes[end]
            if layer.is_join:
                if layer.kind not in JOIN_SIGNS:  # a user's own
                    raise NotInSeries
                items.append(self._branches(end, depth + 1))
                end = self.forks[end]
            else:
                items.append(Item([end], self._word(end)))
                end = reads[0]
        return items[::-1]

    def _branches(self, place: int, depth: int) -> Item:
        layer, reads = self.nodes[place]
        places: list[int] = []
        branches = []
        for source in reads:
            items = self._series(source, self.forks[place], depth)
            places += [inner for item in items for inner in item.places]
            branches.append(" ".join(word for item in items for word in item.words) or SKIP)
        name = self._name(place)
        inside = f" {JOIN_SIGNS[layer.kind]} ".join(branches)
        return Item([*places, place], [join(f"( {inside} )", f"name={name}" if name else "")])

    def _word(self, place: int) -> list[str]:
        layer, name = self.nodes[place].layer, self._name(place)
        following = [self.nodes[reader].layer for reader in self.readers[place]]
        if is_implicit(layer, self.shapes[place].input, following) and not name:
            return []
        return [join(layer.to_notation(), f"name={name}" if name else "")]

    def _name(self, place: int) -> str:
        """Return a layer's name if it is not the automatic one."""
        name = self.nodes[place].layer.name
        return "" if name == self.automatic_names[place] else name

    def statements(self) -> list[str]:
        """Return each node as `conv1 = conv3x3:8(input)`."""
        names = [layer.name for layer, _ in self.nodes]
        return [
            f"{layer.name} = {layer.to_notation()}"
            f"({', '.join('input' if source == INPUT else names[source] for source in reads)})"
            for layer, reads in self.nodes
        ]


def _dominators(nodes: Sequence[Node]) -> list[int]:
    """Return for each node the last one before it that every path from the input to it runs through."""
    found: list[int] = []
    for _, reads in nodes:
        first, *others = reads
        for other in others:
            while first != other:
                if first > other:
                    first = found[first]
                else:
                    other = found[other]
        found.append(first)
    return found


def is_implicit(layer: Layer, input_shape: Shape, following: Sequence[Layer]) -> bool:
    """Return whether this is the flattening implied by a fully connected layer after feature maps."""
    return (
        isinstance(layer, Flatten)
        and len(input_shape) == 3
        and len(following) == 1
        and isinstance(following[0], Linear)
    )
