"""A network as nodes: layers, and the nodes that each of them reads."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Union

from rot180.errors import ArgumentError
from rot180.memory import require
from rot180.nn.contract import is_own
from rot180.nn.joins import Join
from rot180.nn.layer import Layer, Shape
from rot180.nn.weighted import Weighted

if TYPE_CHECKING:
    from rot180.nn.network import Network

MAX_PARAMETERS = 2**31
"""8 GiB of float32: a mistyped size is reported before it exhausts the machine's memory."""

INPUT = -1
"""The place of the network's input, as a node reads it."""


class Node(NamedTuple):
    """A layer of a network, and what it reads.

    Attributes
    ----------
    layer : Layer
    reads : tuple of int
        The places of the nodes whose outputs it takes, in the order of its arguments; `INPUT` is the network's input.
    """

    layer: Layer
    reads: tuple[int, ...]


class LayerShapes(NamedTuple):
    """The shapes of a layer's inputs and of its output, for one image."""

    inputs: tuple[Shape, ...]
    output: Shape

    @property
    def input(self) -> Shape:
        """The shape of the input, the first one of a join."""
        return self.inputs[0]


Part = Union[Layer, "Network", Sequence["Part"]]
"""A part of a network: a layer, or several that run one after the other."""


def series(parts: Iterable[Part]) -> list[Node]:
    """Return the nodes of parts that run one after the other, in the order in which they run.

    A join is preceded by the nodes of its branches, each of which starts at the join's input.

    >>> from rot180.nn import Add, ReLU, Tanh
    >>> [(type(node.layer).__name__, node.reads) for node in series([ReLU(), Add([Tanh(), ReLU()], [])])]
    [('ReLU', (-1,)), ('Tanh', (0,)), ('ReLU', (1,)), ('Add', (2, 0))]
    """
    nodes: list[Node] = []
    try:
        _append(parts, nodes, INPUT)
    except RecursionError:
        raise ArgumentError("the parts of the network are nested too deep; give a list of nodes to Network") from None
    return nodes


def _append(parts: Iterable[Part], nodes: list[Node], source: int) -> int:
    """Append the nodes of some parts that read the node at `source`; return the place of their output."""
    for part in parts:
        if isinstance(part, Join):
            reads = tuple(_append(branch, nodes, source) for branch in part.branches)
            nodes.append(Node(part, reads))
        elif isinstance(part, Layer):
            nodes.append(Node(part, (source,)))
        elif isinstance(part, list | tuple):
            source = _append(part, nodes, source)
            continue
        elif isinstance(inner := getattr(part, "nodes", None), tuple):
            start = len(nodes)
            _forget_automatic_names([layer for layer, _ in inner])
            nodes += [
                Node(node.layer, tuple(source if place == INPUT else start + place for place in node.reads))
                for node in inner
            ]
        else:
            raise ArgumentError(f"Sequential takes layers such as ReLU(); it got {part!r}")
        source = len(nodes) - 1
    return source


def check(nodes: Sequence[Node], owner: str) -> None:
    """Check that nodes are a network: each reads nodes before it, and each but the last is read.

    Raises
    ------
    ArgumentError
        They are not; the message names the layer.
    """
    if not nodes:
        raise ArgumentError(f"{owner} needs at least one layer, but got none")
    read: set[int] = set()
    for place, (layer, reads) in enumerate(nodes):
        if not isinstance(layer, Layer):
            raise ArgumentError(f"{owner} takes layers such as ReLU(); it got {layer!r}")
        if any(not INPUT <= source < place for source in reads):
            raise ArgumentError(
                f"{layer.label}: a node reads nodes before it, or the network's input ({INPUT}); node {place} reads "
                f"{reads}"
            )
        if not layer.is_join and len(reads) != 1:
            raise ArgumentError(f"{layer.label}: the layer takes one input; its node reads {reads}")
        if layer.is_join and len(reads) < 2:
            raise ArgumentError(
                f"{layer.label}: a join needs at least two branches, as in Add([Conv2d(16, 3)], []); "
                f"it has {len(reads)}"
            )
        read.update(reads)
    if len({id(layer) for layer, _ in nodes}) < len(nodes):
        raise ArgumentError(f"{owner}: the same layer object appears twice in the network; create two layers")
    for place, (layer, _) in enumerate(nodes[:-1]):
        if place not in read:
            raise ArgumentError(f"{layer.label}: no layer reads its output; leave it out, or let another layer read it")


