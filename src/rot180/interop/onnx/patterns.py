"""Several nodes that stand for one operator, as exporters write what an older operator set has no name for.

A pattern is an operator with its inputs: other patterns, "x" for what goes in, a number or a list for a constant,
another name for any constant; and, last, a table of attributes that it must have. Sums and products match in either
order.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from rot180.interop.onnx.graph import Attribute, OnnxNode
from rot180.ops.types import Array

Pattern = Any
"""A tuple of an operator's name and patterns, a name, a number, or a list of numbers."""

X = "x"


class Rule(NamedTuple):
    """What stands for an operator, and which attributes and further inputs this has."""

    operator: str
    pattern: Pattern
    attributes: Mapping[str, Attribute] = {}
    inputs: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    """Constants that become attributes."""


_THREE: Pattern = ("Add", X, 3.0)
_CLIPPED: tuple[Pattern, ...] = (("Clip", _THREE, 0.0, 6.0), ("Clip", _THREE, {"min": 0.0, "max": 6.0}))
_ERF: Pattern = ("Add", ("Erf", ("Div", X, math.sqrt(2))), 1.0)
_CUBE: Pattern = ("Mul", 0.044715, ("Pow", X, 3.0))
_TANH: Pattern = ("Add", ("Tanh", ("Mul", math.sqrt(2 / math.pi), ("Add", X, _CUBE))), 1.0)


def _halves(pattern: Pattern) -> tuple[Pattern, ...]:
    """Return the ways to write x * pattern / 2."""
    return ("Mul", ("Mul", X, pattern), 0.5), ("Mul", X, ("Mul", pattern, 0.5)), ("Mul", ("Mul", X, 0.5), pattern)


def _normalized(axis: int) -> Iterator[Pattern]:
    """Yield the ways to write a layer normalization over an axis, an attribute of the means or an input of theirs."""
    for over in ({"axes": [axis]}, [axis]):
        centered = ("Sub", X, ("ReduceMean", X, over))
        for square in (("Pow", centered, 2.0), ("Mul", centered, centered)):
            deviation = ("Sqrt", ("Add", ("ReduceMean", square, over), "epsilon"))
            yield ("Add", ("Mul", ("Div", centered, deviation), "scale"), "bias")


RULES: tuple[Rule, ...] = (
    Rule("Swish", ("Mul", X, ("Sigmoid", X))),
    *(Rule("HardSwish", ("Mul", X, ("Div", clipped, 6.0))) for clipped in _CLIPPED),
    *(Rule("HardSwish", ("Div", ("Mul", X, clipped), 6.0)) for clipped in _CLIPPED),
    Rule("HardSwish", ("Mul", X, ("HardSigmoid", X, {"alpha": 1 / 6, "beta": 0.5}))),
    Rule("HardSwish", ("Mul", X, ("HardSigmoid", X, {"alpha": 1 / 6}))),
    *(Rule("HardSigmoid", ("Div", clipped, 6.0), {"alpha": 1 / 6, "beta": 0.5}) for clipped in _CLIPPED),
    *(Rule("Gelu", half) for half in _halves(_ERF)),
    *(Rule("Gelu", half, {"approximate": "tanh"}) for half in _halves(_TANH)),
    *(
        Rule("LayerNormalization", pattern, {"axis": -1}, ("scale", "bias"), ("epsilon",))
        for pattern in _normalized(-1)
    ),
    *(Rule("ChannelNormalization", pattern, {}, ("scale", "bias"), ("epsilon",)) for pattern in _normalized(1)),
)
"""What is looked for, the larger patterns before those that they contain."""

_COMMUTE = {"Add", "Mul"}
_TOLERANCE = 1e-3


class _Found(NamedTuple):
    """A match: the names of x and of the constants, and the places of the nodes."""

    bound: dict[str, str]
    nodes: frozenset[int]


