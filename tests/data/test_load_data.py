"""From what the user names to a data set."""

from __future__ import annotations

import numpy as np
import pytest

from rot180.data import Dataset, load_data, preprocessing_for
from rot180.errors import ArgumentError, DataError

ROWS = "".join(f"{n % 2},{n},0,0,{n}\n" for n in range(20))


@pytest.mark.parametrize("source", [None, "digits"])
def test_the_digits_are_the_default(source):
    assert load_data(source).name == "digits"


def test_one_csv_file_is_divided(tmp_path):
    path = tmp_path / "signs.csv"
    path.write_text(ROWS)
    for source in (path, str(path), tmp_path):
        data = load_data(source)
        assert data.name == "signs"
        assert (len(data.train_images), len(data.test_images)) == (16, 4)
        assert sorted([*data.train_images[:, 0, 0, 0], *data.test_images[:, 0, 0, 0]]) == list(range(20))
        assert "held out" in data.description
    assert data.image_shape == (2, 2, 1)


def test_a_folder_with_two_csv_files(tmp_path):
    (tmp_path / "mnist_train.csv").write_text(ROWS)
    (tmp_path / "mnist_test.CSV").write_text("1,1,2,3,4\n")
    data = load_data(tmp_path)
    assert (len(data.train_images), len(data.test_images)) == (20, 1)
    assert data.class_names == ("0", "1")
    (tmp_path / "other.csv").write_text("not looked at")
    data = load_data(tmp_path)
    assert len(data.train_images) == 20
    assert str(data.sources) == "train: mnist_train.csv, validation: none, test: mnist_test.CSV, unused: other.csv"
    (tmp_path / "train2.csv").write_text(ROWS)
    with pytest.raises(
        DataError, match=r"holds several data sets \(mnist_train\.csv, train2\.csv\); give the path of the one"
    ):
        load_data(tmp_path)


def test_csv_files_of_different_sizes_do_not_belong_together(tmp_path):
    (tmp_path / "train.csv").write_text(ROWS)
    (tmp_path / "test.csv").write_text("1,1\n")
    with pytest.raises(DataError, match=r"the same shape .*\(2, 2, 1\) and \(1, 1, 1\)"):
        load_data(tmp_path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("digts", "no data set or path 'digts'; did you mean 'digits'"),
        ("zebra", "no data set or path 'zebra'; known: cifar10, digits"),
        ("", "no data set or path ''; known: cifar10, digits"),
        ("no/such/folder", "no data set or path 'no/such/folder'; give a path that exists, or a name: digits"),
        ("images.csv", "no data set or path 'images.csv'; give a path"),
        ("nul\0byte", "cannot be read|no data set"),
        ("x" * 5000, "cannot be read|no data set"),
    ],
)
def test_what_is_not_there(source, message):
    with pytest.raises(DataError, match=message):
        load_data(source)


def test_what_is_there_but_of_no_known_form(tmp_path):
    with pytest.raises(DataError, match=r"found an empty folder; expected one of these: .*the four IDX files of MNIST"):
        load_data(tmp_path)
    (tmp_path / "classes" / "cat").mkdir(parents=True)
    with pytest.raises(DataError, match="found a folder with nothing but empty folders: cat; expected"):
        load_data(tmp_path / "classes")
    (tmp_path / "one.png").write_bytes(b"?")
    with pytest.raises(DataError, match=r"found a single image, one\.png; give the folder that holds"):
        load_data(tmp_path / "one.png")
    (tmp_path / "one.png").unlink()
    (tmp_path / "classes" / "cat").rmdir()
    (tmp_path / "classes").rmdir()
    for number in range(6):
        (tmp_path / f"{number}.txt").write_text("?")
    with pytest.raises(DataError, match=r"a folder that contains 0\.txt, 1\.txt, 2\.txt, 3\.txt and 2 more"):
        load_data(tmp_path)
    with pytest.raises(DataError, match=r"found a file named 0\.txt"):
        load_data(tmp_path / "0.txt")


def test_preprocessing_by_name():
    data = load_data()
    assert preprocessing_for("image", data).kind == "image"
    normalized = preprocessing_for("dataset", data)(data.train_images, np.float64)
    assert abs(normalized.mean()) < 1e-12
    assert abs(normalized.std() - 1) < 1e-12
    with pytest.raises(ArgumentError, match="unknown preprocessing 'datset'; did you mean 'dataset'"):
        preprocessing_for("datset", data)
    empty = Dataset("none", data.train_images[:0], data.train_labels[:0], data.test_images, data.test_labels,
                    data.class_names)  # fmt: skip
    with pytest.raises(DataError, match="mean and standard deviation need training images"):
        preprocessing_for("dataset", empty)


@pytest.mark.parametrize("packed", ["archive.zip", "train-images-idx3-ubyte.xz", "photos.tar.gz", "train.csv.BZ2"])
def test_archives_are_to_be_unpacked(tmp_path, packed):
    (tmp_path / packed).write_bytes(b"packed")
    for source in (tmp_path, tmp_path / packed):
        with pytest.raises(DataError, match=f"found a f.*{packed}; unpack {packed} first$"):
            load_data(source)
