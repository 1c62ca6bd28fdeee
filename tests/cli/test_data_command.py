"""Looking at data, and training on a folder of images, from the command line."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rot180.data import load_data

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Color JPEGs of mixed sizes: red ones and blue ones."""
    folder = tmp_path_factory.mktemp("data") / "photos"
    generator = np.random.default_rng(0)
    for number in range(40):
        name, channel = ("red", 0) if number % 2 else ("blue", 2)
        pixels = generator.integers(0, 120, (*generator.integers(34, 47, 2), 3), dtype=np.uint8)
        pixels[..., channel] += 120
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name / f"{number}.jpg")
    return folder


@pytest.fixture(scope="module")
def trained_on_photos(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A run with no flag about the images, and its result; 32 steps, in which running statistics settle."""
    import contextlib
    import io
    import json

    from rot180.cli import main

    run = tmp_path_factory.mktemp("runs") / "photos"
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(["train", str(photos), "--out", str(run), "--epochs", "8", "--batch-size", "8", "--json"]) == 0
    return run, json.loads(out.getvalue())


def test_a_folder_of_photos_needs_no_flag(trained_on_photos: tuple[Path, Any]) -> None:
    _, result = trained_on_photos
    assert result["network"].startswith("32x32x3 > conv3x3:32:nobias bn gelu")
    assert result["network"].endswith("fc2")
    assert result["test_count"] == 8
    assert result["test_accuracy"] == 1.0
    assert "mistakes" in {Path(picture).stem for picture in result["pictures"]}


def test_class_names_travel(rot180: Call, trained_on_photos: tuple[Path, Any], photos: Path, tmp_path: Path) -> None:
    run, _ = trained_on_photos
    said = rot180("predict", run, photos / "red" / "1.jpg", "--json")
    assert said.json["predictions"][0]["top"][0]["label"] == "red"
    # Folders of another order and with fewer classes are matched by their names.
    (tmp_path / "only" / "red").mkdir(parents=True)
    (tmp_path / "only" / "red" / "1.jpg").write_bytes((photos / "red" / "1.jpg").read_bytes())
    said = rot180("evaluate", run, tmp_path / "only", "--json")
    assert (said.json["count"], said.json["accuracy"]) == (1, 1.0)
    (tmp_path / "only" / "green").mkdir()
    (tmp_path / "only" / "green" / "1.jpg").write_bytes((photos / "red" / "1.jpg").read_bytes())
    said = rot180("evaluate", run, tmp_path / "only")
    assert (said.status, said.err.count("\n")) == (2, 1)
    assert "was not trained on green; its classes are blue, red" in said.err


def test_named_models_are_adapted_and_say_so(rot180: Call, photos: Path, tmp_path: Path) -> None:
    said = rot180("train", photos, "--model", "cnn-8-16", "--epochs", 1, "--no-pictures", "--out", tmp_path / "run",
                  "--resize", "crop:24", "--augment", "flip,shift:2")  # fmt: skip
    assert said.status == 0
    assert "cnn-8-16 is made for other images or classes" in said.out
    assert "24x24x3 > conv5x5:8" in said.out
    config = (tmp_path / "run" / "config.toml").read_text()
    assert 'resize = "crop:24"' in config
    assert 'augment = "flip,shift:2"' in config
    said = rot180("evaluate", tmp_path / "run", photos)
    assert said.status == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--augment", "flop"], "no augmentation is called 'flop'; did you mean 'flip'"),
        (["--resize", "huge"], "resize must be a size"),
        (["--on-bad-file", "ignore"], "strict or skip"),
    ],
)
def test_mistakes_are_told_before_anything_is_read(rot180: Call, arguments: list[str], message: str) -> None:
    said = rot180("train", *arguments)
    assert (said.status, said.err.count("\n")) == (2, 1)
    assert message in said.err


def test_a_broken_file_stops_and_is_named(rot180: Call, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    for source in photos.glob("*/*.jpg"):
        (folder / source.parent.name).mkdir(parents=True, exist_ok=True)
        (folder / source.parent.name / source.name).write_bytes(source.read_bytes())
    (folder / "red" / "1.jpg").write_bytes((folder / "red" / "1.jpg").read_bytes()[:500])
    said = rot180("train", folder, "--out", tmp_path / "run")
    assert said.status == 2
    assert "1.jpg: the image cannot be read" in said.err
    assert not (tmp_path / "run").exists()
    said = rot180("data", "inspect", folder, "--no-picture", "--json")
    assert said.json["bad_files"] == 1
    assert said.json["train_counts"] == {"blue": 16, "red": 15}


def test_inspect_says_what_is_there(rot180: Call, photos: Path, tmp_path: Path) -> None:
    said = rot180("data", "inspect", photos, "--out", tmp_path / "sheet")
    assert said.status == 0
    for words in ("32 training and 8 test images of 32x32x3, 2 classes", "JPEG (40)", "balance", "bad files: 0"):
        assert words in said.out
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_show_draws_augmentation(rot180: Call, tmp_path: Path) -> None:
    said = rot180("data", "show", "digits", "--augment", "shift:1,rotate:15", "--out", tmp_path / "a", "--json")
    assert said.json["augment"] == "rotate:15,shift:1"
    assert Path(said.json["picture"]).exists()
    assert rot180("data", "show", "--out", tmp_path / "b").status == 0


def test_a_folder_of_png_trains_to_the_same_bits_as_idx(rot180: Call, tmp_path: Path) -> None:
    digits = load_data("digits").limit(200)
    (tmp_path / "idx").mkdir()
    for part, images, labels in (("train", digits.train_images, digits.train_labels),
                                 ("t10k", digits.test_images[:50], digits.test_labels[:50])):  # fmt: skip
        (tmp_path / "idx" / f"{part}-images-idx3-ubyte").write_bytes(
            struct.pack(">HBB3I", 0, 8, 3, *images.shape[:3]) + images.tobytes()
        )
        (tmp_path / "idx" / f"{part}-labels-idx1-ubyte").write_bytes(
            struct.pack(">HBBI", 0, 8, 1, len(labels)) + labels.astype(np.uint8).tobytes()
        )
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            folder = tmp_path / "png" / part.replace("t10k", "test") / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[..., 0]).save(folder / f"{number:05}.png")
    weights = []
    for source in ("idx", "png"):
        said = rot180("train", tmp_path / source, "--epochs", 1, "--no-pictures", "--out", tmp_path / f"run-{source}")
        assert said.status == 0
        weights.append((tmp_path / f"run-{source}" / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_training_reports_augmentation_and_what_its_accuracy_means(rot180: Call, tmp_path: Path) -> None:
    options = ("--model", "8x8x1 > fc10", "--epochs", "1", "--limit", "50", "--no-pictures")
    said = rot180("train", *options, "--augment", "shift:1", "--out", tmp_path / "a")
    assert "augmentation: shift:1" in said.out
    assert "mixed" not in said.out
    said = rot180("train", *options, "--augment", "cutmix", "--out", tmp_path / "b")
    assert "training accuracy: of mixed images, for which the class of the larger part counts" in said.out
    assert "augmentation" not in rot180("train", *options, "--augment", "none", "--out", tmp_path / "c").out
