"""Parquet in folders: which file is of which part, and what is no single data set."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rot180.data import load_data
from rot180.errors import DataError

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def write(path: Path, names: tuple[str, ...] = ("cat", "dog"), labels: tuple[int, ...] = (0, 1, 0, 1)) -> None:
    images = []
    for number in range(len(labels)):
        file = BytesIO()
        pixels = np.full((4, 4), 255, np.uint8)
        pixels[0, 0] = number
        Image.fromarray(pixels).save(file, "PNG")
        images.append(file.getvalue())
    features = {"info": {"features": {"label": {"names": list(names), "_type": "ClassLabel"}}}}
    table = pyarrow.table({"image": images, "label": list(labels)})
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), path)


LAYOUTS = {
    "mnist_train.parquet mnist_test.parquet": "train: mnist_train.parquet, validation: none, test: mnist_test.parquet",
    "train/0000.parquet test/0000.parquet": "train: train/0000.parquet, validation: none, test: test/0000.parquet",
    "default/train/0.parquet default/validation/0.parquet default/test/0.parquet":
        "train: default/train/0.parquet, validation: default/validation/0.parquet, test: default/test/0.parquet",
    "data/train-00000-of-00002.parquet data/train-00001-of-00002.parquet data/val-00000-of-00001.parquet":
        "train: data/train-00000-of-00002.parquet, data/train-00001-of-00002.parquet, validation: none, "
        "test: data/val-00000-of-00001.parquet",
    "0000.parquet": "train: 0000.parquet, validation: none, test: every fifth image of each class, held out",
    "contest.parquet": "train: contest.parquet, validation: none, test: every fifth image of each class, held out",
}  # fmt: skip


@pytest.mark.parametrize("files", LAYOUTS)
def test_parts(tmp_path: Path, files: str) -> None:
    for name in files.split():
        write(tmp_path / name)
    data = load_data(tmp_path)
    assert str(data.sources) == f"{LAYOUTS[files]}, unused: none"
    assert data.class_names == ("cat", "dog")


def test_what_is_no_single_data_set(tmp_path: Path) -> None:
    write(tmp_path / "coarse" / "train-00000-of-00001.parquet", ("animal", "plant"))
    write(tmp_path / "fine" / "train-00000-of-00001.parquet", ("cat", "rose"))
    with pytest.raises(DataError, match=r"several data sets \(coarse, fine\); give the path of the one to use"):
        load_data(tmp_path)
    assert load_data(tmp_path / "fine").class_names == ("cat", "rose")
    write(tmp_path / "fine" / "test-00000-of-00001.parquet", ("dog", "rose"))
    with pytest.raises(DataError, match=r"train-.* has the classes cat, rose, but test-.* dog, rose; they are"):
        load_data(tmp_path / "fine")
    write(tmp_path / "fine" / "test-00000-of-00001.parquet", ("cat", "rose"))
    (tmp_path / "fine" / "train-00000-of-00001.parquet").rename(tmp_path / "fine" / "train-00000-of-00002.parquet")
    with pytest.raises(DataError, match="expected 2 pieces, judging by the name, found 1; piece 00001 is missing"):
        load_data(tmp_path / "fine")


def test_named_classes_without_images_are_no_classes(tmp_path: Path) -> None:
    write(tmp_path / "some.parquet", ("ant", "bee", "cat", "dog"), (3, 1, 3, 1))
    data = load_data(tmp_path / "some.parquet")
    assert data.class_names == ("bee", "dog")
    assert data.notes == ("no images of the classes ant, cat, which are left out",)
    write(tmp_path / "set" / "train.parquet", ("ant", "bee", "cat", "dog"), (3, 1, 3, 1))
    write(tmp_path / "set" / "test.parquet", ("ant", "bee", "cat", "dog"), (0, 1))
    with pytest.raises(DataError, match="the test images have classes that no training image has: ant"):
        load_data(tmp_path / "set")
