"""IDX files: MNIST as it is, every type, and every way to be wrong."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rot180.data import idx
from rot180.data.idx import read_idx
from rot180.data.idx_folder import is_idx, read_idx_folder
from rot180.errors import DataError


def idx_bytes(values: np.ndarray) -> bytes:
    code = {value.newbyteorder("="): key for key, value in idx.TYPES.items()}[values.dtype]
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, code, values.ndim, *values.shape)
    return header + values.astype(values.dtype.newbyteorder(">")).tobytes()


@pytest.fixture
def folder(tmp_path):
    """A small set in MNIST's form: 5 training and 3 test images."""
    for part, count in (("train", 5), ("t10k", 3)):
        images = np.arange(count * 12, dtype=np.uint8).reshape(count, 3, 4)
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(np.arange(count, dtype=np.uint8)))
    return tmp_path


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_every_type_is_read_in_native_order(tmp_path, dtype, pack):
    values = np.arange(-6, 18).astype(dtype).reshape(2, 3, 4)
    path = tmp_path / "values"
    path.write_bytes(pack(idx_bytes(values)))
    found = read_idx(path)
    np.testing.assert_array_equal(found, values)
    assert found.dtype == np.dtype(dtype)


def test_no_values_at_all(tmp_path):
    (tmp_path / "none").write_bytes(idx_bytes(np.zeros((0, 28, 28), np.uint8)))
    assert read_idx(tmp_path / "none").shape == (0, 28, 28)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected IDX.*, found an empty file"),
        (b"ab", "offset 0: expected 4 bytes of magic number, found 2"),
        (b"\x89PNG\r\n", "offset 0: expected a magic number such as 0x00000803, found 0x89504e47; not an IDX file"),
        (b"\0\0\x0a\3" + bytes(12), "offset 0: expected a magic number .*, found 0x00000a03"),
        (b"\0\0\x08\1\0\0\0\2ab", "offset 3: expected 3 dimensions.*found 1 .*were images and labels swapped"),
        (b"\0\0\x08\3\0\0\0\2\0\0", "offset 4: expected 12 bytes of sizes, found 6"),
        (
            b"\0\0\x08\3" + struct.pack(">3I", 2, 2, 2) + b"1234567",
            r"offset 16: expected 8 bytes .* \(2, 2, 2\); the file holds",
        ),
        (
            b"\0\0\x08\3" + struct.pack(">3I", 2, 2, 2) + b"123456789",
            "offset 16: expected 8 bytes .*; the file holds more",
        ),
        (
            b"\0\0\x08\3" + b"\xff" * 12 + b"1",
            "offset 16: expected 79228162458924105385300197375 .* at most 2147483648",
        ),
        (
            b"\0\0\x08\3" + struct.pack(">3I", 10**6, 28, 28),
            "offset 16: expected 784000000 bytes .*; the file holds at most",
        ),
    ],
)
def test_faults_name_the_offset_and_what_was_expected(tmp_path, content, message, pack):
    path = tmp_path / "broken"
    path.write_bytes(pack(content))
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path, dimensions=3)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_gzip(tmp_path):
    packed = gzip.compress(idx_bytes(np.random.default_rng(0).integers(0, 256, 5000).astype(np.uint8)))
    path = tmp_path / "labels.gz"
    path.write_bytes(packed[:-1000])
    with pytest.raises(DataError, match="gzip file is truncated"):
        read_idx(path)
    path.write_bytes(packed[:200] + b"\xff\0\xff" + packed[203:-8] + bytes(8))
    with pytest.raises(DataError, match=r"compression is damaged|ends early|offset"):
        read_idx(path)


def test_missing_file_and_folder_in_its_place(tmp_path):
    with pytest.raises(DataError, match=r"nothing: cannot be read \(No such file"):
        read_idx(tmp_path / "nothing")
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path)


def test_a_folder_of_four_files(folder):
    data = read_idx_folder(folder)
    assert data.train_images.shape == (5, 3, 4, 1)
    assert data.test_images.shape == (3, 3, 4, 1)
    assert data.class_names == ("0", "1", "2", "3", "4")
    assert data.name == folder.name


def test_names_with_a_dot_and_gzipped_are_found(folder):
    source = folder / "train-images-idx3-ubyte"
    (folder / "train-images.idx3-ubyte.gz").write_bytes(gzip.compress(source.read_bytes()))
    source.unlink()
    labels = folder / "t10k-labels-idx1-ubyte"
    labels.rename(folder / "t10k-labels.idx1-ubyte")
    assert len(read_idx_folder(folder).train_images) == 5


def test_a_missing_file_is_named(folder):
    (folder / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(DataError, match=r"found no t10k-images-idx3-ubyte \(or \.gz\)"):
        read_idx_folder(folder)


def test_different_counts_are_told(folder):
    (folder / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(4, np.uint8)))
    with pytest.raises(DataError, match=r"train-labels.*: offset 4: expected 5 labels.*found 4"):
        read_idx_folder(folder)


def test_images_must_be_bytes(folder):
    (folder / "train-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((5, 3, 4), np.int32)))
    with pytest.raises(DataError, match=r"offset 2: expected type 0x08 .*found values of int32"):
        read_idx_folder(folder)


def test_a_folder_without_such_files_is_not_taken(tmp_path):
    (tmp_path / "notes.txt").write_text("none")
    assert not is_idx(tmp_path)
    assert not is_idx(tmp_path / "notes.txt")


def test_mnist(mnist_folder):
    data = read_idx_folder(mnist_folder)
    assert data.train_images.shape == (60000, 28, 28, 1)
    assert data.test_images.shape == (10000, 28, 28, 1)
    assert data.train_labels[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert np.bincount(data.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    prefix=st.sampled_from([b"", b"\0\0\x08\1", b"\0\0\x08\3\0\0\0\2", b"\x1f\x8b", b"\x1f\x8b\x08\0\0\0\0\0\0\xff"]),
    rest=st.binary(max_size=64),
    packed=st.booleans(),
)
def test_any_bytes_are_an_array_or_a_data_error(tmp_path_factory, prefix, rest, packed):
    path = tmp_path_factory.getbasetemp() / "drawn-idx"
    path.write_bytes(gzip.compress(prefix + rest) if packed else prefix + rest)
    try:
        assert read_idx(path).size <= 64
    except DataError:
        pass


def test_no_values_in_an_impossible_shape(tmp_path):
    path = tmp_path / "empty"
    path.write_bytes(struct.pack(">HBB3I", 0, 8, 3, 0, 2**32 - 1, 2**32 - 1))
    with pytest.raises(DataError, match=r"expected 0 bytes .* but at most 2147483648 are read"):
        read_idx(path)
