"""Which form data has: several in one folder, folders around it, the names of well-known sets."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rot180.data import load_data
from rot180.data.dataset import Dataset
from rot180.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 4, 4), dtype=np.uint8)
LABELS = (np.arange(20) % 2).astype(np.uint8)
ROWS = "".join(f"{n % 2},{n},0,0,255\n" for n in range(20))


def idx(path: Path, values: np.ndarray) -> None:
    code = {"uint8": 8, "int32": 12}[values.dtype.name]
    content = bytes([0, 0, code, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    content += values.astype(values.dtype.newbyteorder(">")).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_idx(
    folder: Path, prefix: str = "", *, test: str = "t10k", suffix: str = "", labels: np.ndarray = LABELS
) -> None:
    for part in ("train", test):
        idx(folder / f"{prefix}{part}-images-idx3-ubyte{suffix}", IMAGES)
        idx(folder / f"{prefix}{part}-labels-idx1-ubyte{suffix}", labels)


def draw(folder: Path) -> Path:
    for name in ("cat", "dog"):
        for number in range(3):
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(IMAGES[number]).save(folder / name / f"{number}.png")
    return folder


def test_a_csv_file_beside_train_and_test_does_not_hide_them(tmp_path: Path) -> None:
    draw(tmp_path / "train"), draw(tmp_path / "test")
    (tmp_path / "labels.csv").write_text(ROWS)
    data = load_data(tmp_path)
    assert data.class_names == ("cat", "dog")
    assert data.sources.unused == "labels.csv"
    assert data.notes[0].startswith("read as: a folder for each part with a subfolder for each class; not used: a")


def test_a_table_of_files_beside_train_and_test_does_not_hide_them_either(tmp_path: Path) -> None:
    draw(tmp_path / "train"), draw(tmp_path / "test")
    (tmp_path / "labels.csv").write_text("file,label\ntrain/cat/0.png,cat\ntrain/dog/0.png,dog\n")
    data = load_data(tmp_path)
    assert (len(data.train_images), len(data.test_images), data.sources.unused) == (6, 6, "labels.csv")
    assert "not used: a CSV file with names of image files and their labels" in data.notes[0]


def test_idx_files_inside_folders_of_their_names(tmp_path: Path) -> None:
    write_idx(tmp_path / "flat")
    for file in list((tmp_path / "flat").iterdir()):
        idx(tmp_path / "archive" / file.name / file.name, IMAGES if "images" in file.name else LABELS)
    (tmp_path / "archive" / "notes.txt").write_text("?")
    for folder in ("flat", "archive"):
        data = load_data(tmp_path / folder)
        np.testing.assert_array_equal(data.test_images[..., 0], IMAGES)
        assert data.sources.train == "train-images-idx3-ubyte"
    assert data.sources.unused == "notes.txt"


def test_emnist_is_turned_upright_and_its_letters_are_named(tmp_path: Path) -> None:
    write_idx(tmp_path, "emnist-letters-", test="test", suffix=".gz", labels=LABELS * 25 + 1)
    data = load_data(tmp_path)
    np.testing.assert_array_equal(data.train_images[..., 0], IMAGES.transpose(0, 2, 1))
    assert (data.name, data.class_names) == ("emnist-letters", ("a", "z"))
    assert data.notes == (
        "EMNIST stores its images transposed; they are turned upright; if yours are upright already, rename the files",
    )
    write_idx(tmp_path, "emnist-balanced-", test="test", suffix=".gz", labels=LABELS * 46)
    with pytest.raises(
        DataError, match=r"several data sets \(emnist balanced, emnist letters\); give the path of a file"
    ):
        load_data(tmp_path)
    data = load_data(tmp_path / "emnist-balanced-test-labels-idx1-ubyte.gz")
    assert (data.class_names, len(data.train_images)) == (("0", "t"), 20)
    write_idx(tmp_path, "emnist-digits-", test="test", labels=LABELS * 11)
    with pytest.raises(DataError, match="labels of EMNIST digits are 0 to 9; found 11"):
        load_data(tmp_path / "emnist-digits-train-images-idx3-ubyte")


def test_emnist_as_csv(tmp_path: Path) -> None:
    (tmp_path / "emnist-letters-train.csv").write_text("".join(f"{n % 2 + 1},0,{n},255,0\n" for n in range(20)))
    data = load_data(tmp_path / "emnist-letters-train.csv")
    assert data.class_names == ("a", "b")
    assert data.train_images[0, ..., 0].tolist() == [[0, 255], [0, 0]]


def test_qmnist_takes_the_first_column(tmp_path: Path) -> None:
    for part in ("train", "test"):
        idx(tmp_path / f"qmnist-{part}-images-idx3-ubyte", IMAGES)
        columns = np.full((20, 8), 9, np.int32)
        columns[:, 0] = LABELS * 7
        idx(tmp_path / f"qmnist-{part}-labels-idx2-int", columns)
    data = load_data(tmp_path)
    assert (data.name, data.class_names, len(data.test_images)) == ("qmnist", ("0", "7"), 20)


def test_idx_training_files_alone_are_divided_and_test_files_alone_are_refused(tmp_path: Path) -> None:
    write_idx(tmp_path)
    for kind in ("images-idx3", "labels-idx1"):
        (tmp_path / f"t10k-{kind}-ubyte").rename(tmp_path / f"valid-{kind}-ubyte")
    assert load_data(tmp_path).sources.test == "valid-images-idx3-ubyte"
    for kind in ("images-idx3", "labels-idx1"):
        (tmp_path / f"valid-{kind}-ubyte").unlink()
    assert load_data(tmp_path).sources.test == "every fifth image of each class, held out"
    for kind in ("images-idx3", "labels-idx1"):
        (tmp_path / f"train-{kind}-ubyte").rename(tmp_path / f"t10k-{kind}-ubyte")
    with pytest.raises(DataError, match="has test images but none for training"):
        load_data(tmp_path)


def test_folders_around_the_data_are_looked_into(tmp_path: Path) -> None:
    write_idx(tmp_path / "MNIST" / "raw")
    (tmp_path / "MNIST" / "processed").mkdir()
    (tmp_path / "MNIST" / "processed" / "training.pt").write_text("?")
    for source, name in ((tmp_path, "MNIST"), (tmp_path / "MNIST", "raw"), (tmp_path / "MNIST" / "raw", "raw")):
        data = load_data(source)
        assert (data.name, len(data.test_images)) == (name, 20)
    assert load_data(tmp_path).notes == ("read from MNIST/raw/",)
    write_idx(tmp_path / "FashionMNIST" / "raw")
    with pytest.raises(
        DataError, match=r"several data sets \(FashionMNIST/raw, MNIST/raw\); give the path of the one to use"
    ):
        load_data(tmp_path)
    far = draw(tmp_path / "a" / "b" / "c" / "d" / "e")
    with pytest.raises(DataError, match="expected one of these"):
        load_data(tmp_path / "a")
    assert load_data(far.parent).name == "e"


ARRAY_FOLDERS = {
    "pairs": ("X_train y_train X_test y_test", "train: X_train, validation: none, test: X_test"),
    "images and labels": (
        "images labels",
        "train: images, validation: none, test: every fifth image of each class, held out",
    ),
    "with validation": ("x_train y_train x_val y_val x_test y_test", "train: x_train, validation: x_val, test: x_test"),
}


@pytest.mark.parametrize("suffix", ["npy", "npz"])
@pytest.mark.parametrize("what", ARRAY_FOLDERS)
def test_folders_of_arrays(tmp_path: Path, what: str, suffix: str) -> None:
    names, sources = ARRAY_FOLDERS[what]
    for name in names.split():
        values = LABELS if name[0] in "yl" else IMAGES
        np.save(tmp_path / f"{name}.npy", values) if suffix == "npy" else np.savez(tmp_path / f"{name}.npz", values)
    (tmp_path / "README").write_text("?")
    data = load_data(tmp_path)
    assert str(data.sources) == f"{sources}, unused: README"
    assert data.image_shape == (4, 4, 1)


def test_an_npz_file_for_each_part(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        np.savez(tmp_path / f"shapes_{part}.npz", images=IMAGES, labels=LABELS)
    data = load_data(tmp_path)
    assert [len(data.train_images), len(data.validation_images), len(data.test_images)] == [20, 20, 20]
    for name in ("shapes_train.npz", "shapes_val.npz"):
        (tmp_path / name).unlink()
    assert load_data(tmp_path).name == "shapes_test"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"x_train.npy": IMAGES}, "x_train has no matching labels"),
        ({"x_train.npy": IMAGES, "x_train.npz": IMAGES, "y_train.npy": LABELS}, r"\.npy and .*npz both hold x_train"),
        ({"images.npy": IMAGES, "labels.npy": LABELS[:5]}, "20 images but 5 labels"),
        ({"images.npy": np.array([{}]), "labels.npy": LABELS}, r"images\.npy: .*found Python objects"),
        ({"images.npy": IMAGES, "labels.npy": LABELS, "a.csv": None}, r"several data sets \(a folder with a CSV"),
    ],
)  # fmt: skip
def test_arrays_that_are_refused(tmp_path: Path, files: dict[str, np.ndarray | None], message: str) -> None:
    for name, values in files.items():
        if values is None:
            (tmp_path / name).write_text(ROWS)
        else:
            np.savez(tmp_path / name, values) if name.endswith("z") else np.save(tmp_path / name, values)
    with pytest.raises(DataError, match=message):
        load_data(tmp_path)


def test_an_array_alone_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", IMAGES)
    with pytest.raises(
        DataError, match=r"an \.npy file holds a single array; give the folder with the images and the labels"
    ):
        load_data(tmp_path / "images.npy")
    (tmp_path / "labels.npy").write_bytes(b"\x93NUMPY no")
    with pytest.raises(DataError, match=r"labels\.npy: "):
        load_data(tmp_path)


def test_images_alone_give_way_to_a_table(tmp_path: Path) -> None:
    (tmp_path / "digits.csv").write_text(ROWS)
    Image.fromarray(IMAGES[0]).save(tmp_path / "overview.png")
    data: Dataset = load_data(tmp_path)
    assert data.image_shape == (2, 2, 1)
    assert "not used: a folder of images whose names" in data.notes[0]


@pytest.mark.parametrize("hidden", [".train.csv", "._train.csv", ".test.csv", "__MACOSX/train.csv", ".cache/train.csv"])
def test_hidden_files_are_passed_over_in_every_format(tmp_path: Path, hidden: str) -> None:
    (tmp_path / "train.csv").write_text(ROWS)
    (tmp_path / hidden).parent.mkdir(exist_ok=True)
    for name in (hidden, hidden.replace(".csv", ".npz"), hidden.replace(".csv", ".parquet")):
        (tmp_path / name).write_bytes(b"\0\5no data")
    assert len(load_data(tmp_path).train_images) == 16


def test_the_test_file_of_a_contest_has_no_labels(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("label,p1,p2,p3,p4\n" + ROWS)
    (tmp_path / "test.csv").write_text("p1,p2,p3,p4\n" + "".join(f"{n},0,0,255\n" for n in range(20)))
    (tmp_path / "sample_submission.csv").write_text("ImageId,Label\n1,0\n")
    data = load_data(tmp_path)
    assert str(data.sources) == (
        "train: train.csv, validation: none, test: every fifth image of each class, held out, "
        "unused: test.csv (images without labels), sample_submission.csv"
    )
