"""Names of strangers as they are written into pictures."""

from __future__ import annotations

from rot180.language.visible import visible

_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def label(name: object, length: int = 28) -> str:
    r"""Return a name on one line, cut to a number of characters; what would act, or may not stand in XML, is escaped.

    >>> label("cat\x00"), label("a very long name", 8)
    ('cat\\x00', 'a very …')
    """
    text = str(name)
    shown = visible(text[: length + 1])  # of a name of a million letters no more is looked at
    return shown if len(shown) <= length else shown[: length - 1] + _ELLIPSIS
