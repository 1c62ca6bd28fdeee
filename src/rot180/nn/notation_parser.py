r"""Parser of the notation.

    network   = input { item }  |  input { ";" name "=" word "(" name { "," name } ")" }
    input     = height "x" width "x" channels  |  n
    item      = word  |  "[" item { item } "]" "*" times
              |  "(" branch sign branch { sign branch } ")" [ ":name=" name ]
    branch    = item { item }  |  "skip"
    sign      = "+"  |  "|"  |  "*"
    word      = stem [ size ] { ":" option }

Items are separated by spaces, `>` or `->`, which are equivalent. The words and their options are in `registry`.
"""

from __future__ import annotations

from rot180.errors import ArgumentError, NotationError
from rot180.nn.network import Network
from rot180.nn.notation_assembly import Assembly
from rot180.nn.notation_items import items_of
from rot180.nn.notation_list import parse_list
from rot180.nn.notation_tokens import input_shape, tokens_of

MAX_CHARACTERS = 100_000


def parse(text: str) -> Network:
    """Parse a network; see `rot180.nn.notation.network`."""
    if not isinstance(text, str):
        raise ArgumentError(f"a network's notation must be a string; it is {type(text).__name__}")
    if len(text) > MAX_CHARACTERS:
        raise NotationError(f"notation: the text must have at most {MAX_CHARACTERS:,} characters; it has {len(text):,}")
    if ";" in text:
        return parse_list(text)
    tokens = tokens_of(text)
    shape = input_shape(text, tokens)
    return Assembly(text, shape).network(items_of(text, tokens[1:]))
