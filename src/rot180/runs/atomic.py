"""Writing a file so that it is there whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from rot180.errors import ModelError


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
    # The process number keeps two processes, which may write to one folder, from sharing a temporary file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _flush_folder(path.parent)
    except OSError as error:
        reason = error.strerror or error
        raise ModelError(f"{path}: cannot be written ({reason}); make room or choose another folder") from None


def _flush_folder(folder: Path) -> None:
    """Flush a folder's list of names to the disk, where the system can do that (Windows cannot, and need not)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
