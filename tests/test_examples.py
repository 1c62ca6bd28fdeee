"""The scripts in examples/ run and say what they promise."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_train_digits(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["train_digits.py", "1"])
    runpy.run_path(str(EXAMPLES / "train_digits.py"), run_name="__main__")
    out = capsys.readouterr().out
    assert "epoch 1: " in out
    assert "the saved network says" in out


def test_four_convolutions_agree(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "four_convolutions.py"), run_name="__main__")
    assert len(capsys.readouterr().out.splitlines()) == 4
