"""How much memory is available, checked before a large allocation.

Operating systems promise more memory than they have, and kill the process that then uses it. So code that is about to
allocate a large array calls `require` first, and a mistyped size raises a one-line error.

>>> require(1000, "conv1")
>>> require(10**11, "conv1", left=2 * 10**9)  # doctest: +NORMALIZE_WHITESPACE
Traceback (most recent call last):
    ...
rot180.errors.TooLargeError: conv1 needs 100.00 GB of memory, but 2.00 GB are available; choose a smaller batch, image
or network
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from rot180.errors import TooLargeError

SMALL = 1 << 26
"""Bytes up to which the available memory is not looked up, which takes some microseconds."""

_CGROUPS = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


def require(size: int, owner: str, left: int | None = None) -> None:
    """Raise TooLargeError if more bytes are needed than are available.

    Parameters
    ----------
    size : int
        Bytes about to be allocated.
    owner : str
        What needs them, for the message: `conv1`.
    left : int, optional
        Bytes available, if already known; by default `available_memory()`, which is not called for sizes up to `SMALL`.
    """
    if left is None:
        if size <= SMALL:
            return
        left = available_memory()
    if size > left:
        raise TooLargeError(
            f"{owner} needs {_gigabytes(size)} of memory, but {_gigabytes(left)} are available; choose a "
            f"smaller batch, image or network"
        )


def available_memory() -> int:
    """Return how many bytes this process can allocate without any process being killed.

    This is what the system reports as available (on macOS, all physical memory), within the limits of the process and
    of its container.
    """
    return max(0, min(_figures(), default=1 << 62))


def _figures() -> Iterator[int]:
    yield from _of_machine()
    if sys.platform == "linux":
        yield from _of_container()
    yield from _of_process()


def _of_machine() -> Iterator[int]:
    if sys.platform == "win32":
        status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
        if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
            yield min(status.available_physical, status.available_virtual)
        return
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        yield int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        if "SC_PHYS_PAGES" in os.sysconf_names:
            yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _of_container() -> Iterator[int]:
    """Yield what the process's control group has left. Cached files can be evicted, so they do not count as used."""
    for limit, used, statistics in _CGROUPS:
        try:
            root = Path("/sys/fs/cgroup")
            most, taken = int((root / limit).read_text()), int((root / used).read_text())
            lines = (line.split() for line in (root / statistics).read_text().splitlines())
            remembered = sum(int(value) for name, value in lines if name == "inactive_file")
        except (OSError, ValueError):  # no such group, or no limit
            continue
        yield most - taken + remembered


def _of_process() -> Iterator[int]:
    try:
        import resource
    except ImportError:
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        try:
            taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError):
            taken = 0
        yield limit - taken


class _MemoryStatus(ctypes.Structure):
    """Windows' MEMORYSTATUSEX."""

    _fields_ = (
        ("length", ctypes.c_ulong),
        ("load", ctypes.c_ulong),
        ("total_physical", ctypes.c_ulonglong),
        ("available_physical", ctypes.c_ulonglong),
        ("total_page_file", ctypes.c_ulonglong),
        ("available_page_file", ctypes.c_ulonglong),
        ("total_virtual", ctypes.c_ulonglong),
        ("available_virtual", ctypes.c_ulonglong),
        ("available_extended_virtual", ctypes.c_ulonglong),
    )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.2f} GB" if count < 10**24 else "over 1,000,000,000,000,000 GB"
