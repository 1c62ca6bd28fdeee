"""Which images are for training, for validation, for testing: one rule for names in all formats."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from rot180.data import Dataset
from rot180.data.array_names import pair_arrays
from rot180.data.classes import number_classes
from rot180.data.parts import assign, choose_files, part_of
from rot180.data.visible import is_of_system
from rot180.errors import DataError

NAMES = {
    "train": "train Training TRAIN training_set seg_train trainSet mnist_train X_train trainX train2017 train-0 "
    "trainval train_val 训练集",
    "validation": "val valid Validation dev val2017 x_val devset validation_set 验证",
    "test": "test testing eval evaluation holdout hold_out held-out seg_test t10k test10k test1 TEST xTest 测试集",
    None: "contest latest trainers trained cat devices evaluator 5 validity train_test testing_or_training protest",
}


@pytest.mark.parametrize(("part", "name"), [(part, name) for part, names in NAMES.items() for name in names.split()])
def test_whole_words_tell(part: str | None, name: str) -> None:
    assert part_of(name) == part


def test_what_takes_which_place() -> None:
    assert assign("d", {"train": 1, "validation": 2, "test": 3}) == {"train": 1, "validation": 2, "test": 3}
    assert assign("d", {"train": 1, "validation": 2}) == {"train": 1, "test": 2}
    assert assign("d", {"": 0}) == {"train": 0}
    for found in ({"test": 1}, {"validation": 1, "test": 2}, {"": 0, "test": 1}):
        with pytest.raises(DataError, match="images but none for training"):
            assign("d", found)


FILES = {
    "train.csv test.csv": "train=train.csv test=test.csv",
    "mnist_train.csv mnist_test.csv other.csv": "train=mnist_train.csv test=mnist_test.csv unused=other.csv",
    "train/0000.parquet test/0000.parquet": "train=train/0000.parquet test=test/0000.parquet",
    "d/partial-train/0.parquet d/val/0.parquet d/test/0.parquet":
        "train=d/partial-train/0.parquet validation=d/val/0.parquet test=d/test/0.parquet",
    "train-00000-of-00002.parquet train-00001-of-00002.parquet validation-00000-of-00001.parquet":
        "train=train-00000-of-00002.parquet,train-00001-of-00002.parquet test=validation-00000-of-00001.parquet",
    "train-00000-of-00001-38cc4fa96c139e86.parquet test-00000-of-00001-3fe5de4e4d6ee1c1.parquet":
        "train=train-00000-of-00001-38cc4fa96c139e86.parquet test=test-00000-of-00001-3fe5de4e4d6ee1c1.parquet",
    "0000.parquet 0001.parquet": "train=0000.parquet,0001.parquet",
    "contest.csv": "train=contest.csv",
    "train.csv mnist_test.csv": "train=train.csv test=mnist_test.csv",
    "train/contest.csv test/contest.csv": "train=train/contest.csv test=test/contest.csv",
}  # fmt: skip


@pytest.mark.parametrize("files", FILES)
def test_files_are_sorted_into_parts(files: str) -> None:
    chosen, unused = choose_files(Path("d"), [Path("d") / name for name in files.split()])
    found = {**chosen, **({"unused": unused} if unused else {})}
    shown = (f"{part}={','.join(file.relative_to('d').as_posix() for file in some)}" for part, some in found.items())
    assert set(shown) == set(FILES[files].split())


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ("coarse/train.parquet coarse/test.parquet fine/train.parquet fine/test.parquet",
         r"several data sets \(coarse, fine\)"),
        ("mnist_train.csv cifar_train.csv", r"several data sets \(cifar_train\.csv, mnist_train\.csv\)"),
        ("a.parquet b.parquet", r"several data sets \(a\.parquet, b\.parquet\); give the path of the one to use"),
        ("train-00000-of-00002.parquet", "expected 2 pieces, judging by the name, found 1; piece 00001 is missing"),
        ("test.csv", "test images but none for training"),
        ("val.csv test.csv", "validation and test images but none"),
    ],
)  # fmt: skip
def test_files_that_are_not_clear_are_refused(files: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        choose_files(Path("d"), [Path("d") / name for name in files.split()])


ARRAYS = {
    "x_train y_train x_test y_test": "train=x_train,y_train test=x_test,y_test",
    "X_train Y_train X_val Y_val X_test Y_test": "train=X_train,Y_train validation=X_val,Y_val test=X_test,Y_test",
    "train_images train_labels val_images val_labels test_images test_labels":
        "train=train_images,train_labels validation=val_images,val_labels test=test_images,test_labels",
    "train_x train_y valid_x valid_y": "train=train_x,train_y test=valid_x,valid_y",
    "images labels image_ids": "train=images,labels unused=image_ids",
    "data target": "train=data,target",
    "arr_0 arr_1": "train=arr_0,arr_1",
    "X y": "train=X,y",
    "trainX trainY testX": "train=trainX,trainY unused=testX",
    "kmnist-train-imgs kmnist-train-labels kmnist-test-imgs kmnist-test-labels":
        "train=kmnist-train-imgs,kmnist-train-labels test=kmnist-test-imgs,kmnist-test-labels",
    "x_train y_train x_dev y_dev x_holdout y_holdout class_names":
        "train=x_train,y_train validation=x_dev,y_dev test=x_holdout,y_holdout",
}  # fmt: skip


@pytest.mark.parametrize("names", ARRAYS)
def test_arrays_are_paired(names: str) -> None:
    pairs, unused = pair_arrays("d", names.split())
    found = {**pairs, **({"unused": unused} if unused else {})}
    assert {f"{part}={','.join(some)}" for part, some in found.items()} == set(ARRAYS[names].split())


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("pictures weights", "expected the arrays x_train and y_train.*found pictures, weights"),
        ("x_train train_images y_train", "x_train and train_images are both images of the train part"),
        ("x_train y_train x_val", "x_val has no matching labels"),
        ("images", "images has no matching labels"),
        ("x_test y_test", "test images but none for training"),
        ("", "found no array"),
    ],
)
def test_arrays_that_are_not_clear_are_refused(names: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        pair_arrays("d", names.split())


def test_labels_that_occur_are_numbered_and_keep_their_names() -> None:
    found = number_classes("d", {"train": np.array([50_000, 0, 0], np.uint16), "test": np.array([50_000])})
    assert found.names == ("0", "50000")
    assert [labels.tolist() for labels in found.labels.values()] == [[1, 0, 0], [1]]
    assert number_classes("d", {"train": np.array(["10", "9", "9"])}).names == ("9", "10")
    assert number_classes("d", {"train": np.array(["dog", "cat", "9"])}).names == ("9", "cat", "dog")
    assert number_classes("d", {"train": np.array([1, -1])}).labels["train"].tolist() == [1, 0]
    assert number_classes("d", {"train": np.array([2**62, 3])}).names == ("3", str(2**62))


def test_named_classes_without_images_are_told() -> None:
    found = number_classes("d", {"train": np.array([2, 0]), "test": np.array([2])}, ("ape", "bee", "cat", "dog"))
    assert found.names == ("ape", "cat")
    assert found.labels["test"].tolist() == [1]
    assert found.notes == ("no images of the classes bee, dog, which are left out",)


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        ({"train": [0, 1], "test": [2]}, None, "the test images have classes that no training image has: 2; add"),
        (
            {"train": [0, 1], "validation": [5]},
            None,
            "the validation images have classes that no training image has: 5",
        ),
        ({"train": [0], "test": [1]}, ("cat", "dog"), "the test images have classes that no training image has: dog"),
        ({"train": [0, 2]}, ("cat", "dog"), "labels from 0 to 1, one for each class name, found 2"),
        ({"train": [0, -1, 1]}, None, "labels must be whole numbers from 0, or -1 and 1; got -1; if it marks"),
        ({"train": range(30)}, None, "each of the 30 images has a different label, such as 0; .* row numbers"),
        ({"train": [f"{k}.png" for k in range(30)]}, None, r"such as 0\.png; .* or file names"),
        ({"train": [*range(100_001), 0]}, None, "at most 100000 classes, found 100001 different labels"),
    ],
)
def test_labels_that_are_none_are_refused(labels: dict, names: tuple[str, ...] | None, message: str) -> None:
    with pytest.raises(DataError, match=re.compile(message)):
        number_classes("d", {part: np.array(some) for part, some in labels.items()}, names)


def test_what_systems_leave() -> None:
    left = "@eaDir __MACOSX .ipynb_checkpoints $RECYCLE.BIN lost+found Thumbs Thumbs.db desktop.ini .DS_Store ._a.png"
    assert [
        name
        for name in [*left.split(), ".Trash-1000", "@Recycle", "#recycle", "System Volume Information"]
        if not is_of_system(name)
    ] == []
    assert [name for name in ("cat", "thumbs up", "macosx", "a.b", "recycle") if is_of_system(name)] == []


def test_a_data_set_with_validation_images() -> None:
    images, labels = np.zeros((6, 4, 4, 1), np.uint8), np.array([0, 1, 0, 1, 0, 1])
    parts = ("tiny", images[:2], labels[:2], images[2:4], labels[2:4], ("a", "b"))
    data = Dataset(*parts, validation_images=images[4:], validation_labels=labels[4:])
    assert repr(data) == "Dataset('tiny', 2 training, 2 validation and 2 test images of 4x4x1, 2 classes)"
    assert len(data.every_image()[0]) == len(data.every_image()[1]) == 6
    assert len(Dataset(*parts).validation_images) == len(Dataset(*parts).validation_labels) == 0
    with pytest.raises(DataError, match="training and validation images must have the same shape"):
        Dataset(*parts, validation_images=np.zeros((2, 5, 5, 1)), validation_labels=labels[4:])
    with pytest.raises(DataError, match="class names must be unique; 'a' occurs more than once"):
        Dataset(*parts[:-1], ("a", "a"))


def test_configurations_are_named_by_their_folders() -> None:
    """A file of one would be that file alone, without the other parts beside it."""
    root = Path("d")
    files = [root / name for name in ("a/train/0.parquet", "a/test/0.parquet", "b/train/0.parquet")]
    with pytest.raises(DataError, match=r"several data sets \(a, b\)"):
        choose_files(root, files)
    with pytest.raises(DataError, match=r"several data sets \(a\.csv, b\.csv\)"):
        choose_files(root, [root / "a.csv", root / "b.csv"])


def test_classes_of_one_image_are_not_tested_and_told(tmp_path: Path) -> None:
    from rot180.data.compose import compose
    from rot180.data.parts import Sources

    def notes(labels: list[int]) -> tuple[str, ...]:
        images = np.arange(len(labels) * 4, dtype=np.uint8).reshape(-1, 2, 2, 1)
        return compose("d", {"train": (images, np.array(labels))}, where="d", description="", sources=Sources()).notes

    assert notes([0, 0, 1, 1]) == ()
    assert notes([0, 0, 7]) == (
        "the class 7 has a single image, which is used for training; none is held out for testing",
    )
    assert "classes with a single image" in notes([0, 1, 2])[0]
