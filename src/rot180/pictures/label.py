"""Untrusted names as they are written into pictures."""

from __future__ import annotations

from rot180.language.visible import visible

_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def label(name: object, length: int = 28) -> str:
    r"""Return a name on one line, cut to a number of characters; control characters and what XML forbids are escaped.

    >>> label("cat\x00"), label("a very long name", 8)
    ('cat\\x00', 'a very …')
    """
    text = str(name)
    shown = visible(text[: length + 1])  # a name may have a million characters
    return shown if len(shown) <= length else shown[: length - 1] + _ELLIPSIS
