"""Inspecting data, and data for a model that is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rot180
from rot180.data import Dataset
from rot180.data.for_model import load_data_for
from rot180.data.inspect import examples, inspect_data
from rot180.data.options import ImageOptions
from rot180.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for part, count in (("train", 6), ("test", 3)):
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(count if name == "cat" else count // 3):
                pixels = generator.integers(0, 256, (9 + number, 9, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / name / f"{number}.png")
    (tmp_path / "test" / "cat" / "0.png").write_bytes((tmp_path / "train" / "cat" / "2.png").read_bytes())
    (tmp_path / "train" / "cat" / "copy.png").write_bytes((tmp_path / "train" / "cat" / "1.png").read_bytes())
    (tmp_path / "train" / "dog" / "broken.jpg").write_bytes(b"\xff\xd8 no")
    return tmp_path


@pytest.mark.parametrize("memory", [1024**3, 0])
def test_what_is_found(folder: Path, memory: int) -> None:
    found, dataset = inspect_data(folder, ImageOptions(memory=memory))
    assert found.train_counts == {"cat": 7, "dog": 2}
    assert found.test_counts == {"cat": 3, "dog": 1}
    assert found.imbalance == 3.5
    assert (found.duplicates_within_train, found.duplicates_within_test, found.duplicates_across) == (1, 0, 1)
    train, test = found.examples_across[0]
    np.testing.assert_array_equal(dataset.train_images[train], dataset.test_images[test])
    assert found.bad_files == 1
    assert "broken.jpg" in found.bad_file_reasons[0]
    assert found.formats == {"PNG": 13}
    assert sum(found.sizes.values()) == 13
    assert found.image_shape == (32, 32, 3)
    assert 0.4 < found.mean < 0.6


def test_examples_are_spread_over_each_class() -> None:
    rows, names = examples(rot180.load_data("digits"), each=4, classes=3)
    assert [len(row) for row in rows] == [4, 4, 4]
    assert names[1] == "1 (145)"


def test_data_for_a_model_takes_its_size_resizing_and_classes(folder: Path) -> None:
    (folder / "train" / "dog" / "broken.jpg").unlink()
    model = rot180.network("6x8x1 > fc3").build()
    model.preprocessing = rot180.nn.Preprocessing(resize="crop")
    model.class_names = ("ape", "dog", "cat")
    data = load_data_for(model, folder)
    assert (data.image_shape, data.resize, data.class_names) == ((6, 8, 1), "crop", model.class_names)
    assert np.bincount(data.train_labels).tolist() == [0, 2, 7]
    model.class_names = ("cat", "ape", "bee")
    with pytest.raises(DataError, match="the model was not trained on dog; its classes are cat, ape, bee"):
        load_data_for(model, folder)


def test_numbered_classes_take_the_models_names() -> None:
    images = np.zeros((3, 2, 2, 1), np.uint8)
    data = Dataset("numbers", images, np.array([0, 1, 2]), images[:0], np.array([], int), ("0", "1", "2"))
    named = data.with_classes(("shirt", "shoe", "bag", "coat"))
    assert named.train_labels.tolist() == [0, 1, 2]
    assert named.class_names[2] == "bag"
    with pytest.raises(DataError, match="was not trained on 0, 1, 2"):
        data.with_classes(("shirt", "shoe"))
