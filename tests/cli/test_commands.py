"""The commands when all goes well."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rot180 as package
from rot180.runs import load_run

Call = Callable[..., Any]
Quick = list[str]


def test_train_prints_one_json_object_and_leaves_a_whole_run(rot180: Call, quick: Quick, tmp_path: Path) -> None:
    said = rot180("train", *quick, "--out", tmp_path / "run", "--json")
    assert said.status == 0
    assert said.out.count("\n") == 1
    assert said.err == ""
    result = said.json
    assert {"run", "epochs", "train_loss", "test_loss", "test_accuracy", "seconds"} <= result.keys()
    assert result["run"] == (tmp_path / "run").as_posix()
    assert result["epochs"] == 1
    assert 0 <= result["test_accuracy"] <= 1
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names - {".lock"} == {
        *("config.toml", "environment.json", "history.jsonl", "checkpoints", "model.safetensors", "pictures"),
        "report.html",
    }
    assert {Path(picture).stem for picture in result["pictures"]} >= {
        "curves",
        "kernels-conv1",
        "confusion",
        "mistakes",
    }
    for picture in result["pictures"]:
        assert Path(picture).with_suffix(".svg").exists()


def test_train_says_where_the_run_is(
    rot180: Call, quick: Quick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = rot180("train", *quick, "--no-pictures")
    assert said.status == 0
    assert "run: runs/digits-network-001" in said.out.replace("\\", "/")
    assert (tmp_path / "runs" / "digits-network-001" / "model.safetensors").exists()
    # No terminal, no progress bar; what ails so short a training is said in three lines at most.
    assert all(line.startswith("health: ") for line in said.err.splitlines())
    assert said.err.count("\n") <= 3


def test_flags_go_before_the_recipe_and_all_are_in_the_configuration(
    rot180: Call, quick: Quick, tmp_path: Path
) -> None:
    flags = [
        "--optimizer",
        "sgd",
        "--momentum",
        0.9,
        "--nesterov",
        "--lr",
        0.05,
        "--schedule",
        "cosine",
        "--batch-size",
        50,
        "--seed",
        7,
    ]
    more = ["--normalize", "dataset", "--validation", 0.2, "--early-stopping", 2, "--warmup", 1, "--accumulate", 2]
    said = rot180("train", *quick, *flags, *more, "--out", tmp_path / "run", "--no-pictures", "--json")
    assert said.status == 0, said.err
    run = load_run(tmp_path / "run")
    expected = {
        "optimizer": "sgd",
        "momentum": 0.9,
        "nesterov": True,
        "lr": 0.05,
        "schedule": "cosine",
        "batch_size": 50,
        "seed": 7,
        "normalize": "dataset",
        "validation": 0.2,
        "early_stopping": 2,
        "warmup": 1,
        "accumulate": 2,
        "limit": 300,
        "epochs": 1,
    }
    assert expected.items() <= run.config["training"].items()
    assert run.model.preprocessing.kind == "dataset"
    assert run.history.epochs[0].validation_loss is not None


def test_another_optimizer_than_the_recipes_brings_its_own_learning_rate(
    rot180: Call, quick: Quick, tmp_path: Path
) -> None:
    said = rot180("train", *quick, "--optimizer", "sgd", "--out", tmp_path / "run", "--no-pictures")
    assert said.status == 0
    assert load_run(tmp_path / "run").config["training"]["lr"] == package.SGD().initial_lr


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_single_class_is_trained_on_with_a_warning(rot180: Call, tmp_path: Path, more: list[str]) -> None:
    path = tmp_path / "same.csv"
    path.write_text("".join(f"3,{','.join([str(number)] * 64)}\n" for number in range(20)))
    arguments = ["--epochs", 1, "--model", "8x8x1 > fc4", "--no-pictures", "--out", tmp_path / "run", *more]
    said = rot180("train", path, *arguments)
    assert said.status == 0
    assert said.err.splitlines()[0] == (
        "rot180: same: all images are of one class, 3: a network will learn to predict it for any image; "
        "give data of two classes or more"
    )


def test_a_limit_that_leaves_a_single_class_is_named(rot180: Call, tmp_path: Path) -> None:
    said = rot180("train", "--limit", 1, "--epochs", 1, "--no-pictures", "--out", tmp_path / "run", "--json")
    assert (said.status, said.err.count("\n")) == (0, 1)
    assert said.err.endswith("predict it for any image; give a larger --limit\n")


def test_the_same_seed_gives_the_same_weights(rot180: Call, quick: Quick, tmp_path: Path, trained: Path) -> None:
    assert rot180("train", *quick, "--out", tmp_path / "again", "--no-pictures").status == 0
    once, again = load_run(trained).model.parameters, load_run(tmp_path / "again").model.parameters
    assert once.keys() == again.keys()
    for name, array in once.items():
        assert array.tobytes() == again[name].tobytes(), name


def test_evaluate_counts(rot180: Call, trained: Path) -> None:
    result = rot180("evaluate", trained, "digits", "--json").json
    assert result.keys() == {"count", "loss", "accuracy", "error_percent", "confusion", "unlike_training", "tta"}
    confusion = np.array(result["confusion"])
    assert confusion.sum() == result["count"] == len(package.load_data("digits").test_images)
    assert np.trace(confusion) == round(result["accuracy"] * result["count"])
    assert result["error_percent"] == pytest.approx(100 * (1 - result["accuracy"]))
    text = rot180("evaluate", trained).out
    assert f"of {result['count']} correct" in text
    assert "predicted as" in text


def test_predict_names_three_labels_of_each_image(rot180: Call, trained: Path, tmp_path: Path) -> None:
    data = package.load_data("digits")
    paths = [tmp_path / "gray.png", tmp_path / "large color.jpg"]
    Image.fromarray(data.test_images[0][:, :, 0]).save(paths[0])
    Image.fromarray(data.test_images[1][:, :, 0]).resize((200, 160)).convert("RGB").save(paths[1])
    result = rot180("predict", trained, *paths, "--json").json
    assert [one["image"] for one in result["predictions"]] == [path.as_posix() for path in paths]
    expected = package.predict(load_run(trained).model, data.test_images[:1])[0]
    top = result["predictions"][0]["top"]
    assert [one["label"] for one in top] == [str(index) for index in np.argsort(-expected)[:3]]
    assert [one["probability"] for one in top] == pytest.approx(sorted(expected, reverse=True)[:3])
    lines = rot180("predict", trained, *paths).out.splitlines()
    assert len(lines) == 2
    assert lines[1].count("%") == 3


def test_show_draws_again(rot180: Call, trained: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    result = rot180("show", copy, "--image", 3, "--json").json
    names = [Path(path).name for path in result["pictures"]]
    assert names == ["curves.png", "kernels-conv1.png", "confusion.png", "mistakes.png", "feature-maps-3.png"]
    assert all((copy / "pictures" / name).stat().st_size > 5000 for name in names)


def test_models_lists_all_and_shows_one(rot180: Call) -> None:
    listed = rot180("models", "--json").json["models"]
    assert [row["name"] for row in listed] == list(package.MODELS)
    assert all(row["parameters"] > 0 and row["multiply_adds"] > 0 for row in listed)
    assert "cnn-32-64-512" in rot180("models").out
    one = rot180("models", "lenet5", "--json").json
    assert one["parameters"] == 61706
    assert one["layers"][0]["name"] == "conv1"
    assert "multiply-adds" in rot180("models", "8x8x1 > fc10").out


def test_version_and_help(rot180: Call) -> None:
    assert rot180("--version") == (0, f"rot180 {package.__version__}\n", "")
    assert "rot180 train" in rot180().out
    for command in ("train", "evaluate", "predict", "show", "models"):
        said = rot180(command, "--help")
        assert said.status == 0
        assert "Examples:" in said.out


def test_the_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from rot180.cli import main; main(['--help']);"
        "heavy = {'numpy', 'matplotlib', 'numba', 'PIL', 'safetensors'};"
        "print(sorted(heavy & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_json_without_numbers_that_json_has_not(rot180: Call, quick: Quick, tmp_path: Path) -> None:
    # Diverges at once: whatever the loss is, what is printed can be read by any reader of JSON.
    said = rot180(
        "train", *quick, "--lr", 1e30, "--optimizer", "sgd", "--out", tmp_path / "run", "--no-pictures", "--json"
    )
    if said.status == 0:
        json.loads(said.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    else:
        assert said.err.startswith("rot180: ")
