"""How many columns of a terminal a text takes: Chinese, Japanese and Korean characters take two each."""

from __future__ import annotations

import re
import unicodedata

_WIDE = r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uff60]"
_OPENING = r"[\u300a\u300c\u300e\u3010\uff08]"
_CLOSING = r"[\u3001\u3002\u300b\u300d\u300f\u3011\uff01\uff09\uff0c\uff1a\uff1b\uff1f]"
_BREAK = re.compile(rf" +|(?<! )(?<!{_OPENING})(?:(?<={_WIDE})|(?={_WIDE}))(?!$| |{_CLOSING})")
"""Where a line may be broken: at spaces and next to Chinese characters, but not inside of their brackets and stops."""

WORD = re.compile(rf"(?=.)\s*{_OPENING}*(?:(?:(?!{_WIDE})\S)+|{_WIDE})?{_CLOSING}*\s*", re.DOTALL)
"""What stands between two such places, with the spaces around it."""


def display_width(text: str) -> int:
    """Return the number of columns that a text takes.

    >>> display_width("cat"), display_width("猫"), display_width("e\\u0301")
    (3, 2, 1)
    """
    return sum(0 if unicodedata.combining(one) else 1 + (unicodedata.east_asian_width(one) in "WF") for one in text)


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Pad a text with spaces to a number of columns; with `right`, the text is right-aligned.

    >>> pad("猫", 4) + "|", pad("3.5", 5, right=True)
    ('猫  |', '  3.5')
    """
    space = " " * max(width - display_width(text), 0)
    return space + text if right else text + space


def wrap(text: str, width: int, *, first: str = "", indent: str = "") -> list[str]:
    """Break a text into lines of at most `width` columns; words longer than that are kept whole.

    Parameters
    ----------
    text : str
    width : int
        Columns of a line, its indent included.
    first, indent : str
        What the first line and the others start with.

    Examples
    --------
    >>> wrap("one two three", 9, indent="  "), wrap("卷积核旋转了 180 度。", 14)
    (['one two', '  three'], ['卷积核旋转了', '180 度。'])
    """
    text = " ".join(text.split())
    lines: list[str] = []
    line, is_empty, gap, at = first, True, "", 0
    for place in [*_BREAK.finditer(text), None]:
        word = text[at : place.start() if place else None]
        if not is_empty and display_width(line + gap + word) > width:
            lines.append(line)
            line, is_empty = indent, True
        line += word if is_empty else gap + word
        is_empty = False
        if place:
            gap, at = place[0], place.end()
    return [*lines, line]
