"""Names that are distinct on every file system, and quoting for a shell."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterable

from rot180.files import system

_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?")
"""Names that Windows reserves for devices, with any suffix."""

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_PLAIN = re.compile(r"[\w./:\\@+=,-]+", re.ASCII)


def distinct_names(names: Iterable[str]) -> list[str]:
    """Return a file name for each name, such that no two of them are the same file on any system.

    File systems of macOS and Windows ignore case, and those of macOS do not distinguish a composed accented letter
    from a letter followed by its accent; of two such names the later one is numbered. Characters that Windows does not
    allow in a name become hyphens, and the names of its devices are extended.

    >>> distinct_names(["a", "A", "conv1", "a"]), distinct_names(["nul", "what?", "AUX.png"])
    (['a', 'A-2', 'conv1', 'a-3'], ['nul-', 'what-', 'AUX-.png'])
    """
    taken: set[str] = set()
    chosen = []
    for name in names:
        plain = _FORBIDDEN.sub("-", name).rstrip(". ") or "-"
        if reserved := _RESERVED.fullmatch(plain):
            plain = f"{reserved[1]}-{reserved[2] or ''}"
        numbered, number = plain, 1
        while _folded(numbered) in taken:
            number += 1
            numbered = f"{plain}-{number}"
        taken.add(_folded(numbered))
        chosen.append(numbered)
    return chosen


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def quoted(text: object) -> str:
    """Return a text as it is typed into this system's shell, quoted if necessary.

    >>> quoted("runs/first"), quoted("my runs/it's")
    ('runs/first', '\\'my runs/it\\'"\\'"\\'s\\'')
    """
    text = str(text)
    if not system.is_windows():
        return shlex.quote(text)
    if _PLAIN.fullmatch(text):
        return text
    # There, backslashes are special only before a quote; a file name cannot contain a quote.
    behind = len(text) - len(text.rstrip("\\"))
    return '"' + text.replace('"', "") + "\\" * behind + '"'
