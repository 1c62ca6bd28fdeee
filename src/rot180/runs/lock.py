"""One process at a time on a run."""

from __future__ import annotations

import os
import time
from pathlib import Path

from rot180.errors import ModelError
from rot180.files import open_descriptor, system

LOCK = ".lock"

PATIENCE = 0.5
"""Seconds in which a lock is asked for again: whoever looks whether a run is being trained holds it for a moment."""


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
        path = folder / LOCK
        try:
            self._descriptor = open_descriptor(path, os.O_RDWR | os.O_CREAT, beneath=folder)
        except OSError as error:
            raise ModelError(f"{path}: cannot be made ({error.strerror or error}); check the folder's rights") from None
        deadline = time.monotonic() + PATIENCE
        while not system.try_lock(self._descriptor):
            if time.monotonic() >= deadline:
                holder = os.read(self._descriptor, 20).decode("ascii", "replace").strip() or "?"
                self.release()
                raise ModelError(f"{folder} is being trained by process {holder}; wait for it, or stop it")
            time.sleep(0.02)
        try:
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, b"%d\n" % os.getpid())
        except OSError:  # the number is for the message only
            pass

    def release(self) -> None:
        """Let go; the file stays, as another process may have opened it already."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def is_locked(folder: Path) -> bool:
    """Say whether a process trains this run now."""
    try:
        descriptor = open_descriptor(folder / LOCK, os.O_RDWR, beneath=folder)
    except OSError:
        return False
    try:
        # Shared: whoever else asks at the same moment is not taken for a training.
        return not system.try_lock(descriptor, shared=True)
    finally:
        os.close(descriptor)
