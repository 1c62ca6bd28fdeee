"""The contents of a data folder, without files that operating systems put there."""

from __future__ import annotations

import re
from pathlib import Path

_SYSTEM = re.compile(
    r"""
    \..*                                        # hidden on Unix; AppleDouble files (._1.png), .ipynb_checkpoints
    | __MACOSX | __pycache__ | Icon\r           # macOS's archives, Python
    | @.* | \#recycle | \#snapshot              # thumbnails and recycle bins of Synology and QNAP
    | thumbs(\.db|:encryptable)? | ehthumbs.*\.db | desktop\.ini | \$recycle\.bin | recycler | recycled
    | system\ volume\ information | found\.\d{3} # Windows
    | lost\+found                               # file systems of Linux
    | network\ trash\ folder | temporary\ items
    """,
    re.IGNORECASE | re.VERBOSE,
)


def is_of_system(name: str) -> bool:
    """Return whether a file or folder of this name was created by a system and is not part of the data.

    >>> [name for name in ("cat", "@eaDir", "__MACOSX", ".DS_Store", "Thumbs.db", "lost+found") if is_of_system(name)]
    ['@eaDir', '__MACOSX', '.DS_Store', 'Thumbs.db', 'lost+found']
    """
    return _SYSTEM.fullmatch(name) is not None


def visible(folder: Path) -> list[Path]:
    """Return the entries of a folder, sorted by name, without hidden ones and those that systems create."""
    return sorted(entry for entry in folder.iterdir() if not is_of_system(entry.name))


def named(entries: list[str], most: int = 5) -> str:
    """Return the first names of a list, and the number of the others.

    >>> named(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    more = len(entries) - most
    return ", ".join(entries[:most]) + (f" and {more:,} more" if more > 0 else "")
