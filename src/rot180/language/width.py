"""How many columns of a terminal a text takes: Chinese, Japanese and Korean characters take two each."""

from __future__ import annotations

import unicodedata


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
