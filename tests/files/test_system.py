"""What differs between systems, with the others' behavior faked: none of them is at hand in one place."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest

from rot180.errors import ModelError
from rot180.files import distinct_names, quoted, system, write_atomically
from rot180.training.interrupt import interruptible


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Windows, as far as this program asks about it: no open folders, no refusal of links by the system."""
    monkeypatch.setattr(system, "PLATFORM", "win32")
    monkeypatch.setattr(system, "HAS_FOLDER_DESCRIPTORS", False)
    monkeypatch.setattr(system, "NO_FOLLOW", 0)
    return monkeypatch


@pytest.fixture
def macos(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the calls that flush, on a macOS whose file system does or does not know F_FULLFSYNC."""
    calls: list[str] = []
    fsync = os.fsync
    monkeypatch.setattr(system, "PLATFORM", "darwin")
    monkeypatch.setattr(os, "fsync", lambda descriptor: (calls.append("fsync"), fsync(descriptor))[1])
    return calls


def refusing(times: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let another program have the file open: so many times it cannot be replaced. Return the count of tries."""
    replace, tries = os.replace, [0]

    def refuse(*arguments: object, **options: object) -> None:
        tries[0] += 1
        if tries[0] <= times:
            raise PermissionError(13, "Access is denied")
        replace(*arguments, **options)

    monkeypatch.setattr(os, "replace", refuse)
    return tries


def test_windows_is_asked_again_to_replace_an_open_file(windows: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", b"old")
    tries = refusing(3, windows)
    write_atomically(tmp_path / "file", b"new")
    assert (tries, (tmp_path / "file").read_bytes()) == ([4], b"new")


def test_windows_is_not_asked_forever(windows: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", b"old")
    windows.setattr(system, "REPLACE_SECONDS", 0.05)
    refusing(1000, windows)
    with pytest.raises(ModelError, match=r"file: cannot be written \(Access is denied\)"):
        write_atomically(tmp_path / "file", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]


def test_elsewhere_a_refusal_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = refusing(1, monkeypatch)
    with pytest.raises(ModelError, match="Access is denied"):
        write_atomically(tmp_path / "file", b"new")
    assert tries == [1]


def test_windows_flushes_files_and_no_folders(windows: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fsync, flushed = os.fsync, []
    windows.setattr(os, "fsync", lambda descriptor: (flushed.append(os.fstat(descriptor)), fsync(descriptor)))
    write_atomically(tmp_path / "file", b"new")
    assert [status.st_size for status in flushed] == [3]


def test_macos_writes_through_the_memory_of_the_disk(
    macos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = types.SimpleNamespace(F_FULLFSYNC=51, fcntl=lambda descriptor, what: macos.append(f"fcntl {what}"))
    monkeypatch.setitem(sys.modules, "fcntl", fake)
    write_atomically(tmp_path / "file", b"new")
    assert macos == ["fcntl 51"] * 2  # the file and its folder


def test_macos_on_a_disk_that_cannot(macos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fcntl(descriptor: int, what: int) -> None:
        raise OSError(45, "Operation not supported")

    monkeypatch.setitem(sys.modules, "fcntl", types.SimpleNamespace(F_FULLFSYNC=51, fcntl=fcntl))
    write_atomically(tmp_path / "file", b"new")
    assert macos == ["fsync"] * 2


def test_closing_the_window_of_windows_is_a_wish_to_end(windows: pytest.MonkeyPatch) -> None:
    assert signal.SIGTERM in system.ending_signals()
    windows.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)  # stands for it here
    asked = []
    with interruptible(lambda: asked.append("end"), system.ending_signals()):
        os.kill(os.getpid(), signal.SIGUSR1)
    assert asked == ["end"]


def test_whether_a_process_lives(windows: pytest.MonkeyPatch) -> None:
    class Kernel32:
        """Knows a living process, an ended one whose number is still held, and one that it may not open."""

        @staticmethod
        def OpenProcess(access: int, inherit: bool, process: int) -> int:
            return process if process in (10, 11) else 0

        @staticmethod
        def WaitForSingleObject(handle: int, milliseconds: int) -> int:
            return {10: 0x102, 11: 0}[handle]

        @staticmethod
        def CloseHandle(handle: int) -> None:
            closed.append(handle)

    closed: list[int] = []
    windows.setattr(ctypes, "WinDLL", lambda name, **options: Kernel32, raising=False)
    windows.setattr(os, "kill", None)  # there it would end the process
    windows.setattr(ctypes, "get_last_error", lambda: 5, raising=False)
    assert [system.is_alive(process) for process in (10, 11, 12)] == [True, False, True]
    windows.setattr(ctypes, "get_last_error", lambda: 87, raising=False)
    assert not system.is_alive(12)
    assert closed == [10, 11]


def test_whether_a_process_lives_here() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert system.is_alive(os.getpid())
    assert system.is_alive(1)
    assert not system.is_alive(ended.pid)
    assert not system.is_alive(2**40)


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        (r"runs\first", r"runs\first"),
        (r"C:\My Runs\first", r'"C:\My Runs\first"'),
        ("a&b", '"a&b"'),
        ("it's", '"it\'s"'),
        ("my runs\\", '"my runs\\\\"'),
        ("", '""'),
    ],
)
def test_windows_has_quotes_of_its_own(windows: pytest.MonkeyPatch, text: str, typed: str) -> None:
    assert quoted(text) == typed


def test_names_stay_apart_on_disks_that_ignore_case_and_composition() -> None:
    names = distinct_names(
        ["a", "A", "é", "e\u0301", "É", "ß", "SS", "COM1.x", "com1.x", "a/b", "a\\b", "a\0b", "end. ", "."]
    )
    assert len({name.casefold() for name in names}) == len(names)
    assert names[:2] == ["a", "A-2"]
    assert not any(set(name) & set('/\\\0:*?"<>|') or name[-1] in ". " for name in names)
    assert distinct_names(["conv1", "conv2"]) == ["conv1", "conv2"]
