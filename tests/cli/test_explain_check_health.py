"""The commands that explain a number, check gradients and look for illnesses."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import rot180 as package
from rot180 import load_model
from rot180.cli.health import train_again
from rot180.inside.health_advice import Adviser

Call = Callable[..., Any]

LAYER = """
import numpy as np
from rot180.nn import Join
from rot180.nn.layer import Layer


class Scale(Layer):
    def __init__(self, start=1.0):
        super().__init__()
        self.start = start

    def build(self, input_shape, generator, *, dtype=np.float32, activation="linear"):
        self.parameters = {"factor": np.full(input_shape[-1:], self.start, dtype)}

    def forward(self, x, *, training=False, generator=None):
        return x * self.parameters["factor"], x

    def backward(self, dy, saved, *, needs_dx=True):
        return dy * self.parameters["factor"], {"factor": (dy * saved).sum((0, 1, 2))}


class Wrong(Scale):
    def backward(self, dy, saved, *, needs_dx=True):
        dx, gradients = super().backward(dy, saved)
        return dx, {"factor": gradients["factor"] / len(dy)}


class Gate(Join):
    def output_shape(self, *input_shapes):
        return input_shapes[0]

    def forward(self, *inputs, training=False, generator=None):
        return inputs[0] * inputs[1][:, None, None], inputs

    def backward(self, dy, saved, *, needs_dx=True):
        return (dy * saved[1][:, None, None], (dy * saved[0]).mean((1, 2))), {}
