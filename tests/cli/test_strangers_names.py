"""Names from a stranger's model or folder are shown, and do nothing to the terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rot180.nn import network
from rot180.runs import save_model

Call = Callable[..., Any]

NAMES = ("cat\x1b[2J\nof mine", "dog\u202eeman\r", "\u732b[bold]")
SHOWN = ("cat\\x1b[2J\\nof mine", "dog\\u202eeman\\r", "\u732b[bold]")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make data of such classes, a trained model that knows them, and an image."""
    monkeypatch.chdir(tmp_path)
    model = network("4x4x1 > fc3").build(seed=0)
    model.class_names = NAMES
    save_model("model.safetensors", model)
    Image.new("L", (4, 4), 9).save("image.png")
    images = np.random.default_rng(0).integers(256, size=(300, 4, 4), dtype=np.uint8)
    labels = np.array([0, 1] * 5 + [2] * 290)
    np.savez("data.npz", images=images, labels=labels)
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        ("predict", "model.safetensors", "image.png"),
        ("evaluate", "model.safetensors", "data.npz"),
        ("health", "model.safetensors", "--data", "data.npz"),
        ("explain", "model.safetensors", "image.png", "--at", "loss", "--label", "0"),
        ("journey", "model.safetensors", "image.png", "--label", "0"),
    ],
    ids=lambda command: command[0],
)
def test_names_are_escaped(rot180: Call, run: Path, command: tuple[str, ...]) -> None:
    said = rot180(*command)
    assert said.status == 0, said.err
    assert any(name in said.out for name in SHOWN), said.out
    assert not any(sign in said.out + said.err for sign in "\x1b\r\u202e")


@pytest.mark.parametrize(
    "command", [("evaluate", "model.safetensors"), ("data", "inspect")], ids=lambda command: command[0]
)
def test_names_are_escaped_in_errors(rot180: Call, run: Path, command: tuple[str, ...]) -> None:
    Path("folder", "\x1b[31mfox").mkdir(parents=True)
    Image.new("L", (4, 4), 9).save("folder/\x1b[31mfox/1.png")
    said = rot180(*command, "folder")
    assert said.status == 2
    assert "\\x1b[31mfox" in said.err
    assert "\x1b" not in said.err


def test_json_keeps_them_whole(rot180: Call, run: Path) -> None:
    (found,) = rot180("predict", "model.safetensors", "image.png", "--json").json["predictions"]
    assert {one["label"] for one in found["top"]} == set(NAMES)
