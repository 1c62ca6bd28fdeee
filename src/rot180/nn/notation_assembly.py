"""From parsed words to layers, nodes and a network."""

from __future__ import annotations

from rot180.errors import ArgumentError, NotationError, ShapeError
from rot180.nn.flatten import Flatten
from rot180.nn.graph import INPUT, Node, automatic_names
from rot180.nn.joins import Concatenate, Multiply
from rot180.nn.layer import Layer, Shape
from rot180.nn.linear import Linear
from rot180.nn.network import Network
from rot180.nn.notation_error import at
from rot180.nn.notation_items import Group, Items
from rot180.nn.notation_tokens import Token
from rot180.nn.notation_words import Item


class Assembly:
    """Creates the layers and checks their shapes one by one, so that an error is reported at its word."""

    def __init__(self, text: str, shape: Shape) -> None:
        self.text, self.shape = text, shape
        self.nodes: list[Node] = []
        self.tokens: list[Token] = []
        self.shapes: list[Shape] = []

    def network(self, items: Items) -> Network:
        """Return the network."""
        self.series(items, INPUT)
        self._check_names()
        return Network(self.nodes, input_shape=self.shape)

    def series(self, items: Items, source: int) -> int:
        """Append items that read the node at `source`; return the place of their output."""
        for item in items:
            if isinstance(item, Group):
                reads = tuple(self.series(branch, source) for branch in item.branches)
                self.append(item.join(name=item.name), reads, item.token, [])
            else:
                source = self.word(item, source)
                continue
            source = len(self.nodes) - 1
        return source

    def word(self, item: Item, source: int) -> int:
        """Append the layer of a word, after a Flatten if it needs one; return its place."""
        expected = [item.word.example]
        layer = self.layer(item)
        shape = self.shape_at(source)
        if isinstance(layer, Linear) and len(shape) == 3:
            self.append(Flatten(), (source,), item.token, expected)
            source = len(self.nodes) - 1
        self.append(layer, (source,), item.token, expected)
        return len(self.nodes) - 1

    def layer(self, item: Item, name: str = "") -> Layer:
        """Return the layer of a word."""
        arguments = {**item.arguments, "name": name} if name else item.arguments
        try:
            return item.word.layer(**arguments)
        except ArgumentError as error:
            raise self.error(item.token, error, [item.word.example]) from error

    def append(self, layer: Layer, reads: tuple[int, ...], token: Token, expected: list[str]) -> None:
        """Append a layer that reads these nodes."""
        self.nodes.append(Node(layer, reads))
        self.tokens.append(token)
        if not layer.name:
            layer.name = automatic_names(layer for layer, _ in self.nodes)[-1]
        try:
            self.shapes.append(layer.output_shape(*(self.shape_at(source) for source in reads)))
        except ArgumentError as error:
            if isinstance(error, ShapeError):
                expected = _fitting(layer, self.shape_at(reads[0]))
            raise self.error(token, error, expected) from error

    def shape_at(self, place: int) -> Shape:
        """Return the shape of a node's output, or of the network's input."""
        return self.shape if place == INPUT else self.shapes[place]

    def error(self, token: Token, error: ArgumentError, expected: list[str]) -> NotationError:
        """Return an error at a token."""
        return at(self.text, token.start, str(error), expected, len(token.text))

    def _check_names(self) -> None:
        layers = [layer for layer, _ in self.nodes]
        seen: set[str] = set()
        for layer, automatic, token in zip(layers, automatic_names(layers), self.tokens, strict=True):
            name = layer.name or automatic
            if name in seen:
                raise at(self.text, token.start, f"two layers are named {name!r}", ["name=other"], len(token.text))
            seen.add(name)


def _fitting(layer: Layer, shape: Shape) -> list[str]:
    """Return examples of what fits a value of this shape, the first that the layer reads."""
    if isinstance(layer, Multiply):
        return [f"( skip * {'gap ' if len(shape) == 3 else ''}fc{shape[-1]} sigmoid )"]
    if layer.is_join:
        return ["branches of one height and width" if isinstance(layer, Concatenate) else "branches of one shape"]
    if isinstance(layer, Linear):
        return ["flatten"]
    if len(shape) == 1:
        return ["fc10", "relu", "sigmoid", "tanh", "softmax", "dropout0.5"]
    height, width, channels = shape
    return [f"a window of at most {height}x{width}", "the option same", f"groups that divide {channels}"]
