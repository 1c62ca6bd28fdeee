"""`features`: of data sets and of folders of images, as a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rot180 as package
from pages import ROOT

Call = Callable[..., Any]
THREE = ROOT / "examples" / "three.png"


def test_a_data_set(rot180: Call, trained: Path, tmp_path: Path) -> None:
    said = rot180("features", trained, "digits", "--out", tmp_path / "a.npz")
    assert (said.status, said.err) == (0, "")
    assert said.out.splitlines() == [
        f"{tmp_path / 'a.npz'}: 36 features of 1,797 images, the output of flatten1",
        "arrays in the file: features, labels, class_names, parts",
    ]
    data, model = package.load_data("digits"), package.load_run(trained).model
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert (found["features"].shape, found["features"].dtype) == ((1797, 36), np.float32)
        test = found["parts"] == "test"
        np.testing.assert_array_equal(found["labels"][test], data.test_labels)
        np.testing.assert_array_equal(found["features"][test], package.features(model, data.test_images))
        assert tuple(found["class_names"]) == data.class_names


def test_classes_of_its_own_and_names_of_files(rot180: Call, trained: Path, tmp_path: Path) -> None:
    for name in ("train/odd/b.png", "train/even/a.png", "test/odd/c.png"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(THREE.read_bytes())
    said = rot180("features", trained, tmp_path / "data", "--out", tmp_path / "a.npz", "--layer", "conv1", "--json")
    assert said.status == 0
    assert said.json["layer"] == "conv1"
    assert said.json["arrays"]["features"] == [3, 144]
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert [Path(name).name for name in found["files"]] == ["a.png", "b.png", "c.png"]
        assert [found["class_names"][label] for label in found["labels"]] == ["even", "odd", "odd"]
        assert found["parts"].tolist() == ["train", "train", "test"]


def test_images_without_classes(rot180: Call, trained: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(70):
        (photos / f"{number:02}.png").write_bytes(THREE.read_bytes() if number % 30 != 7 else b"<html>")
    said = rot180("features", trained, photos, "--out", tmp_path / "a.npz")
    assert said.status == 2
    assert said.out.startswith(f"{tmp_path / 'a.npz'}: 36 features of 67 images")
    lines = said.err.splitlines()
    assert [line.split(": ")[1] for line in lines[:3]] == [str(photos / f"{number:02}.png") for number in (7, 37, 67)]
    assert lines[3:] == ["rot180: 3 of 70 images could not be read and were skipped"]
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert sorted(found) == ["features", "files"]
        assert len(found["features"]) == len(found["files"]) == 67
        assert Path(str(found["files"][7])).name == "08.png"
        assert (found["features"] == found["features"][0]).all()
    said = rot180("features", trained, THREE, "--out", tmp_path / "one.npz", "--json")
    assert (said.status, said.json["arrays"]) == (0, {"features": [1, 36], "files": [1]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("digits", "--out", "there.npz"), "there.npz already exists; choose another --out or remove it"),
        (("digits", "--out", "a.csv"), "--out names a file that ends in .npz; it is 'a.csv'"),
        (("digits", "--out", "nowhere/a.npz"), "cannot be written because its folder does not exist"),
        (("digits", "--out", "a.npz", "--layer", "conv9"), "the network has no layer 'conv9'; did you mean 'conv1'?"),
        (("nowhere", "--out", "a.npz"), "nowhere"),
        (("bad", "--out", "a.npz"), "no image can be read; nothing is written"),
    ],
)
def test_what_is_refused(
    rot180: Call, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.npz").write_bytes(b"mine")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "1.png").write_bytes(b"no image")
    said = rot180("features", trained, *options)
    assert said.status == 2
    assert message in said.err
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bad", "there.npz"]
