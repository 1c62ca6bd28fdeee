"""Augmentation in runs: from a recipe, turned off, and with files that are cropped before they are resized."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rot180.data.lazy import LazyImages
from rot180.errors import ArgumentError
from rot180.runs.config import read_config, write_config
from rot180.runs.resume import resume_run
from rot180.runs.train_run import RunSettings, train_run
from rot180.training import StepDone, TrainingStarted
from rot180.training.recipe import DEFAULT

SETTINGS = RunSettings(model="16x16x3 > fc2", epochs=3, batch_size=5, resize="16", engine="numpy", validation=0.2)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 20 training and 4 test images of different sizes, in two classes."""
    folder = tmp_path_factory.mktemp("photographs")
    generator = np.random.default_rng(0)
    for number in range(24):
        path = folder / ("train" if number < 20 else "test") / f"class{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (40 + number, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels // (1 + number % 2)).save(path)
    return folder


def stop_after(batches: int):
    trainers = []

    def stop(event) -> None:
        if isinstance(event, TrainingStarted):
            trainers.append(event.trainer)
        if isinstance(event, StepDone) and (event.epoch - 1) * 4 + event.batch == batches:
            trainers[0].stop("interrupted")

    return stop


def weights(path: Path) -> bytes:
    return (path / "model.safetensors").read_bytes()


@pytest.mark.parametrize("augment", ["resizedcrop:0.2,altflip,randaugment:2:9,mixup,cutmix", "trivialaugment,erase"])
def test_interrupted_equals_uninterrupted(photographs: Path, tmp_path: Path, augment: str) -> None:
    settings = replace(SETTINGS, data=str(photographs), augment=augment)
    whole = train_run(settings, out=tmp_path / "whole", draw=False)
    assert isinstance(whole.dataset.train_images, LazyImages) == augment.startswith("resizedcrop")
    report = (tmp_path / "whole" / "report.html").read_text(encoding="utf-8")
    assert ("of mixed images" in report) == ("mixup" in augment)
    for batches in (2, 4, 7):
        path = tmp_path / str(batches)
        run = train_run(settings, out=path, draw=False, subscribers=[stop_after(batches)])
        assert run.history.stopped == "interrupted"
        resume_run(path, draw=False, tell=lambda text: None)
        assert weights(path) == weights(tmp_path / "whole"), batches
    # Another augmentation would end with other weights.
    path = tmp_path / "stopped"
    train_run(settings, out=path, draw=False, subscribers=[stop_after(2)])
    config = read_config(path / "config.toml")
    config["training"]["augment"] = "flip"
    write_config(path / "config.toml", config)
    with pytest.raises(ArgumentError, match=r"augment '.*', here 'flip:0.5'|the data differ"):
        resume_run(path, draw=False, tell=lambda text: None)


def test_a_recipe_can_augment_and_none_turns_it_off(tmp_path: Path) -> None:
    recipe = replace(DEFAULT, augment="shift:1")
    assert RunSettings().filled_in("8x8x1 > fc10", recipe).augment == "shift:1"
    assert RunSettings(augment="flip").filled_in("8x8x1 > fc10", recipe).augment == "flip"
    assert RunSettings(augment="none").filled_in("8x8x1 > fc10", recipe).augment == "none"
    runs = [RunSettings(model="8x8x1 > fc10", epochs=1, limit=50, augment=augment) for augment in (None, "none")]
    for number, settings in enumerate(runs):
        train_run(settings, out=tmp_path / str(number), draw=False)
    assert weights(tmp_path / "0") == weights(tmp_path / "1")


def test_a_run_from_before_recipes_augmented_resumes_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = RunSettings(model="8x8x1 > fc10", epochs=2, batch_size=10, limit=40, engine="numpy")
    train_run(settings, out=tmp_path / "whole", draw=False)
    train_run(settings, out=tmp_path / "old", draw=False, subscribers=[stop_after(3)])
    config = read_config(tmp_path / "old" / "config.toml")
    assert config["training"].pop("augment") == "none"
    write_config(tmp_path / "old" / "config.toml", config)
    monkeypatch.setattr("rot180.training.recipe.DEFAULT", replace(DEFAULT, augment="shift:1"))
    resume_run(tmp_path / "old", draw=False)
    assert weights(tmp_path / "old") == weights(tmp_path / "whole")
