"""Regular files only, no links, no more bytes than expected; the same where the system has no open folders."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from rot180.errors import DataError, ModelError
from rot180.files import open_descriptor, open_regular, read_bounded, system


@pytest.fixture(params=["descriptors", "paths"])
def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file, and one outside; with and without the system's own refusal of links."""
    if request.param == "paths":
        monkeypatch.setattr(system, "HAS_FOLDER_DESCRIPTORS", False)
        monkeypatch.setattr(system, "NO_FOLLOW", 0)
    elif not system.HAS_FOLDER_DESCRIPTORS:
        pytest.skip("this system has no open folders")
    for folder in ("run", "run/checkpoints", "outside"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "state.json").write_bytes(b"text")
    return tmp_path / "run"


def test_a_regular_file_is_opened(run: Path) -> None:
    path = run / "checkpoints" / "state.json"
    assert read_bounded(path, 4, beneath=run) == b"text"
    with open_regular(path, "ab", beneath=run) as file:
        file.write(b" more")
    with open_regular(path, "rb+", beneath=run) as file:
        file.write(b"T")
    assert read_bounded(path, 100) == b"Text more"
    os.close(open_descriptor(run / "new", os.O_RDWR | os.O_CREAT, beneath=run))
    assert (run / "new").read_bytes() == b""


def test_links_are_not_followed(run: Path) -> None:
    outside = run.parent / "outside"
    (run / "history.jsonl").symlink_to(outside / "state.json")
    (run / "dangling").symlink_to(outside / "new")
    (run / "pictures").symlink_to(outside)
    for path in ("history.jsonl", "dangling", "pictures/state.json"):
        for mode in ("rb", "rb+", "ab", "ab+"):
            with pytest.raises(OSError, match="a symbolic link, which is not followed"):
                open_regular(run / path, mode, beneath=run)
        with pytest.raises(OSError, match="a symbolic link, which is not followed"):
            open_descriptor(run / path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, beneath=run)
    with pytest.raises(OSError, match="leads outside"):
        open_regular(run / "checkpoints" / ".." / ".." / "outside" / "state.json", beneath=run)
    assert [(entry.name, entry.read_bytes()) for entry in outside.iterdir()] == [("state.json", b"text")]
    with pytest.raises(ModelError, match=r"history\.jsonl: cannot be read \(a symbolic link, which is not followed\)"):
        read_bounded(run / "history.jsonl", 10)
    assert read_bounded(run / "pictures" / "state.json", 10) == b"text"  # the user's own path may hold links


def test_hard_links_are_read_and_not_written_to(run: Path) -> None:
    outside = run.parent / "outside" / "state.json"
    os.link(outside, run / "history.jsonl")
    assert read_bounded(run / "history.jsonl", 4, beneath=run) == b"text"
    for flags in (os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_APPEND, os.O_RDWR | os.O_TRUNC):
        with pytest.raises(OSError, match="a hard link, so a file elsewhere would change as well"):
            open_descriptor(run / "history.jsonl", flags, beneath=run)
    for mode in ("rb+", "ab", "ab+"):
        with pytest.raises(OSError, match="a hard link"):
            open_regular(run / "history.jsonl", mode)
    assert outside.read_bytes() == b"text"


def test_the_folder_that_the_user_names_may_be_a_link(run: Path) -> None:
    link = run.parent / "link"
    link.symlink_to(run)
    assert read_bounded(link / "state.json", 4, beneath=link) == b"text"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_pipes_sockets_devices_and_folders_are_refused_at_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(run / "pipe")
    monkeypatch.chdir(run)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        for name, kind in (("pipe", "a named pipe"), ("socket", "a socket"), ("checkpoints", "Is a directory")):
            with pytest.raises(OSError, match=kind):
                open_regular(run / name, beneath=run)
            with pytest.raises(OSError, match=kind):
                open_descriptor(run / name, os.O_RDWR | os.O_CREAT, beneath=run)
    with pytest.raises(DataError, match=r"/dev/null: cannot be read \(a device, not a regular file\)"):
        read_bounded("/dev/null", 10, fault=DataError)


def test_a_pipe_put_in_place_after_the_look_is_not_waited_for(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rot180.files.folder import Folder

    os.mkfifo(run / "pipe")
    monkeypatch.setattr(Folder, "exists", lambda folder, name: False)
    with pytest.raises(OSError, match="a named pipe"):
        open_regular(run / "pipe")


def test_no_more_is_read_than_may_be_there(run: Path) -> None:
    with pytest.raises(ModelError, match=r"state\.json: expected at most 3 bytes, found more"):
        read_bounded(run / "state.json", 3)
    with pytest.raises(ModelError, match=r"nothing: there is no such file; check the path"):
        read_bounded(run / "nothing", 3)


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_a_name_that_no_file_can_have(run: Path, name: str) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_bounded(run / name, 3)
