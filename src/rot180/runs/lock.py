"""A lock that lets one process at a time train a run, or carry out a study."""

from __future__ import annotations

import os
import time
from pathlib import Path

from rot180.errors import ModelError
from rot180.files import open_descriptor, system

LOCK = ".lock"

PATIENCE = 0.5
"""Seconds to retry: a process that checks whether a run is being trained holds the lock for a moment."""


class RunLock:
    """Held by the process that writes to a folder; the system releases it when that process ends in any way.

    Parameters
    ----------
    folder : Path
        The folder of a run or a study; the lock is the file `.lock` in it, which holds the process ID.

    Raises
    ------
    ModelError
        Another process holds the lock, or the file cannot be created.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> lock = RunLock(folder)
    >>> try:
    ...     RunLock(folder)
    ... except ModelError as error:
    ...     print("is in use by process" in str(error))
    True
    >>> lock.release()
    """

    def __init__(self, folder: Path) -> None:
        path = folder / LOCK
        try:
            self._descriptor = open_descriptor(path, os.O_RDWR | os.O_CREAT, beneath=folder)
        except OSError as error:
            raise ModelError(
                f"{path}: cannot be created ({error.strerror or error}); check the folder's permissions"
            ) from None
        deadline = time.monotonic() + PATIENCE
        while not system.try_lock(self._descriptor):
            if time.monotonic() >= deadline:
                holder = os.read(self._descriptor, 20).decode("ascii", "replace").strip() or "?"
                self.release()
                raise ModelError(f"{folder} is in use by process {holder}; wait for it, or stop it")
            time.sleep(0.02)
        try:
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, b"%d\n" % os.getpid())
        except OSError:  # the process ID is only for the message
            pass

    def release(self) -> None:
        """Release the lock; the file stays, as another process may already have opened it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def is_locked(folder: Path) -> bool:
    """Return whether a process is training this run."""
    try:
        descriptor = open_descriptor(folder / LOCK, os.O_RDWR, beneath=folder)
    except OSError:
        return False
    try:
        # Shared: another process that checks at the same moment must not look like a training.
        return not system.try_lock(descriptor, shared=True)
    finally:
        os.close(descriptor)