def fuse(nodes: list[OnnxNode], constants: Mapping[str, Array], outputs: set[str]) -> list[OnnxNode]:
    """Return the nodes of a graph with each match of a rule replaced by one node.

    Parameters
    ----------
    nodes : list of OnnxNode
    constants : mapping of str to array
        What is known before anything is computed.
    outputs : set of str
        The names that must stay.
    """
    graph = _Graph(nodes, constants, outputs)
    replaced: dict[int, OnnxNode] = {}
    gone: set[int] = set()
    for place in reversed(range(len(nodes))):  # the end of a pattern comes before its parts
        if place in gone or len(nodes[place].outputs) != 1:
            continue
        for rule in RULES:
            found = graph.match(rule.pattern, nodes[place].outputs[0], _Found({}, frozenset()))
            if found is not None and not found.nodes & gone and graph.is_closed(found, place):
                replaced[place] = graph.replacement(rule, place, found)
                gone |= found.nodes - {place}
                break
    return [replaced.get(place, node) for place, node in enumerate(nodes) if place not in gone]


class _Graph:
    def __init__(self, nodes: list[OnnxNode], constants: Mapping[str, Array], outputs: set[str]) -> None:
        self._nodes, self._constants, self._outputs = nodes, constants, outputs
        self._makers = {name: place for place, node in enumerate(nodes) for name in node.outputs if name}
        self._readers = Counter(name for node in nodes for name in node.inputs)

    def match(self, pattern: Pattern, name: str, found: _Found) -> _Found | None:
        """Return what was found so far with this pattern, if the value of this name is made so."""
        if isinstance(pattern, str):
            if (pattern == X) == (name in self._constants) or found.bound.get(pattern, name) != name:
                return None
            return found._replace(bound={**found.bound, pattern: name})
        if not isinstance(pattern, tuple):
            return found if self._is_close(name, pattern) else None
        place = self._makers.get(name)
        if place is None or self._nodes[place].operator != pattern[0]:
            return None
        node, parts = self._nodes[place], list(pattern[1:])
        if isinstance(parts[-1], dict) and not _has(node, parts.pop()):
            return None
        if len(node.inputs) != len(parts):
            return None
        found = found._replace(nodes=found.nodes | {place})
        orders = [parts, parts[::-1]] if node.operator in _COMMUTE else [parts]
        for order in orders:
            now: _Found | None = found
            for part, source in zip(order, node.inputs, strict=True):
                now = None if now is None else self.match(part, source, now)
            if now is not None:
                return now
        return None

    def is_closed(self, found: _Found, end: int) -> bool:
        """Return whether nobody else reads what is made inside."""
        inside = Counter(name for place in found.nodes for name in self._nodes[place].inputs)
        made = [name for place in found.nodes - {end} for name in self._nodes[place].outputs if name]
        return X in found.bound and all(
            inside[name] == self._readers[name] and name not in self._outputs for name in made
        )

    def replacement(self, rule: Rule, end: int, found: _Found) -> OnnxNode:
        """Return the node that takes the place of the last one of a match."""
        last = self._nodes[end]
        inputs = tuple(found.bound[name] for name in (X, *rule.inputs))
        numbers = {name: float(self._constants[found.bound[name]].reshape(-1)[0]) for name in rule.named}
        return OnnxNode(rule.operator, inputs, last.outputs, {**rule.attributes, **numbers}, last.name, last.place)

    def _is_close(self, name: str, wanted: float | list[int]) -> bool:
        array = self._constants.get(name)
        if array is None or array.size != np.size(wanted) or array.dtype.kind not in "fiu":
            return False
        return bool(np.allclose(array.reshape(-1), wanted, _TOLERANCE, 0))


def _has(node: OnnxNode, attributes: Mapping[str, Any]) -> bool:
    """Return whether a node has these attributes."""
    for name, wanted in attributes.items():
        given = node.attributes.get(name)
        if isinstance(wanted, float):
            if not isinstance(given, float) or not math.isclose(given, wanted, rel_tol=1e-4, abs_tol=1e-9):
                return False
        elif given != wanted:
            return False
    return True
