"""Untrusted text, escaped so that it cannot affect a terminal, a JSON file, or a picture."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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


def json_ready(value: Any) -> Any:
    """Return a value in the types that JSON has; infinities and NaN, which it lacks, become None.

    >>> json_ready({"loss": float("nan"), "classes": ("cat", "dog")})
    {'loss': None, 'classes': ['cat', 'dog']}
    """
    if isinstance(value, Mapping):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(item) for item in value]
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "tolist"):  # NumPy's arrays and scalars
        return json_ready(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _acts(letter: str) -> bool:
    turns = letter in _MARKS or unicodedata.bidirectional(letter) in _TURNS
    # Noncharacters such as U+FFFE are not allowed in XML, and mean nothing anywhere.
    return turns or unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} or ord(letter) & 0xFFFE == 0xFFFE


def _escape(letter: str) -> str:
    escaped = repr(letter)[1:-1]
    return escaped if escaped != letter else f"\\u{ord(letter):04x}"
