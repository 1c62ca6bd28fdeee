"""NumPy's zip of arrays: its names, its shapes, its faults."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rot180.data import load_data
from rot180.data.npz import read_npz
from rot180.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 4, 5), dtype=np.uint8)
LABELS = np.arange(10) % 2


def test_names_of_keras_and_medmnist(tmp_path: Path) -> None:
    np.savez(tmp_path / "keras.npz", x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:3], y_test=LABELS[:3])
    data = load_data(tmp_path / "keras.npz")
    assert (data.name, len(data.train_images), len(data.test_images)) == ("keras", 10, 3)
    np.testing.assert_array_equal(data.train_images[..., 0], IMAGES)
    parts = {"train_images": IMAGES, "train_labels": LABELS[:, np.newaxis]}
    np.savez_compressed(tmp_path / "med.npz", **parts, test_images=IMAGES, test_labels=LABELS, val_images=IMAGES[:4],
                        val_labels=LABELS[:4])  # fmt: skip
    data = load_data(tmp_path / "med.npz")
    assert data.test_labels.tolist() == LABELS.tolist()
    assert data.validation_labels.tolist() == LABELS[:4].tolist()
    assert str(data.sources) == "train: train_images, validation: val_images, test: test_images, unused: none"


@pytest.mark.parametrize(
    ("images", "shape"),
    [
        (IMAGES, (4, 5, 1)),
        (np.asfortranarray(IMAGES), (4, 5, 1)),
        (IMAGES.astype(">i4"), (4, 5, 1)),
        (IMAGES > 100, (4, 5, 1)),
        (IMAGES / 255, (4, 5, 1)),
        (np.zeros((10, 3, 8, 8), np.uint8), (8, 8, 3)),
        (np.zeros((10, 8, 8, 3), np.uint8), (8, 8, 3)),
        (np.zeros((10, 64), np.uint8), (8, 8, 1)),
        (IMAGES.astype(np.uint16) * 257, (4, 5, 1)),
    ],
)
def test_forms_of_images(tmp_path: Path, images: np.ndarray, shape: tuple[int, int, int]) -> None:
    np.savez(tmp_path / "a.npz", images=images, labels=LABELS)
    data = read_npz(tmp_path / "a.npz")
    assert (data.image_shape, len(data.train_images), len(data.test_images)) == (shape, 8, 2)


def test_one_hot_labels_and_class_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=IMAGES, y=np.eye(2)[LABELS], class_names=np.array(["cat", "dog"]))
    data = read_npz(tmp_path / "a.npz")
    assert data.class_names == ("cat", "dog")
    assert data.train_labels.dtype == np.int64


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": IMAGES}, "expected the arrays x_train and y_train.*found pictures"),
        ({"images": IMAGES, "labels": LABELS[:5]}, "10 images but 5 labels"),
        ({"images": np.full((2, 2, 2), np.nan), "labels": LABELS[:2]}, "images: pixels must be finite numbers; 2 of 2"),
        ({"images": IMAGES.astype(int) * 999, "labels": LABELS}, "images: pixels must be integers from 0 to 255"),
        ({"images": np.zeros((10, 7), np.uint8), "labels": LABELS}, r"squares \(N, pixels\)"),
        (
            {"images": IMAGES, "labels": LABELS / 2},
            "expected integers, text or one-hot rows as labels, found fractions",
        ),
        ({"images": IMAGES, "labels": LABELS - 5}, "labels must be whole numbers from 0"),
        ({"images": np.array(["a"] * 10, object), "labels": LABELS}, "objects, which are never read"),
    ],
)
def test_what_is_no_data_set(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read_npz(tmp_path / "a.npz")


def npy_with_header(header: str) -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + b"\0" * 32


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (npy_with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000), }"), "claims"),
        (npy_with_header("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }"), "objects, which are never read"),
        (npy_with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (-2,), }"), "claims|cannot be read"),
        (npy_with_header("__import__('os')"), "header cannot be read"),
        (npy_with_header("{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }"), "found more"),
        (b"not an array", r"images: expected an array in NumPy's format"),
    ],
)
def test_headers_that_lie(tmp_path: Path, member: bytes, message: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("images.npy", member)
        file.writestr("labels.npy", member)
    with pytest.raises(DataError, match=message):
        read_npz(tmp_path / "a.npz")


def test_no_zip_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK nothing")
    with pytest.raises(DataError, match="expected a zip file of NumPy arrays"):
        read_npz(tmp_path / "a.npz")
    with pytest.raises(DataError, match="cannot be read"):
        read_npz(tmp_path / "b.npz")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(position=st.integers(0, 900), junk=st.binary(min_size=1, max_size=8))
def test_damaged_files_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, position: int, junk: bytes
) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, images=IMAGES, labels=LABELS)
    content = bytearray(buffer.getvalue())
    content[position : position + len(junk)] = junk
    path = tmp_path_factory.getbasetemp() / "drawn.npz"
    path.write_bytes(content)
    try:
        assert len(read_npz(path).train_images)
    except DataError:
        pass


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["cat", "dog"])[LABELS],
        np.array([b"cat", b"dog"])[LABELS],
        np.array([[" cat"], ["dog "]])[LABELS],
    ],
)
def test_labels_that_are_words_name_the_classes(tmp_path: Path, labels: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", x_train=IMAGES, y_train=labels, x_test=IMAGES[:4], y_test=labels[:4])
    data = read_npz(tmp_path / "a.npz")
    assert data.class_names == ("cat", "dog")
    assert data.train_labels.tolist() == LABELS.tolist()
    assert data.test_labels.tolist() == LABELS[:4].tolist()


def test_whole_floats_are_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=IMAGES, labels=LABELS.astype(np.float32))
    assert read_npz(tmp_path / "a.npz").class_names == ("0", "1")


@pytest.mark.parametrize("shape", [(10, 5, 7), (10, 5, 7, 3), (10, 35)])
@pytest.mark.parametrize("dtype", ["u1", ">u2", "<f4", ">f8", "?", "<i8"])
def test_any_order_of_axes_and_bytes(tmp_path: Path, shape: tuple[int, ...], dtype: str, monkeypatch) -> None:
    from io import BytesIO

    from rot180.data import npy

    monkeypatch.setattr(npy, "PIECE", 64)
    values = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    for array in (values, np.asfortranarray(values), values[:, :0], np.asfortranarray(values[:0])):
        file = BytesIO()
        np.save(file, array)
        file.seek(0)
        found = npy.read_npy("a", file, len(file.getvalue()))
        assert found.dtype.isnative
        np.testing.assert_array_equal(found, array)
