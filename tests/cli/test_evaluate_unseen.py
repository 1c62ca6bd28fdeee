"""What `rot180 evaluate` measures a run on: images that its training has not seen, and it says which."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Call = Callable[..., Any]

NETWORK = ["--model", "8x8x1 > fc10", "--epochs", "1", "--no-pictures"]


def write_csv(path: Path, count: int, seed: int = 0) -> Path:
    """Write images of ten classes, as many of each."""
    pixels = np.random.default_rng(seed).integers(256, size=(count, 64))
    path.write_text("".join(f"{n % 10},{','.join(map(str, row))}\n" for n, row in enumerate(pixels)))
    return path


@pytest.fixture
def own(rot180: Call, tmp_path: Path) -> Path:
    """Make a CSV file with 100 images, and a run that was trained on it, with a limit."""
    path = write_csv(tmp_path / "own.csv", 100)
    assert rot180("train", path, "--limit", 60, *NETWORK, "--out", tmp_path / "run").status == 0
    return path


def test_of_its_own_file_the_part_that_was_held_out(rot180: Call, own: Path, tmp_path: Path) -> None:
    said = rot180("evaluate", tmp_path / "run", own)
    first, second = said.out.splitlines()[:2]
    assert first == (
        f"evaluated on 20 of the 100 images of {own}, every fifth of each class: the run was trained on the others"
    )
    assert "of 20 correct" in second
    assert rot180("evaluate", tmp_path / "run", own, "--json").json["count"] == 20


def test_its_own_file_is_known_by_its_contents_too(
    rot180: Call, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(own, tmp_path / "copy.csv")
    monkeypatch.chdir(tmp_path)
    assert rot180("evaluate", "run", "copy.csv", "--json").json["count"] == 20
    assert rot180("evaluate", "run/model.safetensors", "own.csv", "--json").json["count"] == 20


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_of_another_file_all_images(rot180: Call, own: Path, tmp_path: Path, kind: str) -> None:
    if kind == "csv":
        other = write_csv(tmp_path / "other.csv", 50, seed=1)
    else:
        other = tmp_path / "other.npz"
        np.savez(other, images=np.zeros((50, 8, 8), np.uint8), labels=np.arange(50) % 10)
    said = rot180("evaluate", tmp_path / "run", other)
    first, second = said.out.splitlines()[:2]
    assert first == f"evaluated on all 50 images of {other}: the run was not trained on this data"
    assert "of 50 correct" in second


def test_a_lone_model_file_does_not_tell(rot180: Call, own: Path, tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    shutil.copy(tmp_path / "run" / "model.safetensors", tmp_path / "alone")
    said = rot180("evaluate", tmp_path / "alone" / "model.safetensors", own)
    assert said.out.startswith("evaluated on 20 of the 100 images of ")
    assert said.out.splitlines()[0].endswith(": only the run folder records whether it saw the others")


def test_data_with_test_images_of_its_own_needs_no_word(rot180: Call, own: Path, tmp_path: Path) -> None:
    assert " of 362 correct" in rot180("evaluate", tmp_path / "run", "digits").out.splitlines()[0]
    folder = tmp_path / "both"
    folder.mkdir()
    write_csv(folder / "train.csv", 50)
    write_csv(folder / "test.csv", 30)
    assert " of 30 correct" in rot180("evaluate", tmp_path / "run", folder).out.splitlines()[0]


def test_where_none_could_be_held_out(rot180: Call, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "ten.csv", 10)
    assert rot180("train", path, *NETWORK, "--out", tmp_path / "run").status == 0
    said = rot180("evaluate", tmp_path / "run", path)
    assert said.out.startswith(f"evaluated on all 10 images of {path}: too few to hold any out of the training")


@pytest.mark.parametrize("run", ["run", "run/model.safetensors"])
def test_without_data_the_runs_own(
    rot180: Call, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: str
) -> None:
    monkeypatch.chdir(tmp_path)
    said = rot180("evaluate", run)
    assert said.out.startswith(f"evaluated on 20 of the 100 images of {own}, every fifth of each class")
    own.rename(tmp_path / "moved.csv")  # what each of them reads
    for command in (["evaluate", run], ["health", run], ["explain", run, "0", "--at", "loss"]):
        missing = rot180(*command)
        assert missing.status == 2
        assert str(own) in missing.err


@pytest.mark.parametrize(
    ("command", "how"),
    [
        (["evaluate"], "give DATA"),
        (["health"], "give it with --data"),
        (["explain", "0", "--at", "loss"], "give it with --data"),
    ],
)
def test_a_lone_model_file_asks_for_data(rot180: Call, own: Path, tmp_path: Path, command: list[str], how: str) -> None:
    alone = shutil.copy(tmp_path / "run" / "model.safetensors", tmp_path / "alone.safetensors")
    said = rot180(command[0], alone, *command[1:])
    assert said.status == 2
    assert said.err == f"rot180: {alone}: a weights file alone does not record its training data; {how}\n"


def test_health_reads_images_in_the_size_of_the_network(rot180: Call, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(10):
            Image.new("L", (20, 10), 9 * number).save(tmp_path / "pictures" / name / f"{number}.png")
    arguments = ["--resize", "8", "--model", "8x8x1 > fc2", "--epochs", "1", "--no-pictures"]
    assert rot180("train", tmp_path / "pictures", *arguments, "--out", tmp_path / "run").status == 0
    said = rot180("health", tmp_path / "run")
    assert said.status == 0, said.err
