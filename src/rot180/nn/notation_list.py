"""The notation of any network: a list of its nodes.

`8x8x1; conv1 = conv3x3:4:same(input); relu1 = relu(conv1); add1 = add(relu1, conv1)`
"""

from __future__ import annotations

import re

from rot180.errors import ArgumentError, did_you_mean
from rot180.nn.graph import INPUT
from rot180.nn.joins import JOINS
from rot180.nn.layer import Layer
from rot180.nn.network import Network
from rot180.nn.notation_assembly import Assembly
from rot180.nn.notation_error import at
from rot180.nn.notation_items import MAX_LAYERS
from rot180.nn.notation_tokens import Token, input_shape, tokens_of
from rot180.nn.notation_words import read_word

_STATEMENT = re.compile(r"\s*(?P<name>[A-Za-z_][A-Za-z0-9_-]*)\s*=\s*(?P<word>[^()\s]+)\s*\((?P<reads>[^()]*)\)\s*")
_JOINS = {join.kind: join for join in JOINS}
_EXAMPLE = ["relu1 = relu(conv1)", "add1 = add(relu1, conv1)"]


def parse_list(text: str) -> Network:
    """Parse a network given as a list of nodes; see `rot180.nn.notation.network`."""
    first, *statements = text.split(";")
    assembly = Assembly(text, input_shape(text, tokens_of(first)))
    places = {"input": INPUT}
    start = len(first)
    for statement in statements:
        start += 1
        if len(places) > MAX_LAYERS:
            raise at(text, start, f"a network has at most {MAX_LAYERS:,} layers", ["fewer"])
        match = _STATEMENT.fullmatch(statement)
        if match is None:
            lead = len(statement) - len(statement.lstrip())
            reason = "a network written as a list has a name, a layer and what the layer reads in each statement"
            raise at(text, start + lead, reason, _EXAMPLE, max(1, len(statement.strip())))
        name = match["name"]
        if name in places:
            raise at(text, start + match.start("name"), f"two layers are named {name!r}", ["another name"], len(name))
        token = Token("word", match["word"], start + match.start("word"))
        reads = _reads(text, match["reads"], start + match.start("reads"), places)
        layer = _layer(text, token, name, assembly)
        if layer.is_join != (len(reads) > 1):
            reason = f"{token.text} reads {'two values or more' if layer.is_join else 'one value'}; here {len(reads)}"
            raise at(text, token.start, reason, _EXAMPLE, len(token.text))
        assembly.append(layer, reads, token, [token.text])
        places[name] = len(assembly.nodes) - 1
        start += len(statement)
    try:
        return Network(assembly.nodes, input_shape=assembly.shape)
    except ArgumentError as error:
        raise at(text, len(first), str(error), _EXAMPLE) from error


def _layer(text: str, token: Token, name: str, assembly: Assembly) -> Layer:
    if token.text in _JOINS:
        return _JOINS[token.text](name=name)
    item = read_word(text, token)
    if "name" in item.arguments:
        raise at(text, token.start, "the name of a layer stands before the equals sign", _EXAMPLE, len(token.text))
    return assembly.layer(item, name)


def _reads(text: str, names: str, start: int, places: dict[str, int]) -> tuple[int, ...]:
    """Return the places of the values that a statement reads."""
    reads = []
    for part in names.split(","):
        name = part.strip()
        if name not in places:
            position = start + len(part) - len(part.lstrip())
            reason = f"no layer before this one is named {name!r}{did_you_mean(name, places)}"
            raise at(text, position, reason, list(places)[-3:], max(1, len(name)))
        reads.append(places[name])
        start += len(part) + 1
    return tuple(reads)
