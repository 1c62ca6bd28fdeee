"""Writing files and folders so that they are there whole, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from rot180.errors import ModelError

TEMPORARY_SUFFIX = ".tmp"
"""What the name of an unfinished file or folder ends in; it begins with a dot."""


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write a file under a temporary name in the same folder, flush it to the disk, and give it its name.

    Whatever happens meanwhile, a full disk or a lost machine, the name stands for the old content or for the new one,
    never for a part. The folder is flushed as well, since the name itself is kept there.

    Parameters
    ----------
    path : str or Path
        An existing file is replaced. The folder must exist.
    data : bytes

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
    path = Path(path)
    temporary = _temporary_name(path)
    try:
        try:
            _write_flushed(temporary, data)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _flush_folder(path.parent)
    except OSError as error:
        raise _fault(path, error) from None


def write_folder_atomically(path: str | Path, files: Mapping[str, bytes]) -> None:
    """Write a new folder of files: it appears under its name with all of them on the disk, or not at all.

    Parameters
    ----------
    path : str or Path
        May not exist; the folder above it must.
    files : mapping of str to bytes
        Contents by name.

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
    temporary = _temporary_name(path)
    try:
        try:
            temporary.mkdir()
            for name, data in files.items():
                _write_flushed(temporary / name, data)
            _flush_folder(temporary)
            # Not replace(): an empty folder of this name would be written over.
            temporary.rename(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _flush_folder(path.parent)
    except OSError as error:
        raise _fault(path, error) from None


def _fault(path: Path, error: OSError) -> ModelError:
    if not path.parent.is_dir():  # no room in the world would help
        return ModelError(
            f"{path}: cannot be written, as its folder is gone or was never made; choose one that is there"
        )
    reason = error.strerror or error
    return ModelError(f"{path}: cannot be written ({reason}); make room or choose another folder")


def remove_unfinished(folder: str | Path) -> None:
    """Remove the temporary files and folders that a killed process left in a folder; only its owner may do so."""
    for entry in sorted(Path(folder).glob(f".*{TEMPORARY_SUFFIX}")):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def _temporary_name(path: Path) -> Path:
    # The process number keeps two processes, which may write to one folder, from sharing a temporary file.
    return path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")


def _write_flushed(path: Path, data: bytes) -> None:
    """Write a new file to the disk itself, not to the system's memory only."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    """Flush a folder's list of names to the disk, where the system can do that (Windows cannot, and need not)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
