"""A name stands for the old content or for the new one, whoever else writes and whatever fails."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rot180.errors import DataError, ModelError
from rot180.files import (
    atomic_files,
    remove_folder,
    remove_unfinished,
    write_atomically,
    write_folder_atomically,
)
from rot180.files.unfinished import ABANDONED_SECONDS, unfinished_name


def test_threads_that_write_to_one_path_leave_one_whole_file(tmp_path: Path) -> None:
    path, faults = tmp_path / "model", []
    contents = [bytes([number]) * 300_000 for number in range(8)]

    def write(content: bytes) -> None:
        try:
            for _ in range(20):
                write_atomically(path, content)
                if path.read_bytes() not in contents:
                    faults.append("a part was published")
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=write, args=[content]) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_threads_that_write_one_folder(tmp_path: Path) -> None:
    path, won = tmp_path / "000001", []

    def write(number: int) -> None:
        content = bytes([number]) * 1000
        try:
            write_folder_atomically(path, {"a": content, "b": content})
            won.append(number)
        except ModelError:
            pass

    threads = [threading.Thread(target=write, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert {entry.name: entry.read_bytes() for entry in path.iterdir()} == dict.fromkeys("ab", bytes([won[0]]) * 1000)
    assert list(tmp_path.iterdir()) == [path]


def test_an_exception_in_the_block_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def interrupted() -> None:
        with atomic_files(path) as [file]:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file_and_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DataError, match=r"file: cannot be written \(No space left on device\); free some space"):
        write_atomically(path, b"new", fault=DataError)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_there_may_be_kept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(ModelError, match="file already exists and is not overwritten; remove it or choose"):
        write_atomically(path, b"new", replace=False)
    assert path.read_bytes() == b"old"
    (tmp_path / "folder").mkdir()  # empty: POSIX would rename over it
    with pytest.raises(ModelError, match=r"folder already exists and is not overwritten"):
        write_folder_atomically(tmp_path / "folder", {"a": b""})
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    write_atomically(path, b"content")
    assert path.read_bytes() == b"content"


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_a_name_that_no_file_can_have_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="cannot be written"):
        write_atomically(tmp_path / name, b"")


def test_a_network_drive_that_cannot_flush_its_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    (tmp_path / "link").symlink_to(outside)
    write_atomically(tmp_path / "link", b"new")
    assert (outside.read_bytes(), (tmp_path / "link").read_bytes()) == (b"mine", b"new")
    assert not (tmp_path / "link").is_symlink()


def test_beneath_a_folder_no_link_is_followed(tmp_path: Path) -> None:
    run, outside = tmp_path / "run", tmp_path / "outside"
    run.mkdir()
    outside.mkdir()
    (run / "pictures").symlink_to(outside)
    path = run / "pictures" / "a.png"
    with pytest.raises(ModelError, match="a symbolic link, which is not followed"):
        write_atomically(path, b"", beneath=run)
    with pytest.raises(ModelError, match="a symbolic link, which is not followed"):
        write_folder_atomically(path, {"a": b""}, beneath=run)
    with pytest.raises(OSError, match="a symbolic link, which is not followed"):
        remove_unfinished(run / "pictures", beneath=run)
    with pytest.raises(ModelError, match="leads outside"):
        write_atomically(run / ".." / "outside" / "a", b"", beneath=run)
    with pytest.raises(ModelError, match="leads outside"):
        write_atomically(outside / "a", b"", beneath=run)
    assert list(outside.iterdir()) == []


def test_leftovers_of_ended_processes_go_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with unfinished_name() as name:
        (tmp_path / name).write_text("half")
        own = str(os.getpid())
        names = {
            "own": name,
            "ended": name.replace(own, str(ended.pid)),
            "parent": name.replace(own, str(os.getppid())),
            "old": name.replace(own, str(os.getppid()))[:-12] + "00000000.tmp",
            "elsewhere": name.replace(name[8:16], "0" * 8),
            "user's": ".notes.tmp",
        }
        for each in names.values():
            (tmp_path / each).write_text("half")
        (tmp_path / names["ended"]).unlink()
        (tmp_path / names["ended"] / "sub").mkdir(parents=True)
        os.utime(tmp_path / names["old"], (0, 0))
        remove_unfinished(tmp_path)
        kept = {entry.name for entry in tmp_path.iterdir()}
        assert kept == {names[key] for key in ("own", "parent", "elsewhere", "user's")}
    remove_unfinished(tmp_path)  # nobody works on the own one now
    assert not (tmp_path / name).exists()
    assert ABANDONED_SECONDS >= 3600


def test_a_folder_is_removed_name_first(tmp_path: Path) -> None:
    (tmp_path / "old" / "sub").mkdir(parents=True)
    remove_folder(tmp_path / "old")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        remove_folder(tmp_path / "old")
