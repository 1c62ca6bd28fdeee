"""The names of unfinished files and folders, and which of them nobody works on any more."""

from __future__ import annotations

import os
import platform
import re
import secrets
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rot180.files import system
from rot180.files.folder import Folder

ABANDONED_SECONDS = 24 * 3600
"""After so long without a change, an unfinished file belongs to nobody, whatever runs under its process number now."""

_NAME = re.compile(r"\.rot180-([0-9a-f]{8})-(\d{1,10})-[0-9a-f]{8}\.tmp")

_own: set[str] = set()


@contextmanager
def unfinished_name() -> Iterator[str]:
    """Give a name that no other thread, process or machine gives, short whatever the final name is.

    It holds the machine and the process, so that others can tell whether somebody still works on it.

    >>> with unfinished_name() as name:
    ...     name.startswith(".rot180-"), name.endswith(".tmp")
    (True, True)
    """
    name = f".rot180-{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    _own.add(name)
    try:
        yield name
    finally:
        _own.discard(name)


def remove_unfinished(folder: str | Path, *, beneath: str | Path | None = None) -> None:
    """Remove the unfinished files and folders that ended processes left in a folder; those of living ones stay.

    A process of another machine, which cannot be asked, counts as ended when its file has not changed for a day.

    Raises
    ------
    OSError
        The folder cannot be read.
    """
    with Folder(Path(folder), None if beneath is None else Path(beneath)) as opened:
        for name in opened.names():
            if _is_abandoned(opened, name):
                opened.remove(name)


def _is_abandoned(folder: Folder, name: str) -> bool:
    found = _NAME.fullmatch(name)
    if found is None or name in _own:
        return False
    machine, process = found[1], int(found[2])
    # A name with this process's number that it does not know is of an earlier process with the same number.
    if machine == _machine() and (process == os.getpid() or not system.is_alive(process)):
        return True
    try:
        return time.time() - folder.status(name).st_mtime > ABANDONED_SECONDS
    except FileNotFoundError:
        return False


def _machine() -> str:
    return f"{zlib.crc32(platform.node().encode('utf-8', 'replace')):08x}"
