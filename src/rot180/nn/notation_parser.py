r"""Parser of the notation.

    network   = input { item }
    input     = height "x" width "x" channels  |  n
    item      = word  |  "[" item { item } "]" "*" times
    word      = stem [ size ] { ":" option }

Items are separated by spaces, `>` or `->`, which are equivalent. The words and their options are in `registry`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from rot180.errors import ArgumentError, NotationError, ShapeError, did_you_mean
from rot180.nn.flatten import Flatten
from rot180.nn.layer import Layer
from rot180.nn.linear import Linear
from rot180.nn.notation_error import at
from rot180.nn.registry import WORDS, Option, Word
from rot180.nn.sequential import Sequential, automatic_names

MAX_CHARACTERS = 100_000
MAX_LAYERS = 1_000
MAX_DEPTH = 50

_TOKEN = re.compile(r"(?P<space>(?:\s|->|>)+)|(?P<open>\[)|(?P<close>\])|(?P<times>\*\s*(?P<count>[0-9]*))|(?P<word>.)")
_WORD = re.compile(r"(?:(?!->)[^\s>\[\]*])+")
_INPUT = re.compile(r"([0-9]{1,7})(?:x([0-9]{1,7})x([0-9]{1,7}))?")
_STEM = re.compile(r"[A-Za-z_]*")
_EXAMPLES = [word.example for word in WORDS.values()]


@dataclass(frozen=True)
class Token:
    """A token: its kind ("word", "open", "close", "times"), its text, and its position."""

    kind: str
    text: str
    start: int


@dataclass(frozen=True)
class Item:
    """A parsed word: its position, its entry in the registry, and the layer's arguments."""

    token: Token
    word: Word
    arguments: dict[str, Any]


def parse(text: str) -> Sequential:
    """Parse a network; see `rot180.nn.notation.network`."""
    if not isinstance(text, str):
        raise ArgumentError(f"a network's notation must be a string; it is {type(text).__name__}")
    if len(text) > MAX_CHARACTERS:
        raise NotationError(f"notation: the text must have at most {MAX_CHARACTERS:,} characters; it has {len(text):,}")
    tokens = _tokens(text)
    shape = _input_shape(text, tokens)
    return _assemble(text, shape, _items(text, tokens[1:]))


def _tokens(text: str) -> list[Token]:
    tokens, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:  # pragma: no cover - the last alternative takes any character
            raise at(text, position, "unexpected character", _EXAMPLES)
        kind = "times" if match["times"] else match.lastgroup
        word = _WORD.match(text, position) if kind == "word" else None
        end = word.end() if word else match.end()
        if kind != "space":
            tokens.append(Token(kind, text[position:end], position))
        position = end
    return tokens


def _input_shape(text: str, tokens: list[Token]) -> tuple[int, ...]:
    reason = "a network must start with the size of its images, height x width x channels"
    examples = ["28x28x1", "784 (for rows of numbers)"]
    if not tokens:
        raise at(text, 0, f"the text is empty; {reason}", examples)
    match = _INPUT.fullmatch(tokens[0].text)
    if match is None or "0" in {size.strip("0") or "0" for size in match.groups() if size is not None}:
        raise at(text, tokens[0].start, f"{reason}; it is {tokens[0].text!r}", examples, len(tokens[0].text))
    return tuple(int(size) for size in match.groups() if size is not None)


def _items(text: str, tokens: list[Token]) -> list[Item]:
    """Parse words and expand repetitions; open brackets are kept on a stack, so depth needs no recursion."""
    stack: list[tuple[Token, list[Item]]] = []
    items: list[Item] = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        position += 1
        if token.kind == "word":
            items.append(_word(text, token))
            _limit(text, token, len(items))
        elif token.kind == "open":
            if len(stack) == MAX_DEPTH:
                raise at(text, token.start, f"repetitions must be nested at most {MAX_DEPTH} deep", ["a layer"])
            stack.append((token, items))
            items = []
        elif token.kind == "times":
            raise at(text, token.start, "a repetition count must follow a bracket", ["[relu]*2"], len(token.text))
        else:
            if not stack:
                raise at(text, token.start, "this bracket was never opened", _EXAMPLES)
            if not items:
                raise at(text, token.start, "there is no layer between the brackets", _EXAMPLES)
            times = _times(text, token, tokens[position : position + 1])
            position += 1
            _limit(text, token, len(items) * times)
            opened, outer = stack.pop()
            items = outer + items * times
            _limit(text, opened, len(items))
    if stack:
        opened = stack[-1][0]
        raise at(text, opened.start, "this bracket is never closed", ["[conv3x3:32 relu]*2"])
    if not items:
        raise at(text, len(text.rstrip()), "a network needs at least one layer", _EXAMPLES)
    return items


