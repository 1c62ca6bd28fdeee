"""The note while kernels are compiled."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from numba import njit
from numba.core import event

from rot180.engine import note
from rot180.kernels.softmax_rows import largest


def test_compiling_is_told_of_once_and_to_readers_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registered: list[Any] = []
    monkeypatch.setattr(event, "register", lambda kind, listener: registered.append(listener))
    monkeypatch.setattr(note, "_listens", False)
    note.note_compiling()
    assert not registered  # stderr is captured, so no terminal
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    note.note_compiling()
    note.note_compiling()
    (listener,) = registered
    monkeypatch.undo()

    with event.install_listener("numba:run_pass", listener):
        assert njit(lambda x: x + 1)(1) == 2
        assert capsys.readouterr().err == ""  # compiled by the user, for the user
        assert njit(largest.py_func)(np.array([[1.0, 3.0, 2.0]]), 0) == 1
    assert capsys.readouterr().err == note.NOTE + "\n"
