"""Untrusted text, escaped so that it cannot affect a terminal, a JSON file, or a picture."""

from __future__ import annotations

import json
import re
import unicodedata

_TURNS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_MARKS = {"\u061c", "\u200e", "\u200f"}
_OTHER_THAN_ASCII = re.compile(r"[\x7f-\U0010ffff]")


def visible(text: object) -> str:
    """Return untrusted text, such as a model's class name, escaped so that it cannot affect a terminal or a file.

    Control characters, line breaks, lone surrogates, and characters that change the direction of writing become
    Python's escapes.

    >>> print(visible("cat\\x1b[2J\\ndog"), visible("\u732b"))
    cat\\x1b[2J\\ndog \u732b
    """
    text = str(text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(letter) if _acts(letter) else letter for letter in text)


def visible_json(text: str) -> str:
    """Return JSON with control characters escaped within its strings; its value is the same.

    >>> print(visible_json('["\\x9b2J", "\\u202e", "\u732b"]'))
    ["\\u009b2J", "\\u202e", "\u732b"]
    """
    return _OTHER_THAN_ASCII.sub(lambda one: json.dumps(one[0])[1:-1] if _acts(one[0]) else one[0], text)


def _acts(letter: str) -> bool:
    turns = letter in _MARKS or unicodedata.bidirectional(letter) in _TURNS
    # Noncharacters such as U+FFFE are not allowed in XML, and mean nothing anywhere.
    return turns or unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} or ord(letter) & 0xFFFE == 0xFFFE


def _escape(letter: str) -> str:
    escaped = repr(letter)[1:-1]
    return escaped if escaped != letter else f"\\u{ord(letter):04x}"
