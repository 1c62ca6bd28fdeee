"""What is said while kernels are compiled."""

from __future__ import annotations

import sys

import pytest

from rot180.engine.note import tell_compiling


def test_progress_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    tell_compiling(0, 2)
    assert capsys.readouterr().err == ""  # stderr is captured, so no terminal
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    for done in range(3):
        tell_compiling(done, 2)
    said = "\rcompiling kernels for this machine, once: "
    assert capsys.readouterr().err == f"{said}0 of 2{said}1 of 2{said}2 of 2\n"
