"""Names that stay apart on every disk, and texts as they are typed into a shell."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterable

from rot180.files import system

_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?")
"""What Windows takes for a device, with any suffix."""

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_PLAIN = re.compile(r"[\w./:\\@+=,-]+", re.ASCII)


def distinct_names(names: Iterable[str]) -> list[str]:
    """Return a file name for each name, so that no two of them are one file on any system.

    Disks of macOS and Windows take `a` and `A` for one name, and macOS a letter with its accent for letter and accent;
    the later one is numbered. Characters that a name may not have on Windows become hyphens, and the names of its
    devices are made longer.

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
    """Return a text as it is typed into this system's shell, in quotes where that is needed.

    >>> quoted("runs/first"), quoted("my runs/it's")
    ('runs/first', '\\'my runs/it\\'"\\'"\\'s\\'')
    """
    text = str(text)
    if not system.is_windows():
        return shlex.quote(text)
    if _PLAIN.fullmatch(text):
        return text
    # Backslashes count there before a quote only; a name cannot hold a quote itself.
    behind = len(text) - len(text.rstrip("\\"))
    return '"' + text.replace('"', "") + "\\" * behind + '"'
