"""The tokens of the notation."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rot180.nn.notation_error import at

_TOKEN = re.compile(
    r"(?P<space>(?:\s|->|>)+)|(?P<open>[\[(])|(?P<close>[\])])|(?P<times>\*\s*[0-9]+)|(?P<sign>[*|]|\+(?=[\s()]|$))|(?P<word>.)"
)
_WORD = re.compile(r"(?:(?!->)[^\s>\[\]()|*])+")
_INPUT = re.compile(r"([0-9]{1,7})(?:x([0-9]{1,7})x([0-9]{1,7}))?")


@dataclass(frozen=True)
class Token:
    """A token: its kind ("word", "open", "close", "sign", "times"), its text, and its position."""

    kind: str
    text: str
    start: int


def tokens_of(text: str) -> list[Token]:
    """Split a text; spaces and arrows separate."""
    tokens, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:  # pragma: no cover - the last alternative takes any character
            raise at(text, position, "unexpected character", ["a layer"])
        kind = match.lastgroup
        word = _WORD.match(text, position) if kind == "word" else None
        end = word.end() if word else match.end()
        if kind != "space":
            tokens.append(Token(kind, text[position:end], position))
        position = end
    return tokens


def input_shape(text: str, tokens: list[Token]) -> tuple[int, ...]:
    """Return the input shape, which the first token gives."""
    reason = "a network must start with the size of its images, height x width x channels"
    examples = ["28x28x1", "784 (for rows of numbers)"]
    if not tokens:
        raise at(text, 0, f"the text is empty; {reason}", examples)
    match = _INPUT.fullmatch(tokens[0].text)
    if match is None or "0" in {size.strip("0") or "0" for size in match.groups() if size is not None}:
        raise at(text, tokens[0].start, f"{reason}; it is {tokens[0].text!r}", examples, len(tokens[0].text))
    return tuple(int(size) for size in match.groups() if size is not None)
