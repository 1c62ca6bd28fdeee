"""What differs on Linux, macOS and Windows; no other module asks which of them it runs on,
but for `rot180.memory`, which knows where each tells how much memory is left."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

PLATFORM = sys.platform

REPLACE_SECONDS = 2.0
"""How long Windows is asked again to replace a file that another program has open, such as a virus scanner."""

LOCKED_BYTE = 1 << 30
"""Where in a file Windows locks it."""

FLAGS = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0)
"""What every file is opened with: bytes as they are, and never as the terminal of this process."""

NO_FOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
"""Refuse a symbolic link in the last place of a path; 0 where the system cannot."""

HAS_FOLDER_DESCRIPTORS = (
    bool(NO_FOLLOW) and {os.open, os.stat, os.mkdir, os.rename, os.unlink, os.link} <= os.supports_dir_fd
)
"""Whether names can be looked up in an open folder; Windows cannot."""


def is_windows() -> bool:
    """Say whether this is Windows."""
    return PLATFORM == "win32"


def flush(descriptor: int) -> None:
    """Write an open file to the disk itself, not to the system's memory only.

    On macOS, `fsync` leaves data in the memory of the disk; F_FULLFSYNC does not, where the file system knows it.
    """
    if PLATFORM == "darwin":
        fcntl: Any = importlib.import_module("fcntl")
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
        except OSError:
            pass
    os.fsync(descriptor)


def retry_replace(replace: Callable[[], None]) -> None:
    """Call a function that renames a file.

    Windows refuses while another program has one of the two open; most let go in a moment, so it is asked again.
    """
    deadline = time.monotonic() + REPLACE_SECONDS
    pause = 0.01
    while True:
        try:
            return replace()
        except PermissionError:
            if not is_windows() or time.monotonic() >= deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 0.2)


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file for as long as it is open; False if another process or another opening of it has done so.

    A file system that cannot lock counts as free. A shared lock, which Windows does not have here, goes together with
    others of its kind.
    """
    if is_windows():
        msvcrt: Any = importlib.import_module("msvcrt")
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        # A locked byte cannot even be read there, so one is taken behind all that the file will ever hold.
        os.lseek(descriptor, LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            return error.errno not in (errno.EACCES, errno.EDEADLK)
        finally:
            os.lseek(descriptor, place, os.SEEK_SET)
        return True
    fcntl: Any = importlib.import_module("fcntl")
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def ending_signals() -> tuple[signal.Signals, ...]:
    """Return the signals besides Ctrl-C that ask a process to end.

    Windows sends no SIGTERM: closing the window, logging off and Ctrl-Break arrive as SIGBREAK.
    """
    names = ("SIGTERM", "SIGBREAK") if is_windows() else ("SIGTERM",)
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


def openmp_survives_fork() -> bool:
    """Say whether a forked process can go on using OpenMP: GNU's, on Linux, ends it; LLVM's, on macOS, begins anew."""
    return PLATFORM != "linux"


def is_alive(process: int) -> bool:
    """Say whether a process of this number runs on this machine; also where that cannot be known."""
    if is_windows():
        ctypes: Any = importlib.import_module("ctypes")
        kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)  # os.kill would end the process
        query, wait_timeout, invalid = 0x100000, 0x102, 87  # SYNCHRONIZE, WAIT_TIMEOUT, ERROR_INVALID_PARAMETER
        handle = kernel32.OpenProcess(query, False, process)
        if not handle:
            return bool(ctypes.get_last_error() != invalid)
        try:
            return bool(kernel32.WaitForSingleObject(handle, 0) == wait_timeout)
        finally:
            kernel32.CloseHandle(handle)
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
