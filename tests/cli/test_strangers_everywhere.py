"""Whatever a stranger put into names of files and folders, models, runs and data, no command prints it raw."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rot180.runs import create_run, load_run, save_model

Call = Callable[..., Any]

ACTS = "\x1b]0;owned\x07\x9b2J\u202e\r"
RAW = set("\x07\x1b\x9b\u202e\r")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> Path:
    """A folder with a model, a run and data, whose names and contents all act."""
    place = tmp_path_factory.mktemp("strangers")
    run = create_run(place / f"run{ACTS}").path
    shutil.copytree(trained, run, dirs_exist_ok=True)
    model = load_run(run).model
    model.class_names = tuple(f"{number}{ACTS}" for number in range(10))
    save_model(run / "model.safetensors", model)
    config = (run / "config.toml").read_text()
    data = json.dumps(str(place / f"data{ACTS}"))
    (run / "config.toml").write_text(config.replace('data = "digits"', f"data = {data}"))
    with (run / "history.jsonl").open("a") as file:
        file.write(json.dumps({"event": "failed", "reason": f"because {ACTS}"}) + "\n")
    generator = np.random.default_rng(0)
    for part in ("train", "test"):
        for number in range(10):
            folder = place / f"data{ACTS}" / part / str(number)
            folder.mkdir(parents=True)
            for image in range(2):
                pixels = generator.integers(256, size=(8, 8), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{image}.png")
    shutil.copytree(place / f"data{ACTS}", place / f"bad{ACTS}")
    (place / f"bad{ACTS}" / "train" / "0" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nno image")
    (place / f"notes{ACTS}.csv").write_text(f"label{ACTS},p1\n1,x{ACTS}\n")
    return place


RUN, DATA, BAD, CSV, NEW = f"run{ACTS}", f"data{ACTS}", f"bad{ACTS}", f"notes{ACTS}.csv", f"new{ACTS}"
IMAGE = f"{DATA}/test/0/0.png"
QUICK = ["--epochs", "1", "--model", "8x8x1 > fc10", "--resize", "8x8x1"]
COMMANDS = [
    ["train", DATA, *QUICK, "--out", f"{NEW}1"],
    ["train", BAD, *QUICK],
    ["train", BAD, *QUICK, "--on-bad-file", "skip", "--out", f"{NEW}2", "--no-pictures"],
    ["train", DATA, "--out", RUN],
    ["train", CSV],
    ["train", f"missing{ACTS}"],
    ["train", "digits", "--model", f"8x8x1 > fc10{ACTS}"],
    ["train", "--resume", RUN],
    ["train", "--resume", f"missing{ACTS}"],
    ["train", "digits", f"--epochs{ACTS}"],
    ["train", "digits", "--epochs", f"1{ACTS}"],
    [f"train{ACTS}"],
    ["evaluate", RUN],
    ["evaluate", RUN, DATA],
    ["evaluate", f"missing{ACTS}"],
    ["predict", RUN, IMAGE],
    ["predict", RUN, f"missing{ACTS}"],
    ["show", RUN],
    ["health", RUN],
    ["explain", RUN, IMAGE, "--at", "loss"],
    ["explain", RUN, IMAGE, "--at", "loss", "--as", "markdown"],
    ["explain", RUN, IMAGE, "--at", "loss", "--as", "picture", "--out", f"{NEW}3"],
    ["explain", RUN, IMAGE, "--at", f"loss{ACTS}"],
    ["explain", RUN, IMAGE, "--at", "loss", "--label", ACTS],
    ["journey", RUN, IMAGE, "--save", f"{NEW}4"],
    ["runs", "."],
    ["runs", RUN, RUN],
    ["plan", RUN],
    ["check", RUN],
    ["data", "inspect", BAD, "--out", f"{NEW}5"],
    ["data", "show", DATA, "--out", f"{NEW}6"],
    ["data", "inspect", CSV],
]


JSON = [[*command, "--json"] for command in COMMANDS if command[0] in ("evaluate", "predict", "runs", "data")]


@pytest.mark.parametrize("command", [*COMMANDS, *JSON], ids=lambda command: " ".join(command[:2]).replace(ACTS, ""))
def test_nothing_acts(rot180: Call, place: Path, command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    said = rot180(*command)
    assert not RAW & set(said.out + said.err), (said.out + said.err).encode()
    assert "a bug in this program" not in said.err
    assert said.out + said.err
    for path in place.glob(f"{NEW}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
