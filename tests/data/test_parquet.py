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
from rot180.data.parquet_footer import read_chunks
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
        (["text"], [0], "image", r"expected a column of images \(image, img, .*found image, label"),
        ([None], [0], "image", r"expected a column of images \(image, img, .*found image, label"),
        ([b"x"], [1.5], "image", "row 0, the labels: expected a label, a whole number or a word, found '1.5'"),
        ([b"x"], [b"y"], "image", "several columns may hold the images|expected a column of labels"),
        ([[1, 2, 3, 4, 5]], [0], "image", "expected lists of the pixels of a square image, found 5"),
        ([[1, 2, 3, 4], [1]], [0, 1], "image", "expected lists of equal length"),
        ([[1, 2, 3, -4]], [0], "image", "pixels must be integers from 0 to 255"),
        ([[1.0, 2.0, 3.0, float("nan")]], [0], "image", "pixels must be finite"),
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
    with pytest.raises(DataError, match=r"needs pyarrow; install it with: pip install 'rot180\[data\]'"):
        load_data(tmp_path / "a.parquet")


@pytest.mark.parametrize("nothing", [None, {"bytes": None, "path": "a.png"}])
def test_a_row_without_an_image_is_a_bad_file(tmp_path: Path, nothing: object) -> None:
    rows = [{"bytes": png(image), "path": None} for image in IMAGES]
    write(tmp_path / "a.parquet", [*rows[:3], nothing, *rows[3:]], [0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1])
    found, data = inspect_data(tmp_path / "a.parquet")
    assert (found.bad_files, len(data.train_images) + len(data.test_images)) == (1, 10)
    assert "row 3: expected an encoded image, found null" in found.bad_file_reasons[0]
    with pytest.raises(DataError, match=r"row 3: .*--on-bad-file skip"):
        load_data(tmp_path / "a.parquet")
    data = load_data(tmp_path / "a.parquet", ImageOptions(on_bad_file="skip"))
    assert len(data.train_images) + len(data.test_images) == 10


def test_a_row_without_a_label_is_a_bad_file(tmp_path: Path) -> None:
    rows = [png(image) for image in IMAGES]
    write(tmp_path / "a.parquet", rows, [0, 1, None, 1, 1, 0, 1, 0, 1, 0])
    found, data = inspect_data(tmp_path / "a.parquet")
    assert (found.bad_files, len(data.train_images) + len(data.test_images)) == (1, 9)
    assert "row 2: expected a label in label, found null" in found.bad_file_reasons[0]


@pytest.mark.parametrize(
    "images",
    [
        IMAGES.reshape(10, -1).tolist(),
        IMAGES.tolist(),
        IMAGES[..., None].tolist(),
        pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(IMAGES.ravel()), 784),
        (IMAGES.astype(np.float32) / 255).tolist(),
    ],
    ids=["flat", "rows", "rows with channels", "fixed size", "floats"],
)
def test_images_as_lists_of_pixels(tmp_path: Path, images: list) -> None:
    write(tmp_path / "train.parquet", images, [k % 2 for k in range(10)], column="pixels")
    write(tmp_path / "test.parquet", images, [k % 2 for k in range(10)], column="pixels")
    data = load_data(tmp_path)
    assert data.train_images.shape == (10, 28, 28, 1)
    white = 1 if data.train_images.dtype.kind == "f" else 255
    np.testing.assert_allclose(data.train_images[..., 0] / white, IMAGES / 255, atol=1e-6)


def test_a_column_for_each_pixel(tmp_path: Path) -> None:
    columns = {f"pixel{k + 1}": pyarrow.array(column) for k, column in enumerate(IMAGES.reshape(10, -1).T)}
    table = pyarrow.table({"id": list(range(10)), **columns, "class": [k % 2 for k in range(10)]})
    parquet.write_table(table, tmp_path / "a.parquet")
    data = load_data(tmp_path / "a.parquet")
    assert (data.image_shape, data.class_names) == ((28, 28, 1), ("0", "1"))


