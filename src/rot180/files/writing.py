"""Writing files and folders so that they are there whole, or not at all.

A file is written under a name that is this call's alone, flushed to the disk, and renamed; then its folder is flushed,
since the name itself is kept there. Whatever happens meanwhile, a full disk, a lost machine or another thread that
writes to the same path, a name stands for the old content or for the new one, never for a part.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from rot180.errors import ModelError, Rot180Error
from rot180.files import system
from rot180.files.folder import Folder
from rot180.files.unfinished import unfinished_name

PIECE = 1 << 20
"""Bytes that are gathered for one write."""


@contextmanager
def atomic_files(
    *paths: str | Path,
    beneath: str | Path | None = None,
    replace: bool = True,
    fault: type[Rot180Error] = ModelError,
) -> Iterator[list[BinaryIO]]:
    """Give files of one folder to write to, which get their names at the end of the block, when all are on the disk.

    Nothing is left of them after an exception.

    Parameters
    ----------
    paths : str or Path
        The folder must exist. A link of such a name is replaced, not followed.
    beneath : str or Path, optional
        A folder that holds the files; no component of their paths below it may be a link.
    replace : bool, default True
        Existing files are replaced; if False, one is an error.
    fault : type, default ModelError
        The error to raise.

    Yields
    ------
    list of binary files
        Written from start to end; they cannot seek.

    Raises
    ------
    ModelError
        A file cannot be written; what was there before is still there.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "note"
    >>> with atomic_files(path) as [file]:
    ...     _ = file.write(b"whole")
    ...     path.exists()
    False
    >>> path.read_bytes(), len(list(path.parent.iterdir()))
    (b'whole', 1)
    """
    finals = [Path(path) for path in paths]
    with ExitStack() as stack, _typed(finals[0], fault):
        folder = stack.enter_context(Folder(finals[0].parent, None if beneath is None else Path(beneath)))
        names = [stack.enter_context(unfinished_name()) for _ in finals]
        try:
            with ExitStack() as opened:
                yield [opened.enter_context(_new_file(folder, name)) for name in names]
            for path, name in zip(finals, names, strict=True):
                with _typed(path, fault):
                    folder.replace(name, path.name) if replace else folder.publish(name, path.name)
        except BaseException:
            for name in names:
                folder.remove(name)
            raise
        folder.flush()


def write_atomically(
    path: str | Path,
    data: bytes,
    *,
    beneath: str | Path | None = None,
    replace: bool = True,
    fault: type[Rot180Error] = ModelError,
) -> None:
    """Write a file that is there whole, or not at all; see `atomic_files`.

    Parameters
    ----------
    path : str or Path
    data : bytes
    beneath, replace, fault
        As in `atomic_files`.

    Raises
    ------
    ModelError
        The file cannot be written; what was there before is still there.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "note"
    >>> write_atomically(path, b"whole")
    >>> path.read_bytes(), len(list(path.parent.iterdir()))
    (b'whole', 1)
    """
    with atomic_files(path, beneath=beneath, replace=replace, fault=fault) as [file]:
        file.write(data)


def write_folder_atomically(
    path: str | Path,
    files: Mapping[str, bytes],
    *,
    beneath: str | Path | None = None,
    fault: type[Rot180Error] = ModelError,
) -> None:
    """Write a new folder of files: it appears under its name with all of them on the disk, or not at all.

    Parameters
    ----------
    path : str or Path
        May not exist; the folder above it must.
    files : mapping of str to bytes
        Contents by name.
    beneath, fault
        As in `atomic_files`.

    Raises
    ------
    ModelError
        A file cannot be written, or the folder exists already. Nothing is left behind.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "000001"
    >>> write_folder_atomically(path, {"a": b"1", "b": b"2"})
    >>> sorted(entry.name for entry in path.iterdir()), len(list(path.parent.iterdir()))
    (['a', 'b'], 1)
    """
    path = Path(path)
    with (
        _typed(path, fault),
        Folder(path.parent, None if beneath is None else Path(beneath)) as folder,
        unfinished_name() as temporary,
    ):
        try:
            folder.make(temporary)
            with Folder(path.parent / temporary, path.parent) as made:
                for name, data in files.items():
                    with _new_file(made, name) as file:
                        file.write(data)
                made.flush()
            folder.rename(temporary, path.name)
        except BaseException:
            folder.remove(temporary)
            raise
        folder.flush()


def publish(unfinished: Path, path: Path) -> None:
    """Give a file that is on the disk its name, in the same folder; a file of this name is replaced.

    Raises
    ------
    OSError
        It cannot be renamed; both are as they were.
    """
    with Folder(path.parent) as folder:
        folder.replace(unfinished.name, path.name)
        folder.flush()


def remove_folder(path: str | Path, *, beneath: str | Path | None = None) -> None:
    """Remove a folder; its name goes first, so that a half of it is never taken for a whole.

    Raises
    ------
    OSError
        It is not there, or its name cannot be taken from it; then all of it is still there.
    """
    path = Path(path)
    with Folder(path.parent, None if beneath is None else Path(beneath)) as folder, unfinished_name() as aside:
        folder.rename(path.name, aside)
        folder.remove(aside)


@contextmanager
def _new_file(folder: Folder, name: str) -> Iterator[BinaryIO]:
    """Make a file that nobody else has made, give it to be written, and flush it to the disk."""
    descriptor = folder.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        file = io.BufferedWriter(_Descriptor(descriptor), PIECE)
        yield cast(BinaryIO, file)
        file.flush()
        system.flush(descriptor)
    finally:
        os.close(descriptor)


class _Descriptor(io.RawIOBase):
    """An open file as a stream, written by `os.write` and not closed with the stream."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        return os.write(self._descriptor, data)


@contextmanager
def _typed(path: Path, fault: type[Rot180Error]) -> Iterator[None]:
    """Turn the system's error into this program's."""
    try:
        yield
    except FileExistsError:
        raise fault(f"{path} exists already and is not written over; remove it or choose another name") from None
    except OSError as error:
        reason = error.strerror or error
        if not path.parent.is_dir():  # no room in the world would help
            raise fault(
                f"{path}: cannot be written, as its folder is gone or was never made; choose one that is there"
            ) from None
        raise fault(f"{path}: cannot be written ({reason}); make room or choose another folder") from None
