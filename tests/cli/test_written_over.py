"""A command that draws a picture writes over nothing: it takes the next free name, or refuses the one it was given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]


@pytest.fixture(params=["inspect", "show", "explain"])
def command(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: Path) -> list:
    """A command that draws a picture, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    if request.param == "explain":
        return ["explain", trained, 7, "--at", "loss", "--as", "picture"]
    return ["data", request.param, "digits"]


def test_a_name_of_its_own_is_a_free_one(rot180: Call, command: list, tmp_path: Path) -> None:
    assert rot180(*command).status == 0
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {Path(name).suffix for name in first} == {".png", ".svg"}
    for name in first:
        (tmp_path / name).write_text("mine")
    assert rot180(*command).status == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        *first,
        *(f"{Path(name).stem}-2{Path(name).suffix}" for name in first),
    }
    assert all((tmp_path / name).read_text() == "mine" for name in first)


@pytest.mark.parametrize("suffix", ["", ".png"])
def test_a_name_that_was_given_is_refused(rot180: Call, command: list, tmp_path: Path, suffix: str) -> None:
    (tmp_path / "mine.svg").write_text("mine")
    said = rot180(*command, "--out", f"mine{suffix}")
    assert (said.status, said.err) == (2, "rot180: mine.svg already exists; choose another --out or remove it\n")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("mine.svg", "mine")]
