"""Options of the command line that change how a network is trained and tested."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rot180.cli import main
from rot180.runs.settings import RunSettings
from rot180.runs.train_run import train_run

TRAIN = ["train", "--model", "8x8x1 > conv3x3:2 relu > fc10", "--limit", "100", "--epochs", "1", "--no-pictures"]
TRAIN += ["--engine", "numpy"]


@pytest.fixture(scope="module")
def flipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that averages over flips."""
    path = tmp_path_factory.mktemp("flipped") / "run"
    model = "8x8x1 > conv3x3:4 relu > fc10"
    train_run(
        RunSettings(model=model, epochs=2, limit=400, tta="flip", augment="flip", engine="numpy"), out=path, draw=False
    )
    return path


def test_evaluate_and_predict_average_as_the_training_did(flipped, capsys: pytest.CaptureFixture[str]) -> None:
    found = {}
    for tta in ("flip", "none", None):
        options = ["--json", "--engine", "numpy", *(() if tta is None else ("--tta", tta))]
        assert main(["evaluate", str(flipped), *options]) == 0
        found[tta] = json.loads(capsys.readouterr().out)
        assert main(["predict", str(flipped), "examples/three.png", *options]) == 0
        found[tta] |= json.loads(capsys.readouterr().out)["predictions"][0]
    assert found[None] == found["flip"]
    assert found["flip"]["tta"] == "flip"
    assert found["flip"]["loss"] != found["none"]["loss"]
    assert found["flip"]["top"] != found["none"]["top"]
    test = [json.loads(line) for line in (flipped / "history.jsonl").read_text().splitlines() if '"test"' in line]
    assert test[0]["accuracy"] == found["flip"]["accuracy"]
    assert main(["evaluate", str(flipped), "--engine", "numpy"]) == 0
    assert "its mirror image are averaged (--tta flip)" in capsys.readouterr().out
    assert main(["evaluate", str(flipped), "--engine", "numpy", "--tta", "shift"]) == 0
    assert "and four shifted ones are averaged (--tta shift)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        (["--tta", "flip"], "--tta flip averages over mirror images, but the network was not trained on them"),
        (["--no-decay-bias-and-norm"], "changes nothing, as there is no weight decay; add --weight-decay"),
    ],
)
def test_what_will_not_help_is_said(tmp_path, capsys: pytest.CaptureFixture[str], options, warning) -> None:
    assert main([*TRAIN, "--out", str(tmp_path / "run"), *options]) == 0
    assert warning in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path / "run"), "--engine", "numpy", "--tta", "flip"]) == 0
    assert "the network was not trained on them" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tta", "flop"], r"unknown tta 'flop'; did you mean 'flip'?"),
        (["--ema", "1"], "ema must be a number, at least 0 and below 1; it is 1.0"),
        (["--clip-norm", "-1"], "clip_norm must be a number, at least 0 and finite; it is -1.0"),
        (["--label-smoothing", "1"], "label_smoothing must be a number, at least 0 and below 1; it is 1.0"),
        (
            ["--label-smoothing", "0.1", "--model", "8x8x1 > fc10 sigmoid"],
            "label_smoothing is for cross_entropy; this network is trained with squared_error",
        ),
        (["--resume", "x", "--ema", "0.9"], "--resume keeps the settings of the run; leave --ema out"),
        (["--resume", "x", "--no-decay-bias-and-norm"], "leave --decay-bias-and-norm out"),
    ],
)
def test_a_value_that_is_none_leaves_no_folder(tmp_path, capsys: pytest.CaptureFixture[str], options, message) -> None:
    assert main(
        [*TRAIN, "--out", str(tmp_path / "run"), *options] if "--resume" not in options else ["train", *options]
    )
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_zero_turns_an_option_of_a_recipe_off(tmp_path: Path) -> None:
    from dataclasses import replace

    from rot180.training.recipe import DEFAULT

    strong = replace(DEFAULT, ema=0.9, clip_norm=1.0, weight_decay=0.1, decay_bias_and_norm=False, tta="flip")
    kept = RunSettings().filled_in("digits", strong)
    assert (kept.ema, kept.clip_norm, kept.decay_bias_and_norm, kept.tta) == (0.9, 1.0, False, "flip")
    off = RunSettings(ema=0, clip_norm=0, decay_bias_and_norm=True, tta="none").filled_in("digits", strong)
    assert (off.ema, off.clip_norm, off.decay_bias_and_norm, off.tta) == (0, 0, True, "none")
    # a decay suits one optimizer, as a learning rate does
    assert RunSettings(optimizer="sgd").filled_in("digits", strong).weight_decay is None
