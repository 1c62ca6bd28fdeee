"""A mistake in a notation, marked with a caret."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from rot180.errors import NotationError

_BEFORE, _AFTER = 60, 36


def at(text: str, position: int, reason: str, expected: Sequence[str], length: int = 1) -> NotationError:
    """Return the error for a mistake at `position` of `text`.

    The first line is a complete message; the text, the caret and what is expected follow.

    >>> print(at("8x8x1 > cnv3:4", 8, "'cnv3:4' is not a layer; did you mean 'conv'?", ["conv5x5:32", "fc10"], 4))
    notation: 'cnv3:4' is not a layer; did you mean 'conv'? (character 9)
      8x8x1 > cnv3:4
              ^~~~
      expected here, for example: conv5x5:32, fc10
    """
    start, end = max(position - _BEFORE, 0), position + _AFTER
    before = ("…" if start else "") + _one_line(text[start:position])
    after = _one_line(text[position:end]) + ("…" if end < len(text) else "")
    caret = " " * _columns(before) + "^" + "~" * (min(length, _AFTER) - 1)
    return NotationError(
        f"notation: {_one_line(reason)} (character {position + 1})\n"
        f"  {before}{after}\n  {caret}\n  expected here, for example: {', '.join(expected)}"
    )


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _columns(text: str) -> int:
    """Return the width of a text in a terminal, in which Chinese characters take two columns."""
    return sum(2 if unicodedata.east_asian_width(character) in "FW" else 1 for character in text)
