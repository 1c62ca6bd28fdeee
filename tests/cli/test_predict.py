"""`predict`: folders, bad files, and images unlike the training images."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from importlib import import_module
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
    assert len(lines) == 4
    assert lines[3] == "rot180: 3 of 4 images could not be read and were skipped"
    for line, name in zip(lines[:3], ("none.png", "bad.png", "empty.jpg"), strict=True):
        assert line.startswith(f"rot180: {tmp_path / name}: ")
    result = rot180(*arguments, "--json")
    assert result.status == 2
    assert [Path(one["image"]).name for one in result.json["failed"]] == ["none.png", "bad.png", "empty.jpg"]
    assert len(result.json["predictions"]) == 1


@pytest.mark.parametrize(("top", "count"), [(1, 1), (4, 4), (99, 10)])
def test_as_many_classes_as_asked_for(rot180: Call, digits: Path, top: int, count: int) -> None:
    ranked = rot180("predict", digits, THREE, "--top", top, "--json").json["predictions"][0]["top"]
    assert len(ranked) == count
    assert sorted(ranked, key=lambda one: -one["probability"]) == ranked
    assert rot180("predict", digits, THREE, "--top", 0).status == 2


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder of 150 images, three of which cannot be read and two of which are negatives."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(150):
        (folder / f"{number:03}.png").write_bytes(THREE.read_bytes() if number % 60 != 7 else b"<html>")
    for number in (20, 90):
        ImageOps.invert(Image.open(THREE)).save(folder / f"{number:03}.png")
    (folder / "a, b\n.png").write_bytes(THREE.read_bytes())
    return folder


def test_a_table_of_predictions(rot180: Call, digits: Path, many: Path, tmp_path: Path) -> None:
    said = rot180("predict", digits, many, "--top", 2, "--out", tmp_path / "a.csv")
    assert said.status == 2
    assert said.out == f"{tmp_path / 'a.csv'}: predictions for 148 images\n"
    assert said.err.splitlines()[3:] == [
        "rot180: 2 of 148 images are unlike the training images; the file says how",
        "rot180: 3 of 151 images could not be read and were skipped",
    ]
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["image", "label", "probability", "label_2", "probability_2", "unlike_training"]
    assert len(rows) == 148
    assert rows[-1]["image"] == (many / "a, b\n.png").as_posix()
    assert [Path(row["image"]).name for row in rows if row["unlike_training"]] == ["020.png", "090.png"]
    printed = rot180("predict", digits, many, "--top", 2, "--json").json["predictions"]
    assert [float(row["probability"]) for row in rows] == [one["top"][0]["probability"] for one in printed]


def test_predictions_as_json(rot180: Call, digits: Path, many: Path, tmp_path: Path) -> None:
    printed = rot180("predict", digits, many, "--json").json
    said = rot180("predict", digits, many, "--out", tmp_path / "a.json", "--json")
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == printed
    assert {**said.json, "failed": len(said.json["failed"])} == {
        "out": (tmp_path / "a.json").as_posix(),
        "predicted": 148,
        "unlike_training": 2,
        "failed": 3,
    }


def test_no_prediction_is_lost_or_written_over(rot180: Call, digits: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("mine")
    for name, message in (
        ("a.csv", "a.csv already exists; choose another --out or remove it"),
        ("a.txt", "--out names a file that ends in .csv or .json; it is "),
        ("nowhere/a.csv", "cannot be written because its folder does not exist"),
    ):
        said = rot180("predict", digits, THREE, "--out", tmp_path / name)
        assert said.status == 2
        assert message in said.err
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["mine"]
    (tmp_path / "bad.png").write_text("<html>")
    for name, content in (("b.csv", "image,label,"), ("b.json", '{"predictions": [\n], "failed": [{"image": ')):
        assert rot180("predict", digits, tmp_path / "bad.png", "--out", tmp_path / name).status == 2
        assert (tmp_path / name).read_text().startswith(content)


def test_an_interrupted_prediction_leaves_no_file(
    rot180: Call, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(import_module("rot180.training.predict"), "run_prediction", interrupt)
    assert rot180("predict", digits, THREE, "--out", tmp_path / "a.csv").status == 130
    assert list(tmp_path.iterdir()) == []


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
