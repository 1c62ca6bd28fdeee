"""Layouts of folders of images: what is a part, what a class, what is neither; what is refused with which reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rot180.data import load_data
from rot180.errors import DataError


@pytest.fixture
def make(tmp_path: Path):
    """Return a function that makes the files of a list such as `train/cat/1.png`, each image another."""
    count = iter(range(256))

    def make(files: str, root: Path = tmp_path) -> Path:
        for name in files.split():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                path.mkdir(exist_ok=True)
            elif path.suffix == ".png":
                pixels = np.full((4, 4), 255, np.uint8)
                pixels[0, 0] = next(count)
                Image.fromarray(pixels).save(path)
            else:
                path.write_text("text")
        return root

    return make


def told(path: Path) -> tuple[int, int, int, str, str]:
    """Return the counts of each part, the names of the classes, and where the parts come from."""
    data = load_data(path)
    counts = (len(data.train_images), len(data.validation_images), len(data.test_images))
    return (*counts, " ".join(data.class_names), str(data.sources))


HELD = "every fifth image of each class, held out"
TRAIN = "train/cat/1.png train/cat/2.png train/dog/1.png"
LAYOUTS = {
    "a stray image in train/": (
        f"{TRAIN} test/cat/1.png test/dog/1.png train/stray.png",
        (3, 0, 2, "cat dog", "train: train/, validation: none, test: test/, unused: train/stray.png"),
    ),
    "a stray image in test/": (
        f"{TRAIN} test/cat/1.png test/9.png",
        (3, 0, 1, "cat dog", "train: train/, validation: none, test: test/, unused: test/9.png"),
    ),
    "val beside test": (
        f"{TRAIN} val/cat/1.png test/dog/1.png",
        (3, 1, 1, "cat dog", "train: train/, validation: val/, test: test/, unused: none"),
    ),
    "dev and eval": (
        f"{TRAIN} dev/cat/1.png eval/dog/1.png",
        (3, 1, 1, "cat dog", "train: train/, validation: dev/, test: eval/, unused: none"),
    ),
    "holdout": (
        f"{TRAIN} holdout/dog/1.png",
        (3, 0, 1, "cat dog", "train: train/, validation: none, test: holdout/, unused: none"),
    ),
    "evaluation": (
        f"{TRAIN} Evaluation/dog/1.png README",
        (3, 0, 1, "cat dog", "train: train/, validation: none, test: Evaluation/, unused: README"),
    ),
    "training_set and test_set, each with a folder between": (
        "training_set/training_set/cat/1.png training_set/training_set/dog/1.png test_set/test_set/dog/1.png",
        (2, 0, 1, "cat dog",
         "train: training_set/training_set/, validation: none, test: test_set/test_set/, unused: none"),
    ),
    "seg_train and seg_test": (
        "seg_train/seg_train/sea/1.png seg_train/seg_train/ice/1.png seg_test/seg_test/ice/1.png seg_pred/1.png",
        (2, 0, 1, "ice sea",
         "train: seg_train/seg_train/, validation: none, test: seg_test/seg_test/, unused: seg_pred/"),
    ),
    "a wrapper": (
        " ".join(f"photos/photos/{name}" for name in f"{TRAIN} test/cat/1.png".split()) + " __MACOSX/photos/1.png",
        (3, 0, 1, "cat dog", "train: train/, validation: none, test: test/, unused: none"),
    ),
    "test images without classes": (
        f"{TRAIN} test/1.png test/2.png",
        (2, 0, 1, "cat dog", f"train: train/, validation: none, test: {HELD}, unused: test/ (images without classes)"),
    ),
    "classes above parts": (
        "cat/train/1.png cat/train/2.png cat/test/3.png dog/train/1.png dog/test/1.png dog/notes.txt",
        (3, 0, 2, "cat dog", "train: */train/, validation: none, test: */test/, unused: dog/notes.txt"),
    ),
    "test beside classes": (
        "cat/1.png dog/1.png test/cat/2.png",
        (2, 0, 1, "cat dog", "train: the class folders, validation: none, test: test/, unused: none"),
    ),
    "test images without classes beside classes": (
        "cat/1.png dog/1.png test/2.png a.txt",
        (2, 0, 0, "cat dog",
         f"train: the class folders, validation: none, test: {HELD}, unused: a.txt, test/ (images without classes)"),
    ),
    "vehicles, of which one is a train": (
        "bus/1.png car/1.png train/1.png",
        (3, 0, 0, "bus car train", f"train: the class folders, validation: none, test: {HELD}, unused: none"),
    ),
    "valid and invalid": (
        "valid/1.png invalid/1.png",
        (2, 0, 0, "invalid valid", f"train: the class folders, validation: none, test: {HELD}, unused: none"),
    ),
    "folders of systems, empty folders": (
        "cat/1.png dog/1.png @eaDir/1.png __MACOSX/1.png .ipynb_checkpoints/1.png $RECYCLE.BIN/1.png lost+found/ fox/",
        (2, 0, 0, "cat dog", f"train: the class folders, validation: none, test: {HELD}, unused: none"),
    ),
    "classes in names, flat": (
        "cat.0.png cat.1.png dog_12.png dog_13.png",
        (2, 0, 2, "cat dog", f"train: the images, validation: none, test: {HELD}, unused: none"),
    ),
    "classes in names, in parts": (
        "train/cat.0.png train/cat.1.png train/dog.0.png train/dog.1.png test/cat.7.png",
        (4, 0, 1, "cat dog", "train: train/, validation: none, test: test/, unused: none"),
    ),
    "classes in names, and a test part without": (
        "train/train/cat.0.png train/train/cat.1.png train/train/dog.0.png train/train/dog.1.png test1/1.png",
        (2, 0, 2, "cat dog",
         f"train: train/train/, validation: none, test: {HELD}, unused: test1/ (images without classes)"),
    ),
    "the number in front of the class": (
        "0_frog.png 1_frog.png 2_ship.png 3_ship.png",
        (2, 0, 2, "frog ship", f"train: the images, validation: none, test: {HELD}, unused: none"),
    ),
    "images in a folder that is no class": (
        "images/cat_1.png images/cat_2.png images/dog_1.png images/dog_2.png annotations/list.txt",
        (2, 0, 2, "cat dog", f"train: images/, validation: none, test: {HELD}, unused: annotations/"),
    ),
    "test images in such a folder": (
        f"{TRAIN} test/images/1.png",
        (2, 0, 1, "cat dog",
         f"train: train/, validation: none, test: {HELD}, unused: test/images/ (images without classes)"),
    ),
    "two test folders, of which one holds classes": (
        f"{TRAIN} test/cat/1.png test-multiple_fruits/1.png",
        (3, 0, 1, "cat dog", "train: train/, validation: none, test: test/, unused: test-multiple_fruits/"),
    ),
    "two copies, one inside the other": (
        f"{TRAIN} test/cat/1.png again/train/cat/1.png again/test/cat/1.png",
        (3, 0, 1, "cat dog", "train: train/, validation: none, test: test/, unused: again/"),
    ),
    "classes of several words in names": (
        "red_fox_1.png red_fox_2.png cat_1.png cat_2.png notes.txt",
        (2, 0, 2, "cat red_fox", f"train: the images, validation: none, test: {HELD}, unused: notes.txt"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", LAYOUTS)
def test_layouts(make, what: str) -> None:
    files, expected = LAYOUTS[what]
    assert told(make(files)) == expected


REFUSED = {
    "train and training": (f"{TRAIN} training/cat/2.png", "train and training are both for train; remove one"),
    "numbers for names": (
        "train/1.png train/2.png test/3.png",
        "train: holds images without class folders.*train/cat",
    ),
    "a camera's names": ("IMG_1.png IMG_2.png DSC_1.png DSC_2.png", "the file names do not contain classes; put"),
    "one word for all": ("cat_1.png cat_2.png", "the file names do not contain classes"),
    "not all names": ("cat_1.png cat_2.png dog_1.png dog_2.png x.png", "the file names do not contain classes"),
    "boxes": ("train/images/1.png train/labels/1.txt", "train/images: holds images without class folders"),
    "boxes, parts below": (
        "images/train/1.png images/val/2.png labels/train/1.txt",
        "images/train: holds images without",
    ),
    "images alone": ("images/1.png images/2.png labels/1.txt", "images: holds images without class folders"),
    "test and val": ("test/cat/1.png val/cat/1.png", "has validation and test images but none for training"),
    "a class in test": (f"{TRAIN} test/fox/1.png", "the test images have classes that no training image has: fox"),
    "a class in val": (
        f"{TRAIN} val/fox/1.png test/cat/1.png",
        "the validation images have classes that no training image has: fox",
    ),
    "a kind of class": ("pets/cat/1.png wild/fox/1.png", r"holds several data sets \(pets, wild\)"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_clear_is_refused(make, what: str) -> None:
    files, message = REFUSED[what]
    with pytest.raises(DataError, match=message):
        load_data(make(files))


def test_notes_say_what_was_found_in_names_and_which_classes_are_empty(make, tmp_path: Path) -> None:
    data = load_data(make("cat.0.png cat.1.png dog_12.png dog_13.png"))
    assert data.notes == ("the classes are taken from the file names: cat, dog",)
    data = load_data(make("a/cat/1.png a/cat/2.png a/dog/1.png a/dog/2.png a/fox/ a/emu/").joinpath("a"))
    assert data.notes == ("no images of the classes emu, fox, which are left out",)


def test_links_to_parts_and_classes_are_followed_and_told(make, tmp_path: Path) -> None:
    disk, data = tmp_path / "disk", tmp_path / "data"
    make("train/cat/1.png train/cat/2.png foxes/1.png", disk)
    make("test/cat/1.png", data)
    (data / "train").symlink_to(disk / "train")
    (disk / "train" / "fox").symlink_to(disk / "foxes")
    loaded = load_data(data)
    assert (len(loaded.train_images), len(loaded.test_images), loaded.class_names) == (3, 1, ("cat", "fox"))
    assert "symbolic links are followed: " in loaded.notes[0]
    assert f"train -> {disk / 'train'}" in loaded.notes[0]
    assert f"train/fox -> {disk / 'foxes'}" in loaded.notes[0]


@pytest.mark.parametrize(
    ("link", "target", "message"),
    [
        ("train/fox", ".", "fox: a symbolic link to a folder that contains it"),
        ("dev", "..", "a symbolic link to a folder that contains it"),
        ("train/fox", "cat", "cat and .*fox are the same folder"),
        ("test", "train", "train/cat and .*test/cat are the same folder"),
    ],
)
def test_links_in_circles_are_refused(make, tmp_path: Path, link: str, target: str, message: str) -> None:
    data = make(TRAIN, tmp_path / "data")
    (data / link).symlink_to(target, target_is_directory=True)
    with pytest.raises(DataError, match=message):
        load_data(data)
