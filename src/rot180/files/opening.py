"""Opening untrusted files: regular files only, no links, and no more bytes than expected."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from rot180.errors import ModelError, Rot180Error
from rot180.files.folder import HARD_LINK, LINK, Folder

_FLAGS = {"rb": os.O_RDONLY, "rb+": os.O_RDWR, "ab": os.O_WRONLY | os.O_APPEND, "ab+": os.O_RDWR | os.O_APPEND}


def open_descriptor(path: str | Path, flags: int, *, beneath: str | Path | None = None) -> int:
    """Open a regular file as `os.open` does, but neither follow a link nor wait for a pipe.

    Parameters
    ----------
    path : str or Path
    flags : int
        As for `os.open`, such as `os.O_RDWR | os.O_CREAT`.
    beneath : str or Path, optional
        A folder that contains the file; no component of the path below it may be a link, and the path may not lead
        outside it. By default, links are followed in all but the last component.

    Returns
    -------
    int
        The descriptor, for the caller to close.

    Raises
    ------
    OSError
        The file cannot be opened, is a link (to be written to: a hard one, too), or is not a regular file; `strerror`
        says which.
    """
    path = Path(path)
    with Folder(path.parent, None if beneath is None else Path(beneath)) as folder:
        if folder.exists(path.name):  # opening a device may have effects
            _check(folder.status(path.name), path, flags)
        try:
            # Without O_NONBLOCK, this would block if a pipe had taken the file's place in the meantime.
            descriptor = folder.open(path.name, flags | getattr(os, "O_NONBLOCK", 0))
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise OSError(errno.ELOOP, LINK, str(path)) from None
            raise
    try:
        _check(os.fstat(descriptor), path, flags)
        if hasattr(os, "O_NONBLOCK"):  # Windows has no such flag and can set this for pipes only
            os.set_blocking(descriptor, True)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_regular(
    path: str | Path, mode: Literal["rb", "rb+", "ab", "ab+"] = "rb", *, beneath: str | Path | None = None
) -> BinaryIO:
    """Open an existing regular file; see `open_descriptor`.

    Parameters
    ----------
    path : str or Path
    mode : {"rb", "rb+", "ab", "ab+"}, default "rb"
        As for `open`, but no mode creates a file.
    beneath : str or Path, optional
        As in `open_descriptor`.

    Returns
    -------
    binary file

    Raises
    ------
    OSError
        As from `open_descriptor`.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "note"
    >>> path.write_bytes(b"text")
    4
    >>> with open_regular(path) as file:
    ...     file.read()
    b'text'
    """
    descriptor = open_descriptor(path, _FLAGS[mode], beneath=beneath)
    try:
        return open(descriptor, mode)  # noqa: PTH123
    except BaseException:
        os.close(descriptor)
        raise


@contextmanager
def reading(path: str | Path, fault: type[Rot180Error] = ModelError) -> Iterator[None]:
    """Raise a one-line error of this package where the system cannot read a file.

    Examples
    --------
    >>> with reading("gone"):
    ...     open_regular("gone")
    Traceback (most recent call last):
        ...
    rot180.errors.ModelError: gone: there is no such file; check the path
    """
    try:
        yield
    except FileNotFoundError:
        raise fault(f"{path}: there is no such file; check the path") from None
    except OSError as error:
        raise fault(f"{path}: cannot be read ({error.strerror or error}); check the path and its permissions") from None


def read_bounded(
    path: str | Path, limit: int, *, beneath: str | Path | None = None, fault: type[Rot180Error] = ModelError
) -> bytes:
    """Read a whole regular file of limited size.

    Parameters
    ----------
    path : str or Path
    limit : int
        The most bytes that the file may hold; at most one more is read.
    beneath : str or Path, optional
        As in `open_descriptor`.
    fault : type, default ModelError
        The error to raise.

    Raises
    ------
    ModelError
        The file cannot be read, is not a regular file, or is larger.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "note"
    >>> path.write_bytes(b"text")
    4
    >>> read_bounded(path, 4)
    b'text'
    """
    with reading(path, fault), open_regular(path, beneath=beneath) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise fault(f"{path}: expected at most {limit:,} bytes, found more; use another file")
    return data


def _check(status: os.stat_result, path: Path, flags: int) -> None:
    """Raise OSError unless this is a regular file."""
    mode = status.st_mode
    if stat.S_ISREG(mode):
        if flags & (os.O_WRONLY | os.O_RDWR) and status.st_nlink > 1:
            raise OSError(errno.EMLINK, HARD_LINK, str(path))
        return
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, LINK, str(path))
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    kinds = ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"))
    kind = next((name for test, name in kinds if test(mode)), "a device")
    raise OSError(errno.EINVAL, f"{kind}, not a regular file", str(path))
