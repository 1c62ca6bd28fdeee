"""Ctrl-C: the run is kept, and its place is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rot180.runs import load_run


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to a whole console")
def test_ctrl_c_keeps_what_was_reached(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    arguments = ["train", "--epochs", "100000", "--model", "8x8x1 > fc10", "--no-pictures", "--out", str(folder)]
    code = f"import sys; from rot180.cli import main; sys.exit(main({arguments!r}))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        history = folder / "history.jsonl"
        while time.monotonic() < deadline and not (history.exists() and '"epoch"' in history.read_text()):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "stopped by Ctrl-C in epoch" in out
    assert str(folder) in out
    assert err == ""
    run = load_run(folder)
    assert run.history.stopped == "interrupted"
    assert json.loads((folder / "history.jsonl").read_text().splitlines()[-1])["event"] == "test"
