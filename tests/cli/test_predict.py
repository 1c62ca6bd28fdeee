"""`predict`: folders, bad files, and images unlike the training images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

import rot180 as package
from pages import ROOT

Call = Callable[..., Any]
THREE = ROOT / "examples" / "three.png"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the bundled digits, after a few seconds of training as `rot180 train` does it."""
    data = package.load_data("digits")
    model = package.network("8x8x1 > conv3x3:8:same relu maxpool2 > fc10")
    package.fit(model, data, epochs=4, lr=0.01)
    model.class_names = data.class_names
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    package.save_model(path, model)
    return path


def test_the_picture_of_the_readme_is_read_right(rot180: Call, digits: Path) -> None:
    said = rot180("predict", digits, THREE)
    assert (said.status, said.err) == (0, "")
    assert f"{THREE}: 3 " in said.out
    assert float(said.out.split()[2].strip("%,")) > 90


def test_a_folder_is_predicted_image_by_image(rot180: Call, digits: Path, tmp_path: Path) -> None:
    for name in ("b.png", "inner/a.PNG", ".hidden/c.png", ".d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(THREE.read_bytes())
    (tmp_path / "notes.txt").write_text("no image")
    said = rot180("predict", digits, tmp_path, THREE, "--json")
    assert said.status == 0
    images = [one["image"] for one in said.json["predictions"]]
    assert images == [(tmp_path / "b.png").as_posix(), (tmp_path / "inner/a.PNG").as_posix(), THREE.as_posix()]
    assert said.json["failed"] == []
    assert len(rot180("predict", digits, tmp_path).out.splitlines()) == 2


def test_a_folder_without_images(rot180: Call, digits: Path, tmp_path: Path) -> None:
    said = rot180("predict", digits, tmp_path)
    assert said.status == 2
    assert "expected images (.png, .jpg" in said.err


def test_one_bad_file_stops_nothing(rot180: Call, digits: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("<html>")
    (tmp_path / "empty.jpg").write_bytes(b"")
    arguments = ("predict", digits, tmp_path / "none.png", THREE, tmp_path)
    said = rot180(*arguments)
    assert said.status == 2
    assert said.out.startswith(f"{THREE}: 3 ")
    lines = said.err.splitlines()
    assert len(lines) == 3
    for line, name in zip(lines, ("none.png", "bad.png", "empty.jpg"), strict=True):
        assert line.startswith(f"rot180: {tmp_path / name}: ")
    result = rot180(*arguments, "--json")
    assert result.status == 2
    assert [Path(one["image"]).name for one in result.json["failed"]] == ["none.png", "bad.png", "empty.jpg"]
    assert len(result.json["predictions"]) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (ImageOps.invert, "the background is light, while that of the training images is dark: a negative"),
        (lambda image: image.resize((900, 900)), "900x900, while no training image has more than 8 pixels per side"),
        (lambda image: ImageOps.colorize(image, "black", "red"), "in color, while the training images are gray"),
        # paper is not quite white, nor ink quite black
        (lambda image: ImageOps.invert(image).point(lambda value: 40 + value * 0.7), "the background is light"),
    ],
)
def test_an_image_unlike_the_training_images(
    rot180: Call, digits: Path, tmp_path: Path, change: Any, reason: str
) -> None:
    path = tmp_path / "a.png"
    change(Image.open(THREE)).save(path)
    said = rot180("predict", digits, path)
    assert said.status == 0
    assert said.err.startswith(f"rot180: {path}: unlike the training images: {reason}")
    (found,) = rot180("predict", digits, path, "--json").json["predictions"][0]["unlike_training"]
    assert found.startswith(reason)


def test_evaluate_and_python_tell_it_too(rot180: Call, digits: Path, tmp_path: Path) -> None:
    data = package.load_data("digits")
    np.savez(tmp_path / "negative.npz", images=255 - data.test_images, labels=data.test_labels)
    said = rot180("evaluate", digits, tmp_path / "negative.npz", "--json")
    assert said.err.startswith("rot180: most images are unlike the training images: the background is light")
    assert len(said.json["unlike_training"]) == 1
    assert rot180("evaluate", digits, "digits", "--json").json["unlike_training"] == []
    model = package.load_model(digits)
    with pytest.warns(package.PixelWarning, match="the background is light"):
        package.predict(model, 255 - data.test_images[:1])
    with pytest.warns(package.PixelWarning, match="the background is light"):
        package.predict(model, 1 - data.test_images[:5] / 255)


def test_files_of_12_bits_in_16_are_nearly_black_to_most_models(rot180: Call, digits: Path, tmp_path: Path) -> None:
    pixels = np.asarray(Image.open(THREE)).astype(np.uint16) * 16
    Image.fromarray(pixels).save(tmp_path / "a.png")
    said = rot180("predict", digits, tmp_path / "a.png")
    assert "unlike the training images: nearly black: the brightest pixel is 1" in said.err


def test_a_model_of_dark_files_reads_dark_files(rot180: Call, tmp_path: Path) -> None:
    data = package.load_data("digits")
    dark = (data.train_images // 17).astype(np.uint8)  # 0 to 15
    model = package.network("8x8x1 > conv3x3:8:same relu maxpool2 > fc10")
    package.fit(model, (dark, data.train_labels), epochs=3, lr=0.01)
    package.save_model(tmp_path / "model.safetensors", model)
    threes = np.flatnonzero(data.test_labels == 3)[:2]
    paths = [tmp_path / "dark.png", tmp_path / "bright.png"]
    Image.fromarray(data.test_images[threes[0], :, :, 0] // 17).save(paths[0])
    Image.fromarray(data.test_images[threes[1], :, :, 0]).save(paths[1])
    said = rot180("predict", tmp_path / "model.safetensors", *paths, "--json")
    assert [one["top"][0]["label"] for one in said.json["predictions"]] == ["3", "3"]
    assert [one["unlike_training"] for one in said.json["predictions"]] == [[], []]


def test_files_for_a_model_of_normalized_floats_are_refused(rot180: Call, tmp_path: Path) -> None:
    images = np.random.default_rng(0).normal(size=(20, 8, 8, 1)).astype(np.float32)
    model = package.network("8x8x1 > fc2")
    package.fit(model, (images, np.arange(20) % 2))
    package.save_model(tmp_path / "model.safetensors", model)
    said = rot180("predict", tmp_path / "model.safetensors", THREE)
    assert said.status == 2
    assert "this network was trained on floats from -" in said.err


def test_a_network_that_returns_feature_maps(rot180: Call, tmp_path: Path) -> None:
    """The commands about its numbers take it; those about classes refuse it."""
    text = "8x8x1 > conv3x3:4:same relu conv1x1:10"
    package.save_model(tmp_path / "map.safetensors", package.network(text).build(seed=0))
    said = rot180("predict", tmp_path / "map.safetensors", THREE)
    assert said.status == 2
    assert "predict names a class for each image, but this network returns (8, 8, 10)" in said.err
    said = rot180("evaluate", tmp_path / "map.safetensors", "digits")
    assert "a classifier's output is a vector; this network's is (8, 8, 10); end it in fc" in said.err
    assert "a training step: predicted" in " ".join(rot180("cost", text).out.split())
    assert rot180("journey", text, "--batch-size", "2").status == 0
