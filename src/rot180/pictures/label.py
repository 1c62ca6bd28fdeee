"""Texts as they are written into pictures: untrusted names, and our own words in the language in use."""

from __future__ import annotations

from rot180.language import language, translate
from rot180.language.visible import visible
from rot180.pictures.style import draws_chinese

_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def label(name: object, length: int = 28) -> str:
    r"""Return a name on one line, cut to a number of characters; control characters and what XML forbids are escaped.

    >>> label("cat\x00"), label("a very long name", 8)
    ('cat\\x00', 'a very …')
    """
    text = str(name)
    shown = visible(text[: length + 1])  # a name may have a million characters
    return shown if len(shown) <= length else shown[: length - 1] + _ELLIPSIS


def said(text: str) -> str:
    """Return a text of our own in the language in use, if it can be drawn: English without a font for that language."""
    return translate(text) if language() == "en" or draws_chinese() else text
