"""One process at a time on a run, on any system; asking whether it is being trained disturbs nobody."""

from __future__ import annotations

import errno
import os
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rot180.errors import ModelError
from rot180.files import open_descriptor, system
from rot180.runs.lock import RunLock, is_locked


def test_a_second_lock_is_refused_with_the_holder(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    assert is_locked(tmp_path)
    with pytest.raises(ModelError, match=f"is in use by process {os.getpid()}; wait for it, or stop it"):
        RunLock(tmp_path)
    lock.release()
    assert not is_locked(tmp_path)
    RunLock(tmp_path).release()


def test_who_asks_is_not_taken_for_a_training(tmp_path: Path) -> None:
    RunLock(tmp_path).release()
    with ThreadPoolExecutor(4) as pool:
        assert not any(pool.map(is_locked, [tmp_path] * 400))


def test_a_training_begins_although_somebody_asks(tmp_path: Path) -> None:
    asking = open_descriptor(tmp_path / ".lock", os.O_RDWR | os.O_CREAT)
    assert system.try_lock(asking, shared=True)
    timer = threading.Timer(0.1, os.close, [asking])
    timer.start()
    RunLock(tmp_path).release()
    timer.join()


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "mine").write_text("keep")
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "mine")
    with pytest.raises(ModelError, match="a symbolic link, which is not followed"):
        RunLock(tmp_path / "run")
    assert not is_locked(tmp_path / "run")
    assert (tmp_path / "mine").read_text() == "keep"


def test_windows_locks_a_byte_that_nobody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its locks keep others from reading: the number of the holder is to be read all the same."""
    locked: dict[int, int] = {}

    def locking(descriptor: int, mode: int, count: int) -> None:
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        if place in locked.values():
            raise OSError(errno.EACCES, "Permission denied")
        assert (mode, count) == (2, 1)
        locked[descriptor] = place

    def read(descriptor: int, count: int) -> bytes:
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        if any(place <= byte < place + count for byte in locked.values()):
            raise PermissionError(errno.EACCES, "Permission denied")
        return original(descriptor, count)

    original = os.read
    monkeypatch.setitem(sys.modules, "msvcrt", types.SimpleNamespace(locking=locking, LK_NBLCK=2))
    monkeypatch.setattr(system, "PLATFORM", "win32")
    monkeypatch.setattr(os, "read", read)
    lock = RunLock(tmp_path)
    assert is_locked(tmp_path)
    with pytest.raises(ModelError, match=f"is in use by process {os.getpid()};"):
        RunLock(tmp_path)
    locked.clear()
    assert not is_locked(tmp_path)
    lock.release()