def readers(nodes: Sequence[Node]) -> list[list[int]]:
    """Return the places of the nodes that read each node, in the order in which they run.

    >>> from rot180.nn import Add, ReLU, Tanh
    >>> readers(series([ReLU(), Add([Tanh()], [])]))
    [[1, 2], [2], []]
    """
    found: list[list[int]] = [[] for _ in nodes]
    for place, node in enumerate(nodes):
        for source in node.reads:
            if source != INPUT:
                found[source].append(place)
    return found


def leading_to(nodes: Sequence[Node], place: int) -> tuple[list[int], list[Node]]:
    """Return the places of the nodes that the output of one of them depends on, and a graph of these nodes alone.

    >>> from rot180.nn import Add, ReLU, Tanh
    >>> leading_to([Node(ReLU(), (-1,)), Node(Tanh(), (-1,)), Node(ReLU(), (1,))], 2)
    ([1, 2], [Node(layer=Tanh(), reads=(-1,)), Node(layer=ReLU(), reads=(0,))])
    """
    needed = {place}
    for each in range(place, -1, -1):
        if each in needed:
            needed.update(nodes[each].reads)
    kept = sorted(needed - {INPUT})
    places = {old: new for new, old in enumerate(kept)} | {INPUT: INPUT}
    return kept, [Node(nodes[old].layer, tuple(places[read] for read in nodes[old].reads)) for old in kept]


def following_activations(nodes: Sequence[Node]) -> list[str]:
    """Return for each layer the kind of activation that follows it; "linear" if there is none.

    Layers in between that only move, scale or add values do not count. Where the path forks, the first reader decides.

    >>> from rot180.nn import Flatten, ReLU
    >>> following_activations(series([Flatten(), ReLU(), Flatten()]))
    ['relu', 'linear', 'linear']
    """
    found = ["linear"] * len(nodes)
    for place, followers in reversed(list(enumerate(readers(nodes)))):
        if not followers:
            continue
        layer = nodes[followers[0]].layer
        if layer.is_activation:
            found[place] = layer.kind
        elif not (isinstance(layer, Weighted) or (is_own(layer) and layer.has_parameters)):
            found[place] = found[followers[0]]
    return found


def _forget_automatic_names(layers: Sequence[Layer]) -> None:
    """Let the outer network name the layers of an inner one; names that a user gave stay."""
    for layer, automatic in zip(layers, automatic_names(layers), strict=True):
        if layer.name == automatic:
            layer.name = ""


def automatic_names(layers: Iterable[Layer]) -> list[str]:
    """Return the names that layers get if the user gives none: `conv1`, `relu1`, `conv2`, ..."""
    counts: Counter[str] = Counter()
    names = []
    for layer in layers:
        counts[layer.kind] += 1
        names.append(f"{layer.kind}{counts[layer.kind]}")
    return names


def layer_shapes(nodes: Sequence[Node], shape: Shape, shapes: Sequence[Shape]) -> list[LayerShapes]:
    """Return the shapes of each layer's inputs and output, given those of the network's input and all outputs."""
    return [
        LayerShapes(tuple(shape if source == INPUT else shapes[source] for source in node.reads), output)
        for node, output in zip(nodes, shapes, strict=True)
    ]


def check_size(layers: Sequence[Layer], shapes: Sequence[LayerShapes], itemsize: int) -> None:
    """Raise ArgumentError or TooLargeError if the parameters are too many, before any is created."""
    total = 0
    for layer, (inputs, _) in zip(layers, shapes, strict=True):
        own = sum(math.prod(size) for size in layer.parameter_shapes(inputs[0]).values())
        total += own
        if total > MAX_PARAMETERS:
            raise ArgumentError(
                f"{layer.name}: a network must have at most {MAX_PARAMETERS:,} parameters; here it has {total:,}"
            )
        require(total * itemsize + own * 8, f"{layer.name}: a network of {total:,} parameters")  # drawn in float64
