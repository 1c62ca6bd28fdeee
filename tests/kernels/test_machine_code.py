"""Machine code in files: what is loaded, and what is rather compiled again."""

from __future__ import annotations

from ctypes import CFUNCTYPE, c_int64
from pathlib import Path

import pytest

from rot180.kernels import compiling
from rot180.kernels.machine_code import load, save
from rot180.kernels.team import take

TYPES = ("i",) * 4


def code_of_take() -> bytes:
    """The content of the file of a small function."""
    take.address(TYPES)
    path = take._path(TYPES)
    assert path is not None
    return path.read_bytes()


def test_a_function_in_a_file_is_called_by_its_address(tmp_path: Path) -> None:
    (tmp_path / "take").write_bytes(code_of_take())
    address = load(tmp_path / "take")
    assert address is not None
    assert address != take.address(TYPES), "loaded twice, it is there twice"
    CFUNCTYPE(c_int64, *[c_int64] * 4)(address)


@pytest.mark.parametrize(
    "damage",
    [
        lambda code: b"",
        lambda code: code[:-1],
        lambda code: code[:100] + b"?" + code[101:],
        lambda code: code + b"more",
    ],
    ids=["empty", "cut", "changed", "longer"],
)
def test_a_damaged_file_is_not_loaded(damage, tmp_path):
    (tmp_path / "take").write_bytes(damage(code_of_take()))
    assert load(tmp_path / "take") is None


def test_code_that_calls_what_is_not_here_is_not_loaded(tmp_path: Path) -> None:
    """To link it would end the process."""
    first, code = code_of_take()[32:].split(b"\n", 1)
    save(tmp_path / "take", first.decode(), ["no_such_function"], code)
    assert load(tmp_path / "take") is None
    save(tmp_path / "take", first.decode(), ["malloc"], code)
    assert load(tmp_path / "take") is not None


def test_where_nothing_can_be_written_all_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(compiling, "_CACHE", tmp_path / "file")
    function = compiling.routine(take.function)
    assert not function.is_compiled(TYPES)
    assert function.address(TYPES)
    assert function.is_compiled(TYPES)
    assert (tmp_path / "file").read_text() == "no folder"
