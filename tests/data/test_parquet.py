"""Parquet as hubs store it: encoded images in a structure, labels with names in the metadata."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rot180.data import load_data
from rot180.data.inspect import inspect_data
from rot180.data.options import ImageOptions
from rot180.errors import DataError

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 28, 28), dtype=np.uint8)


def png(image: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def write(path: Path, images: list, labels: list, names: list[str] | None = None, column: str = "image") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table({column: images, "label": labels})
    if names:
        features = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    parquet.write_table(table, path)


def test_a_hubs_folder(tmp_path: Path) -> None:
    rows = [{"bytes": png(image), "path": None} for image in IMAGES]
    write(tmp_path / "mnist" / "train-00000-of-00001.parquet", rows, [k % 2 for k in range(10)], ["zero", "one"])
    write(tmp_path / "mnist" / "test-00000-of-00001.parquet", rows[:4], [0, 1, 0, 1], ["zero", "one"])
    for source in (tmp_path, tmp_path / "mnist"):
        data = load_data(source)
        assert data.class_names == ("zero", "one")
        np.testing.assert_array_equal(data.train_images[..., 0], IMAGES)
        assert data.test_labels.tolist() == [0, 1, 0, 1]


def test_one_file_with_plain_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [png(image) for image in IMAGES], [k % 3 for k in range(10)], column="img")
    data = load_data(tmp_path / "a.parquet")
    assert data.class_names == ("0", "1", "2")
    assert (len(data.train_images), len(data.test_images)) == (7, 3)


@pytest.mark.parametrize(
    ("images", "labels", "column", "message"),
    [
        ([b"x"], [0], "image", "row 0: expected an image"),
        (["text"], [0], "image", "row 0: expected an encoded image in image, found str"),
        ([None], [0], "image", "row 0: expected an encoded image in image, found NoneType"),
        ([b"x"], [-1], "image", "row 0: expected a whole number from 0 in label, found -1"),
        ([b"x"], [0], "photo", "expected the columns image and label, found photo, label"),
    ],
)
def test_what_is_no_data_set(tmp_path: Path, images: list, labels: list, column: str, message: str) -> None:
    write(tmp_path / "a.parquet", images, labels, column=column)
    with pytest.raises(DataError, match=message):
        load_data(tmp_path / "a.parquet")


def test_damaged_and_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match="expected Parquet"):
        load_data(tmp_path / "a.parquet")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(DataError, match=r"needs pyarrow; install it: pip install 'rot180\[data\]'"):
        load_data(tmp_path / "a.parquet")


@pytest.mark.parametrize("nothing", [None, {"bytes": None, "path": "a.png"}])
def test_a_row_without_an_image_is_a_bad_file(tmp_path: Path, nothing: object) -> None:
    rows = [{"bytes": png(image), "path": None} for image in IMAGES]
    write(tmp_path / "a.parquet", [*rows[:3], nothing, *rows[3:]], [0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1])
    found, data = inspect_data(tmp_path / "a.parquet")
    assert (found.bad_files, len(data.train_images) + len(data.test_images)) == (1, 10)
    assert "row 3: expected an encoded image in image, found NoneType" in found.bad_file_reasons[0]
    with pytest.raises(DataError, match=r"row 3: .*--on-bad-file skip"):
        load_data(tmp_path / "a.parquet")
    data = load_data(tmp_path / "a.parquet", ImageOptions(on_bad_file="skip"))
    assert len(data.train_images) + len(data.test_images) == 10
