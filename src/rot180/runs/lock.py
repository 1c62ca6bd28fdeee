"""One process at a time on a run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rot180.errors import ModelError


class RunLock:
    """Held by the process that trains a run; the system lets go of it when that process ends, however it ends.

    Parameters
    ----------
    folder : Path
        The run's; the lock is the file `.lock` in it, which holds the number of the process.

    Raises
    ------
    ModelError
        Another process holds it, or the file cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> lock = RunLock(folder)
    >>> try:
    ...     RunLock(folder)
    ... except ModelError as error:
    ...     print("is being trained by process" in str(error))
    True
    >>> lock.release()
    """

    def __init__(self, folder: Path) -> None:
        path = folder / ".lock"
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise ModelError(f"{path}: cannot be made ({error.strerror or error}); check the folder's rights") from None
        if not _try_lock(self._descriptor):
            holder = os.read(self._descriptor, 20).decode("ascii", "replace").strip() or "?"
            os.close(self._descriptor)
            raise ModelError(f"{folder} is being trained by process {holder}; wait for it, or stop it")
        try:
            os.truncate(self._descriptor, 0)
            os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)
        except (OSError, AttributeError):  # the number is for the message only; Windows cannot write it
            pass

    def release(self) -> None:
        """Let go; the file stays, as another process may have opened it already."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _try_lock(descriptor: int) -> bool:
    """Lock a file; False if another process has done so. A file system that cannot lock counts as free."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def is_locked(folder: Path) -> bool:
    """Say whether a process trains this run now."""
    try:
        descriptor = os.open(folder / ".lock", os.O_RDWR)
    except OSError:
        return False
    try:
        return not _try_lock(descriptor)
    finally:
        os.close(descriptor)
