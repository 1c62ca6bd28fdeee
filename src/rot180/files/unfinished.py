"""Names of unfinished files and folders, and which of them have been abandoned."""

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
"""An unfinished file unchanged for this long counts as abandoned, even if a process with its process ID is running."""

_NAME = re.compile(r"\.rot180-([0-9a-f]{8})-(\d{1,10})-[0-9a-f]{8}\.tmp")

_own: set[str] = set()


@contextmanager
def unfinished_name() -> Iterator[str]:
    """Yield a name that no other thread, process or machine uses, and that is short however long the final name is.

    It identifies the machine and the process, so that others can tell whether the file is still being written.

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
    """Remove the unfinished files and folders that terminated processes left in a folder; keep those of running ones.

    A process on another machine, which cannot be checked, counts as terminated when its file has not changed for a day.

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
    # A name with this process's ID that is not among its own is from an earlier process with the same ID.
    if machine == _machine() and (process == os.getpid() or not system.is_alive(process)):
        return True
    try:
        return time.time() - folder.status(name).st_mtime > ABANDONED_SECONDS
    except FileNotFoundError:
        return False


def _machine() -> str:
    return f"{zlib.crc32(platform.node().encode('utf-8', 'replace')):08x}"