def _times(text: str, close: Token, following: list[Token]) -> int:
    reason, expected = "a bracket must be followed by the number of repetitions", ["*2"]
    if not following or following[0].kind != "times":
        raise at(text, close.start + 1, reason, expected)
    token = following[0]
    digits = token.text[1:].strip()
    if not digits or len(digits) > 7 or int(digits) == 0:
        raise at(text, token.start, f"{reason}, a number from 1 to {MAX_LAYERS:,}", expected, len(token.text))
    return int(digits)


def _limit(text: str, token: Token, count: int) -> None:
    if count > MAX_LAYERS:
        raise at(text, token.start, f"a network has at most {MAX_LAYERS:,} layers, repetitions counted", ["fewer"])


def _word(text: str, token: Token) -> Item:
    head, *options = token.text.split(":")
    match = _STEM.match(head)
    stem = head if head in WORDS else match[0] if match else ""  # relu6 is a word, not a size of relu
    word = WORDS.get(stem)
    if word is None:
        close = did_you_mean(stem.lower(), WORDS) if stem else "; a layer starts with a letter"
        raise at(text, token.start, f"{token.text!r} is not a layer{close}", _EXAMPLES, len(head))
    arguments = _size(text, token, word, head)
    start = token.start + len(head)
    for option in options:
        start += 1
        name, value = _read_option(text, word, head, option, start)
        if name in arguments:
            raise at(text, start, f"{head} has {_spoken(name)} twice", ["one of the two"], len(option))
        arguments[name] = value
        start += len(option)
    if word.required and word.required.argument not in arguments:
        raise at(
            text,
            start,
            f"{head} needs {_spoken(word.required.argument)}, as in {word.example}",
            [f":{word.required.example}"],
        )
    return Item(token, word, arguments)


def _size(text: str, token: Token, word: Word, head: str) -> dict[str, Any]:
    rest, start = head[len(word.stem) :], token.start + len(word.stem)
    if not rest and (word.size is None or word.size_is_optional):
        return {}
    if word.size is None:
        raise at(text, start, f"{word.stem} takes no size; it is {head!r}", [f"{word.stem}"], len(rest))
    match = word.size.pattern.fullmatch(rest)
    if match is None:
        reason = f"{word.stem} needs {_spoken(word.size.argument)}, as in {word.example}; it is {head!r}"
        raise at(text, start, reason, [word.size.example], len(rest))
    return {word.size.argument: word.size.read(match)}


def _read_option(text: str, word: Word, head: str, option: str, start: int) -> tuple[str, Any]:
    for known in word.all_options:
        match = known.pattern.fullmatch(option)
        if match is not None:
            return known.argument, known.read(match)
    keys = {_key(known): known for known in word.all_options}
    close = did_you_mean(_STEM.sub(lambda m: m[0].lower(), option, count=1).split("=")[0], [k for k in keys if k])
    reason = f"{head} has no option {option!r}" + (close if close.startswith("; did") else "")
    raise at(text, start, reason, [known.example for known in word.all_options], len(option))


def _key(option: Option) -> str:
    return option.example.split("=")[0]


def _spoken(argument: str) -> str:
    return {
        "out_channels": "its number of filters",
        "out_features": "its number of units",
        "kernel_size": "the size of its window",
        "rate": "a rate",
        "output_size": "the size of its output",
        "scale_factor": "its factor",
        "num_groups": "its number of groups",
        "groups": "its number of groups",
    }.get(argument, argument)


def _assemble(text: str, shape: tuple[int, ...], items: list[Item]) -> Sequential:
    """Create the layers and check their shapes one by one, so that an error is reported at its word."""
    layers: list[Layer] = []
    tokens: list[Token] = []
    input_shape = shape
    for item in items:
        try:
            layer = item.word.layer(**item.arguments)
            if isinstance(layer, Linear) and len(shape) == 3:
                layers.append(Flatten())
                tokens.append(item.token)
                shape = layers[-1].output_shape(shape)
            layers.append(layer)
            tokens.append(item.token)
            if not layer.name:
                layer.name = automatic_names(layers)[-1]
            shape = layer.output_shape(shape)
        except ArgumentError as error:
            expected = _fitting(shape) if isinstance(error, ShapeError) else [item.word.example]
            raise at(text, item.token.start, str(error), expected, len(item.token.text)) from error
    _check_names(text, layers, tokens)
    return Sequential(layers, input_shape=input_shape)


def _fitting(shape: tuple[int, ...]) -> list[str]:
    if len(shape) == 1:
        return ["fc10", "relu", "sigmoid", "tanh", "softmax", "dropout0.5"]
    height, width, channels = shape
    return [f"a window of at most {height}x{width}", "the option same", f"groups that divide {channels}"]


def _check_names(text: str, layers: list[Layer], tokens: list[Token]) -> None:
    seen: set[str] = set()
    for layer, automatic, token in zip(layers, automatic_names(layers), tokens, strict=True):
        name = layer.name or automatic
        if name in seen:
            raise at(text, token.start, f"two layers are named {name!r}", ["name=other"], len(token.text))
        seen.add(name)
