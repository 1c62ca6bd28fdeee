"""Ctrl-C and SIGTERM: the run is saved, the exit status says that it can go on, and it does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rot180.runs import load_run


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to a whole console")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_keeps_what_was_reached(tmp_path: Path, rot180, number: signal.Signals) -> None:
    folder = tmp_path / "run"
    options = ["--epochs", "100000", "--model", "8x8x1 > fc10", "--no-pictures", "--engine", "numpy"]
    arguments = ["train", *options, "--out", str(folder)]
    code = f"import sys; from rot180.cli import main; sys.exit(main({arguments!r}))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        history = folder / "history.jsonl"
        while time.monotonic() < deadline and not (history.exists() and '"epoch"' in history.read_text()):
            time.sleep(0.05)
        process.send_signal(number)
        sent = time.monotonic()
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert time.monotonic() - sent < 5
    assert process.returncode == 75, err
    assert "interrupted in epoch" in out
    assert f"rot180 train --resume {folder}" in out
    assert err == ""
    run = load_run(folder)
    assert run.history.stopped == "interrupted"
    assert rot180("runs", folder, "--json").json["runs"][0]["status"] == "interrupted"


def test_a_resumed_run_has_its_settings(trained: Path, tmp_path: Path, rot180) -> None:
    for arguments, option in (
        (["--lr", 0.1], "--lr"),
        (["--batch-size", 9], "--batch-size"),
        (["--seed", 0], "--seed"),
    ):
        said = rot180("train", "--resume", trained, *arguments)
        assert said.status == 2
        assert f"--resume keeps the settings of the run; leave {option} out" in said.err
    said = rot180("train", "--resume", trained, "--epochs", 0)
    assert (said.status, "--epochs must be at least the 1 that the run was planned for" in said.err) == (2, True)
    assert rot180("train", "--force").status == 2
    said = rot180("train", "--resume", tmp_path)
    assert (said.status, "not a run folder" in said.err) == (2, True)


def test_a_run_that_has_ended_says_how_to_train_further(quick: list[str], tmp_path: Path, rot180) -> None:
    rot180("train", *quick, "--out", tmp_path / "run", "--no-pictures")
    said = rot180("train", "--resume", tmp_path / "run", "--no-pictures")
    assert "all epochs are done: 1; train further with --epochs\n" in said.out
    assert "training on" not in said.out
    said = rot180("train", "--resume", tmp_path / "run", "--epochs", 2, "--no-pictures")
    assert "training on" in said.out


def test_runs_are_listed_and_compared(trained: Path, tmp_path: Path, rot180, monkeypatch) -> None:
    said = rot180("runs", trained.parent)
    assert "finished" in said.out
    assert "1/1" in said.out
    said = rot180("train", "--limit", 100, "--epochs", 1, "--no-pictures", "--out", tmp_path / "other")
    said = rot180("runs", trained, tmp_path / "other")
    assert "differences" in said.out
    assert "limit" in said.out
    (tmp_path / "empty").mkdir()
    assert "no runs here" in rot180("runs", tmp_path / "empty").out
    monkeypatch.chdir(tmp_path)
    assert rot180("runs").status == 2
