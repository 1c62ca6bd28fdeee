"""A file that a command is told to write: of a known form, in an existing folder, and new."""

from __future__ import annotations

from pathlib import Path


def new_file(path: Path, option: str, *suffixes: str) -> str:
    """Check the path of a file before any work is done, and return its suffix in lower case.

    Parameters
    ----------
    path : Path
    option : str
        The option that names it, for messages: `--out`.
    *suffixes : str
        Those that it may have: `.csv`.

    Raises
    ------
    ArgumentError
        It has another suffix, exists already, or its folder does not.
    """
    import os

    from rot180.errors import ArgumentError

    suffix = path.suffix.lower()
    if suffix not in suffixes:
        *some, last = suffixes
        known = f"{', '.join(some)} or {last}" if some else last
        raise ArgumentError(f"{option} names a file that ends in {known}; it is {str(path)!r}")
    if os.path.lexists(path):
        raise ArgumentError(f"{path} already exists; choose another {option} or remove it")
    if not path.parent.is_dir():
        raise ArgumentError(f"{path}: cannot be written because its folder does not exist; choose an existing one")
    return suffix
