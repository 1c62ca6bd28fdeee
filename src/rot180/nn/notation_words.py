"""The words of the notation: a stem, a size and options, as the registry knows them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from rot180.errors import did_you_mean
from rot180.nn.notation_error import at
from rot180.nn.notation_tokens import Token
from rot180.nn.registry import WORDS, Option, Word

_GLUED_SIGN = re.compile(r"\*|(?<![0-9.][eE])\+")  # lr=1e+3 has none
_STEM = re.compile(r"[A-Za-z_]*")
EXAMPLES = [word.example for word in WORDS.values()]


@dataclass(frozen=True)
class Item:
    """A parsed word: its position, its entry in the registry, and the layer's arguments."""

    token: Token
    word: Word
    arguments: dict[str, Any]


def read_word(text: str, token: Token) -> Item:
    """Parse a word and its options."""
    if _GLUED_SIGN.search(token.text):
        reason = f"a sign between branches needs a space on each side; it is {token.text!r}"
        raise at(text, token.start, reason, ["( conv3x3:32:same + skip )"], len(token.text))
    head, *options = token.text.split(":")
    match = _STEM.match(head)
    stem = head if head in WORDS else match[0] if match else ""  # relu6 is a word, not a size of relu
    word = WORDS.get(stem)
    if word is None:
        close = did_you_mean(stem.lower(), WORDS) if stem else "; a layer starts with a letter"
        raise at(text, token.start, f"{token.text!r} is not a layer{close}", EXAMPLES, len(head))
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
