"""What the command line's tests share: calling it in this process, and a small run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rot180.cli import main

QUICK = ["--limit", "300", "--epochs", "1", "--model", "8x8x1 > conv3x3:4 relu maxpool2 > fc10"]


class Said(NamedTuple):
    """An exit status and what was printed."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        return json.loads(self.out)


@pytest.fixture
def rot180(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Call the command line: `rot180("train", "--epochs", 1)`."""

    def call(*arguments: object) -> Said:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        return Said(status, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def quick() -> list[str]:
    """Arguments of a training that is over at once."""
    return QUICK


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run, to be looked at and not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    assert main(["train", *QUICK, "--out", str(folder), "--no-pictures"]) == 0
    return folder
