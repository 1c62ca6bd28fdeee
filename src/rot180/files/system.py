"""Differences between Linux, macOS and Windows. No other module asks which of them it runs on, except `rot180.memory`,
which looks up how much memory is available."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

PLATFORM = sys.platform

REPLACE_SECONDS = 2.0
"""How long to retry on Windows while another program, such as a virus scanner, has the file open."""

LOCKED_BYTE = 1 << 30
"""Offset of the byte that is locked on Windows."""

FLAGS = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0)
"""Flags for every file: bytes are not translated, and a terminal never becomes this process's controlling terminal."""

NO_FOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
"""Flag that refuses a symbolic link as the last component of a path; 0 where the system has none."""

HAS_FOLDER_DESCRIPTORS = (
    bool(NO_FOLLOW) and {os.open, os.stat, os.mkdir, os.rename, os.unlink, os.link} <= os.supports_dir_fd
)
"""Whether names can be looked up relative to an open folder; not on Windows."""


def is_windows() -> bool:
    """Return whether this is Windows."""
    return PLATFORM == "win32"


def flush(descriptor: int) -> None:
    """Write an open file to the disk itself, not only to the system's cache.

    On macOS, `fsync` leaves data in the disk's own cache; F_FULLFSYNC does not, where the file system supports it.
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

    Windows refuses while another program has either file open. Most programs close it soon, so the call is retried.
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
    """Lock an open file for as long as it is open; return False if it is locked through another descriptor.

    On a file system without locks, every file counts as free. Several processes can hold a shared lock; on Windows,
    every lock is exclusive.
    """
    if is_windows():
        msvcrt: Any = importlib.import_module("msvcrt")
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        # There, a locked byte cannot even be read, so the lock is on one past anything the file will ever hold.
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
    """Return the signals, other than that of Ctrl-C, that ask a process to terminate.

    Windows sends no SIGTERM: closing the window, logging off and Ctrl-Break arrive as SIGBREAK.
    """
    names = ("SIGTERM", "SIGBREAK") if is_windows() else ("SIGTERM",)
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


def is_alive(process: int) -> bool:
    """Return whether a process with this ID runs on this machine; True if that cannot be determined."""
    if is_windows():
        ctypes: Any = importlib.import_module("ctypes")
        kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)  # os.kill would terminate the process
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


def let_others_first(by: int) -> None:
    """Lower the priority of this thread, and of those that it will start; only on Linux, where a thread has its own."""
    if PLATFORM == "linux":
        with suppress(OSError):  # a sandbox may forbid it; then all have the same priority
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + by)
