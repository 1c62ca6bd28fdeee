"""What the commands tell of the way data was read: parts, what is unused, notes; validation by a path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright and dark images in train/, val/ and test/, a stray one, an empty class, and a CSV file."""
    folder = tmp_path_factory.mktemp("parts") / "photos"
    generator = np.random.default_rng(0)
    for part, count in (("train", 10), ("val", 4), ("test", 3)):
        for name, level in (("dark", 0), ("light", 150)):
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = (level + generator.integers(0, 100, (6, 6))).astype(np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{number}.png")
    Image.fromarray(pixels).save(folder / "train" / "stray.png")
    (folder / "train" / "none").mkdir()
    (folder / "labels.csv").write_text("a,b\n")
    return folder


SOURCES = "train: train/, validation: val/, test: test/, unused: labels.csv, train/stray.png"
EMPTY = "no images of the class none, which is left out"


def test_inspect_tells_parts_and_notes(rot180: Call, photos: Path) -> None:
    said = rot180("data", "inspect", photos, "--no-picture").out.splitlines()
    assert said[0] == "photos: 20 training, 8 validation and 6 test images of 6x6x1, 2 classes"
    assert f"  {SOURCES}" in said
    assert f"  NOTE: {EMPTY}" in said
    assert any(line.split() == "dark 10 training 4 validation 3 test".split() for line in said)
    found = rot180("data", "inspect", photos, "--no-picture", "--json").json
    assert found["sources"] == {
        "train": "train/", "validation": "val/", "test": "test/", "unused": "labels.csv, train/stray.png",
    }  # fmt: skip
    assert found["validation_counts"] == {"dark": 4, "light": 4}
    assert EMPTY in found["notes"]
    assert "not used: a folder with a CSV file for each part" in found["notes"][0]


def test_train_tells_parts_and_validates_on_val(rot180: Call, photos: Path, tmp_path: Path) -> None:
    options = ["--model", "6x6x1 > fc2", "--epochs", 2, "--no-pictures", "--engine", "numpy"]
    said = rot180("train", photos, "--out", tmp_path / "own", *options, "--early-stopping", 1)
    assert f"data: {SOURCES}" in said.out
    assert "training on 20 images, 8 for validation" in said.out
    assert f"rot180: photos: {EMPTY}" in said.err
    assert EMPTY in rot180("evaluate", tmp_path / "own").out
    said = rot180("train", photos / "train", "--out", tmp_path / "path", *options, "--validation", photos / "test")
    assert f"validation: {photos / 'test'}, test: every fifth image of each class, held out" in said.out
    assert "training on 16 images, 6 for validation" in said.out
    said = rot180("train", photos, "--out", tmp_path / "share", *options, "--validation", 0.25, "--json")
    assert said.status == 0
    assert f"rot180: photos: {EMPTY}" in said.err
    assert said.json["test_count"] == 6


def test_validation_data_that_cannot_be_used(rot180: Call, photos: Path, tmp_path: Path) -> None:
    for given, message in (
        (tmp_path / "nowhere", "there is no data set or path"),
        ("", "there is no data set or path ''"),
        ("mnits", "there is no data set or path 'mnits'; did you mean 'mnist'"),
    ):
        said = rot180("train", photos, "--validation", given, "--out", tmp_path / "none")
        assert (said.status, said.out) == (2, "")
        assert message in said.err
    assert not (tmp_path / "none").exists()


def test_duplicates_between_training_and_validation_are_told(rot180: Call, photos: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(photos, tmp_path / "photos"))
    shutil.copy(copy / "train" / "dark" / "1.png", copy / "val" / "dark" / "9.png")
    shutil.copy(copy / "val" / "dark" / "2.png", copy / "test" / "dark" / "9.png")
    said = rot180("data", "inspect", copy, "--no-picture").out
    assert "WARNING: 1 validation images are also in the training set; the validation accuracy will be too high" in said
    assert (
        "WARNING: 1 test images are also in the training or validation set; the test accuracy will be too high" in said
    )