"""


def test_explain_as_text(rot180: Call, trained: Path) -> None:
    said = rot180("explain", trained, 7, "--at", "conv1.output[3,2,1]", "--at", "loss")
    assert said.status == 0, said.err
    assert said.out.startswith("image 7: predicted as ")
    assert "conv1.output[3,2,1] = " in said.out
    assert "stored by the network" in said.out
    assert "\nloss = " in said.out
    assert max(len(line) for line in said.out.splitlines()) <= 80


def test_explain_as_json(rot180: Call, trained: Path) -> None:
    for flags in (["--as", "json"], ["--json"]):
        result = rot180("explain", trained, 7, "--at", "fc1.weight.update[3,2]", *flags).json
        (ledger,) = result["ledgers"]
        assert ledger["adds_up"]
        assert ledger["cell"] == "fc1.weight.update[3,2]"
        assert result["label"] == package.load_data("digits").test_labels[7]


def test_explain_all_and_markdown(rot180: Call, trained: Path) -> None:
    few = rot180("explain", trained, 0, "--at", "fc1.output[3]").out
    every = rot180("explain", trained, 0, "--at", "fc1.output[3]", "--all").out
    assert "28 more, together" in few
    assert "more, together" not in every
    assert every.count("fc1.weight[") == 36
    assert rot180("explain", trained, 0, "--at", "fc1.output[3]", "--as", "markdown").out.startswith("### `fc1.output")


def test_explain_an_image_file_with_a_label(rot180: Call, trained: Path, tmp_path: Path) -> None:
    data = package.load_data("digits")
    Image.fromarray(data.test_images[7][:, :, 0]).save(tmp_path / "7.png")
    file = rot180("explain", trained, tmp_path / "7.png", "--at", "loss", "--label", "3", "--json").json
    test = rot180("explain", trained, 7, "--at", "loss", "--label", "3", "--json").json
    assert file["label"] == 3
    assert file["ledgers"] == test["ledgers"]


@pytest.mark.parametrize(
    "cell",
    [
        "conv1.output[2,3,1]",
        "pool1.output[1,1,2]",
        "relu1.output[1,1,2]",
        "pool1.input.grad[2,2,1]",
        "conv1.input.grad[2,2,0]",
        "conv1.weight.grad[1,1,0,2]",
        "conv1.weight.update[1,1,0,2]",
        "fc1.weight.grad[3,4]",
        "loss",
    ],
)
def test_explain_as_picture(rot180: Call, trained: Path, tmp_path: Path, cell: str) -> None:
    said = rot180("explain", trained, 7, "--at", cell, "--as", "picture", "--out", tmp_path / "ledger")
    assert said.out.strip() == str(tmp_path / "ledger.png")
    assert (tmp_path / "ledger.png").stat().st_size > 5000
    assert (tmp_path / "ledger.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["7", "--at", "conv9.output[0,0,0]"], "unknown layer 'conv9'; did you mean 'conv1'?"),
        (["7", "--at", "conv1.output[9,9,9]"], "so the index goes from [0,0,0] to [5,5,3]"),
        (["9999", "--at", "loss"], "digits has 362 test images"),
        (["none.png", "--at", "loss"], "there is no such file"),
        (["7", "--at", "loss", "--as", "table"], "--as must be one of text, json, markdown, picture"),
        (["7", "--at", "loss", "--label", "ten"], "--label: no class is called 'ten'"),
    ],
)
def test_explain_says_what_is_wrong(rot180: Call, trained: Path, arguments: list[str], says: str) -> None:
    said = rot180("explain", trained, *arguments)
    assert said.status == 2
    assert said.err.count("\n") == 1
    assert says in said.err


def test_check_a_network_and_a_run(rot180: Call, trained: Path) -> None:
    said = rot180("check", "6x6x1 > conv3x3:2 relu > fc3")
    assert said.status == 0
    assert "every gradient is right, in float64" in said.out
    assert max(len(line) for line in said.out.splitlines()) <= 80
    result = rot180("check", trained, "--json").json
    assert result["passed"]
    assert result["blamed"] == []


def test_check_a_layer_that_the_user_wrote(rot180: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("scale_layers.py").write_text(LAYER)
    right = rot180("check", "--layer", "scale_layers:Scale", "--input-shape", "4x5x3", "--set", "start=0.5")
    assert right.status == 0, right.err
    wrong = rot180("check", "--layer", "scale_layers.py:Wrong")
    assert wrong.status == 1
    assert "it looks like: batch mean taken twice" in wrong.out
    gate = rot180("check", "--layer", "scale_layers:Gate", "--input-shape", "6x5x2,2")
    assert gate.out.startswith("Gate() on 6x5x2 and 2\n")
    assert "it looks like: gate's gradient not summed over the map" in gate.out
    said = json.loads(rot180("check", "--layer", "scale_layers:Wrong", "--json").out)
    assert said["parts"][0]["gradients"][1]["mistake"] == "batch mean taken twice"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "check takes one of MODEL-OR-RUN, --layer MODULE:CLASS and --optimizer NAME"),
        (["lenet5", "--layer", "a:B"], "check takes one of"),
        (["--layer", "Scale"], "--layer must be MODULE:CLASS"),
        (["--layer", "no_such_module:Scale"], "no_such_module cannot be imported (ModuleNotFoundError"),
        (["--layer", "rot180.nn.conv2d:Conv3d"], "has no layer class 'Conv3d'; did you mean 'Conv2d'?"),
        (["--layer", "rot180.nn.conv2d:Conv2d"], "Conv2d"),
        (["--layer", "rot180.nn.activation:ReLU", "--input-shape", "5x5"], "--input-shape must be rows x columns"),
        (["--layer", "rot180.nn.activation:LeakyReLU", "--set", "slope"], "--set must be NAME=VALUE"),
        (["lenet5", "--set", "a=1"], "--set passes arguments to the class given with --layer"),
        (["nothing-of-this-name"], "nothing-of-this-name"),
        (["runs/nothing"], "runs/nothing: no such run"),
    ],
)
def test_check_says_what_is_wrong(rot180: Call, arguments: list[str], says: str) -> None:
    said = rot180("check", *arguments)
    assert said.status == 2
    assert says in said.err


def test_health(rot180: Call, trained: Path) -> None:
    said = rot180("health", trained)
    assert said.status == 0, said.err
    assert said.out.startswith("layer ")
    assert max(len(line) for line in said.out.splitlines() if "rot180 train" not in line) <= 80
    result = rot180("health", trained, "--json").json
    assert {"healthy", "findings", "layers"} <= result.keys()
    assert result["layers"][0]["name"] == "conv1"


def test_a_flag_in_the_command_to_train_again() -> None:
    settings = {"model": "6 > fc2", "optimizer": "adamw", "weight_decay": 0.1, "decay_bias_and_norm": True}
    assert train_again(settings, ["--no-decay-bias-and-norm"]).endswith("--no-decay-bias-and-norm")
    assert "--no-decay-bias-and-norm" in train_again(settings | {"decay_bias_and_norm": False}, ["--lr", "0.1"])
    assert "decay-bias" not in train_again(settings, ["--lr", "0.1"])


def test_train_ends_with_three_lines_of_health_at_most(rot180: Call, tmp_path: Path) -> None:
    sick = ["--limit", "200", "--epochs", "3", "--lr", "1", "--model", "8x8x1 > fc32 relu fc32 relu fc32 relu > fc10"]
    said = rot180("train", *sick, "--out", tmp_path / "run", "--no-pictures")
    lines = said.err.splitlines()
    assert 1 <= len(lines) <= 3
    assert all(line.startswith("health: ") for line in lines)
    assert rot180("train", *sick, "--out", tmp_path / "json", "--no-pictures", "--json").err == ""


def test_what_health_advises_can_be_typed(rot180: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command runs as it is printed, and what it does is not advised again."""
    monkeypatch.chdir(tmp_path)
    sick = ["--limit", "100", "--epochs", "12", "--lr", "0.02", "--model", "8x8x1 > fc32 relu > fc10"]
    assert rot180("train", *sick, "--out", "0", "--no-pictures").status == 0
    (finding,) = rot180("health", "0", "--json").json["findings"]
    assert finding["what"] == "overfitting"
    assert "of the first 256 of 362 test images" in finding["evidence"]
    assert f"    {finding['command']}" in rot180("health", "0").out.splitlines()
    assert "--lr 0.02 --limit 100 --augment shift:1" in finding["command"]
    run = package.load_run("0")
    settings = {name: run.config[name] for name in ("data", "model")} | run.config["training"]
    adviser = Adviser(run.model, run.history, settings)
    remedies = [*adviser.overfitting(), *adviser.too_high(), *adviser.dead(), *adviser.imbalance()]
    commands = {train_again(settings, remedy.options): remedy for remedy in remedies if remedy.options}
    assert len(commands) >= 8
    for number, (command, remedy) in enumerate(commands.items(), 1):
        program, *arguments = shlex.split(command)
        assert program == "rot180"
        said = rot180(*arguments, "--epochs", "1", "--out", str(number), "--no-pictures")
        assert said.status == 0, (command, said.err)
        again = package.load_run(str(number))
        after = Adviser(again.model, again.history, again.config["training"])
        if not remedy.options[0].startswith(("--lr", "--epochs")):  # of a rate there is always another
            left = [*after.overfitting(), *after.too_high(), *after.dead(), *after.imbalance()]
            assert remedy.text not in [one.text for one in left]


def test_weight_decay_from_the_command_line(rot180: Call, tmp_path: Path) -> None:
    quick = ["--limit", "60", "--epochs", "1", "--model", "8x8x1 > fc10", "--no-pictures"]
    weights = []
    for number, more in enumerate([[], ["--weight-decay", "0.5"], ["--optimizer", "adamw", "--weight-decay", "0.5"]]):
        run = tmp_path / str(number)
        assert rot180("train", *quick, *more, "--out", run).status == 0
        weights.append(load_model(run / "model.safetensors").parameters["fc1.weight"])
    assert "weight_decay = 0.5" in (tmp_path / "2" / "config.toml").read_text(encoding="utf-8")
    assert len({weight.tobytes() for weight in weights}) == 3
    said = rot180("train", *quick, "--weight-decay", "-1", "--out", tmp_path / "bad")
    assert said.status == 2
    assert "adam: weight_decay must be a number, at least 0" in said.err