def test_several_labels_are_said_and_words_are_names(tmp_path: Path) -> None:
    rows = [png(image) for image in IMAGES]
    table = pyarrow.table({"img": rows, "coarse_label": [0] * 10, "fine_label": ["b", "a"] * 5})
    parquet.write_table(table, tmp_path / "a.parquet")
    data = load_data(tmp_path / "a.parquet")
    assert data.class_names == ("a", "b")
    assert "labels from the column fine_label; others can be chosen with --label-column: coarse_label" in data.notes[0]
    assert load_data(tmp_path / "a.parquet", label_column="coarse_label").class_names == ("0",)
    assert load_data(tmp_path / "a.parquet", label_column=3).class_names == ("a", "b")


def test_hubs_metadata_names_the_columns(tmp_path: Path) -> None:
    features = {
        "info": {"features": {"kind": {"names": ["no", "yes"], "_type": "ClassLabel"}, "x2": {"_type": "Image"}}}
    }
    table = pyarrow.table({"x1": [b"?"] * 10, "x2": [png(image) for image in IMAGES], "kind": [0, 1] * 5})
    table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert load_data(tmp_path / "a.parquet").class_names == ("no", "yes")


def test_a_footer_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [image.tolist() for image in IMAGES[:, :2, :2]], [0, 1] * 5)
    content = (tmp_path / "a.parquet").read_bytes()
    for at in range(len(content) - 8, len(content) // 3, -7):
        (tmp_path / "b.parquet").write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
        try:
            load_data(tmp_path / "b.parquet")
        except DataError:
            pass


def test_the_footer_and_pages_as_pyarrow_reads_them(tmp_path: Path) -> None:
    table = pyarrow.table({"a": [[1, 2], [3]], "b": [b"x", b"y"], "c": [{"bytes": b"z" * 5000}] * 2})
    for version in ("1.0", "2.0"):
        parquet.write_table(
            table, tmp_path / "a.parquet", row_group_size=1, data_page_version=version, compression="none"
        )
        metadata = parquet.read_metadata(tmp_path / "a.parquet")
        pairs = zip(
            read_chunks(tmp_path / "a.parquet", ("a", "b", "c")),
            [chunk for group in map(metadata.row_group, range(2)) for chunk in map(group.column, range(3))],
            strict=True,
        )
        for found, expected in pairs:
            assert (found.rows, found.values) == (1, expected.num_values)
            assert found.column == expected.path_in_schema.split(".")[0]
            # The footer counts the heads as well, in which smallest and largest values stand.
            assert found.largest <= found.uncompressed < expected.total_uncompressed_size
            assert found.uncompressed > (5000 if found.column == "c" else 0)
        assert [chunk.column for chunk in read_chunks(tmp_path / "a.parquet", ("b",))] == ["b", "b"]


def test_a_footer_that_says_less_than_its_pages(tmp_path: Path) -> None:
    labels = pyarrow.array(["0" * 1_000_000 + str(k) for k in range(40)])
    images = [png(IMAGES[0])] * 40
    options = {"compression": "zstd", "use_dictionary": False, "write_statistics": False, "store_schema": False}
    parquet.write_table(pyarrow.table({"image": images, "label": labels}), tmp_path / "a.parquet", **options)
    content = (tmp_path / "a.parquet").read_bytes()
    said = parquet.read_metadata(tmp_path / "a.parquet").row_group(0).column(1).total_uncompressed_size * 2  # zigzag
    number = bytes([*(said >> shift & 127 | 128 for shift in range(0, 21, 7)), said >> 21])
    assert content.count(number) == 1
    (tmp_path / "a.parquet").write_bytes(content.replace(number, b"\x90\x80\x80\x00"))  # 8
    assert parquet.read_metadata(tmp_path / "a.parquet").row_group(0).column(1).total_uncompressed_size == 8
    with pytest.raises(DataError, match=r"label: expected at most .* bytes in a row group and 33554432 in a page"):
        load_data(tmp_path / "a.parquet")
