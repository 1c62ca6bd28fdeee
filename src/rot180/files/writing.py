"""Atomic writing: a file or folder is written completely, or not at all.

A file is written under a temporary name unique to the call, flushed to the disk, and renamed; then its folder is
flushed, since the name itself is stored there. Whatever happens in between (a full disk, a crash, another thread that
writes to the same path), the name refers to either the old content or the new, never to a part of it.
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
"""Bytes that are buffered for one write."""


@contextmanager
def atomic_files(
    *paths: str | Path,
    beneath: str | Path | None = None,
    replace: bool = True,
    fault: type[Rot180Error] = ModelError,
) -> Iterator[list[BinaryIO]]:
    """Open files in one folder for writing; they get their names at the end of the block, when all are on the disk.

    After an exception, nothing is left of them.

    Parameters
    ----------
    paths : str or Path
        The folder must exist. An existing link of that name is replaced, not followed.
    beneath : str or Path, optional
        A folder that contains the files; no component of their paths below it may be a link.
    replace : bool, default True
        Whether existing files are replaced; if False, an existing file is an error.
    fault : type, default ModelError
        The error to raise.

    Yields
    ------
    list of binary files
        They are written sequentially and cannot seek.

    Raises
    ------
    ModelError
        A file cannot be written; any previous content is unchanged.

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
    """Write a file completely, or not at all; see `atomic_files`.

    Parameters
    ----------
    path : str or Path
    data : bytes
    beneath, replace, fault
        As in `atomic_files`.

    Raises
    ------
    ModelError
        The file cannot be written; any previous content is unchanged.

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
    """Write a new folder of files: it appears under its name with all files on the disk, or not at all.

    Parameters
    ----------
    path : str or Path
        It must not exist; its parent must.
    files : mapping of str to bytes
        Contents by name.
    beneath, fault
        As in `atomic_files`.

    Raises
    ------
    ModelError
        A file cannot be written, or the folder already exists. Nothing is left behind.

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
    """Rename a file that is on the disk within its folder, replacing any file of that name.

    Raises
    ------
    OSError
        The file cannot be renamed; both files are unchanged.
    """
    with Folder(path.parent) as folder:
        folder.replace(unfinished.name, path.name)
        folder.flush()


def remove_folder(path: str | Path, *, beneath: str | Path | None = None) -> None:
    """Remove a folder; it is renamed first, so that a partly removed folder is never mistaken for a complete one.

    Raises
    ------
    OSError
        The folder does not exist, or cannot be renamed; then all of it is still there.
    """
    path = Path(path)
    with Folder(path.parent, None if beneath is None else Path(beneath)) as folder, unfinished_name() as aside:
        folder.rename(path.name, aside)
        folder.remove(aside)


@contextmanager
def _new_file(folder: Folder, name: str) -> Iterator[BinaryIO]:
    """Create a new file, yield it for writing, and flush it to the disk."""
    descriptor = folder.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        file = io.BufferedWriter(_Descriptor(descriptor), PIECE)
        yield cast(BinaryIO, file)
        file.flush()
        system.flush(descriptor)
    finally:
        os.close(descriptor)


class _Descriptor(io.RawIOBase):
    """An open file as a stream that writes with `os.write` and does not close the file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        return os.write(self._descriptor, data)


@contextmanager
def _typed(path: Path, fault: type[Rot180Error]) -> Iterator[None]:
    """Turn the system's errors into this package's."""
    try:
        yield
    except FileExistsError:
        raise fault(f"{path} already exists and is not overwritten; remove it or choose another name") from None
    except OSError as error:
        reason = error.strerror or error
        if not path.parent.is_dir():  # free space would not help
            raise fault(
                f"{path}: cannot be written because its folder does not exist; choose an existing one"
            ) from None
        raise fault(f"{path}: cannot be written ({reason}); free some space or choose another folder") from None
