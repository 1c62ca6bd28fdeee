"""rot180 journey, cost and compare: what they print, their JSON, and what they say to mistakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

Call = Callable[..., Any]


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "digit.png"
    Image.fromarray(np.random.default_rng(0).integers(256, size=(8, 8), dtype=np.uint8)).save(path)
    return path


def assert_narrow(text: str) -> None:
    assert max(map(len, text.splitlines())) <= 80


def test_journey_in_the_terminal(rot180: Call) -> None:
    said = rot180("journey", "digits", "--random", "--batch-size", 4)
    assert said.status == 0, said.err
    assert_narrow(said.out)
    for words in (
        "forward",
        "backward",
        "update",
        "x_col",
        "delta_col",
        "weight.m_hat",
        "conv_im2col.py:",
        "= relu1.y",
    ):
        assert words in said.out


def test_one_layer_in_full(rot180: Call) -> None:
    said = rot180("journey", "digits", "--layer", "conv2", "--batch-size", 2)
    assert said.status == 0, said.err
    assert_narrow(said.out)
    assert "(128, 144) float32" in said.out
    assert "x_col = _unfold(x_pad, g, groups)" in said.out
    assert "fc1" not in said.out.replace("fc10", "").split("\n", 2)[2]


@pytest.mark.parametrize("algorithm", ["offsets", "windows", "loops"])
def test_journey_of_an_image_through_a_run(rot180: Call, trained: Path, image: Path, algorithm: str) -> None:
    said = rot180("journey", trained, image, "--label", 3, "--algorithm", algorithm, "--json")
    assert said.status == 0, said.err
    assert (said.json["batch_size"], said.json["algorithm"]) == (1, algorithm)
    first = said.json["arrays"][0]
    assert (first["name"], first["shape"], first["phase"]) == ("input.images", [1, 8, 8, 1], "forward")
    assert first["source"] == {"file": "", "line": 0, "code": ""}


def test_journey_saved(rot180: Call, trained: Path, image: Path, tmp_path: Path) -> None:
    path = tmp_path / "journey.safetensors"
    said = rot180("journey", trained, image, "--save", path, "--layer", "pool1")
    assert said.status == 0, said.err
    assert f"saved: {path}" in said.out
    assert load_file(path)["forward/pool1.winners"].dtype == np.int32
    again = rot180("journey", trained, image, "--save", path)
    assert (again.status, again.err.count("\n")) == (2, 1)
    assert "already exists and is not overwritten" in again.err


def test_cost(rot180: Call) -> None:
    said = rot180("cost", "cnn-32-64-512")
    assert said.status == 0, said.err
    assert_narrow(said.out)
    assert "1,663,370" in said.out
    assert "40.1 MB" in said.out  # the unfolded delta of conv2
    measured = rot180("cost", "4x4x1 > fc3 relu", "--engine", "numpy", "--measure", "--batch-size", 2, "--json").json
    assert [layer["name"] for layer in measured["layers"]] == ["flatten1", "fc1", "relu1"]
    assert all(layer["measured_forward"] > 0 for layer in measured["layers"])
    assert_narrow(rot180("cost", "4x4x1 > fc3 relu", "--measure").out)


@pytest.mark.usefixtures("brief_comparisons")
def test_compare(rot180: Call) -> None:
    said = rot180("compare", "6x6x1 > conv3x3:2 > fc3", "--batch-size", 2)
    assert said.status == 0, said.err
    assert_narrow(said.out)
    assert said.out.count("\n* ") == 3  # the fastest, the fastest way to unfold, and what the star means
    found = rot180("compare", "6x6x1 > conv3x3:2 > fc3", "--json").json
    assert {"loops", "im2col", "offsets", "windows"} <= {way["name"] for way in found["ways"]}
    assert [one["method"] for one in found["unfoldings"]] == ["loops", "indices", "strides"]


def test_a_notation_longer_than_a_file_s_name(rot180: Call) -> None:
    text = "2x2x1" + " > conv1x1:2" * 200
    assert len(rot180("cost", text, "--engine", "numpy", "--json").json["layers"]) == 200


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["journey", "digit"], "unknown model 'digit'; did you mean 'digits'"),
        (["journey", "runs/none"], "runs/none"),
        (["journey", "digits", "--layer", "conv9"], "the network has no layer 'conv9'"),
        (["journey", "digits", "--algorithm", "fft"], "unknown algorithm 'fft'"),
        (["journey", "digits", "none.png"], "none.png"),
        (["journey", "digits", "a.png", "--random"], "takes IMAGE or --random, not both"),
        (["journey", "digits", "--batch-size", "0"], "--batch-size must be at least 1"),
        (["journey", "digits", "--label", "10"], "labels must be from 0 to 9"),
        (["cost", "digits", "--batch-size", "0"], "batch_size must be an int, at least 1"),
        (["cost", "digits", "--engine", "gpu"], "--engine must be numpy, compiled or both; it is 'gpu'"),
        (["compare", "4x4x1 > fc3"], "the network has no convolution"),
    ],
)
def test_mistakes_are_answered_in_one_line(rot180: Call, arguments: list[str], words: str) -> None:
    said = rot180(*arguments)
    assert (said.status, said.out, said.err.count("\n")) == (2, "", 1)
    assert words in said.err


@pytest.mark.parametrize("command", ["journey", "cost", "compare"])
def test_help_has_examples(rot180: Call, command: str) -> None:
    said = rot180(command, "--help")
    assert said.status == 0
    assert f"rot180 {command} " in said.out.split("Examples:")[1]
