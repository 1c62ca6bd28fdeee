"""A table of image files and labels beside the images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rot180.data import load_data
from rot180.data.options import ImageOptions
from rot180.errors import DataError

COUNT = 10


def images(folder: Path, count: int = COUNT) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(np.full((6, 6), 255 - 20 * number, np.uint8)).save(folder / f"{number:03}.png")


def rows(name: str, header: str) -> str:
    return "\n".join([header, *(name.format(k) + f",{'cat' if k % 2 else 'dog'}" for k in range(COUNT))]) + "\n"


@pytest.mark.parametrize(
    ("name", "header", "folder"),
    [
        ("{:03}.png", "filename,label", "."),
        ("{:03}.png", "file,species", "images"),
        ("{:03}", "image_id,species", "train_images"),
        ("{:03}", "id,breed", "train"),
        ("images/{:03}.png", "path,class", "images"),
        ("./images/{:03}", "path,whatever", "images"),
        ("images\\{:03}.png", "path,class", "images"),
        ("{:03}.png", "anything,kind", "a/b"),
    ],
)
def test_files_and_labels(tmp_path: Path, name: str, header: str, folder: str) -> None:
    images(tmp_path / "set" / folder)
    (tmp_path / "set" / "labels.csv").write_text(rows(name, header))
    for source in (tmp_path / "set", tmp_path / "set" / "labels.csv"):
        data = load_data(source)
        assert data.class_names == ("cat", "dog")
        found, labels = data.every_image()
        assert len(found) == COUNT
        for image, label in zip(found, labels, strict=True):
            number = (255 - int(image[0, 0, 0])) // 20
            assert data.class_names[label] == ("cat" if number % 2 else "dog")


def test_a_contests_folder(tmp_path: Path) -> None:
    images(tmp_path / "train")
    images(tmp_path / "test", 3)
    (tmp_path / "train.csv").write_text(rows("train/{:03}.png", "id,label"))
    (tmp_path / "sample_submission.csv").write_text("id,label\n")
    data = load_data(tmp_path)
    assert len(data.train_images) + len(data.test_images) == COUNT
    assert "sample_submission.csv" in data.sources.unused


def test_a_table_for_each_part_and_a_column_by_name(tmp_path: Path) -> None:
    images(tmp_path / "images")
    text = "\n".join(f"{k:03},x,{k % 2 + 3},{'ab'[k % 2]}" for k in range(COUNT))
    (tmp_path / "train.csv").write_text("image,fold,grade,letter\n" + text)
    (tmp_path / "test.csv").write_text("image,fold,grade,letter\n" + text)
    with pytest.raises(
        DataError, match=r"which column is the label.*choose one with --label-column: fold, grade, letter"
    ):
        load_data(tmp_path)
    data = load_data(tmp_path, label_column="grade")
    assert (data.class_names, len(data.train_images), len(data.test_images)) == (("3", "4"), COUNT, COUNT)
    assert load_data(tmp_path, label_column=4).class_names == ("a", "b")


def test_what_is_not_there_is_a_bad_file_and_nothing_elsewhere_is_read(tmp_path: Path) -> None:
    images(tmp_path / "set" / "images")
    images(tmp_path / "set" / "more", 1)  # 000 is there twice
    images(tmp_path / "secret", 12)
    (tmp_path / "set" / "images" / "link.png").symlink_to(tmp_path / "secret" / "011.png")
    bad = ["../secret/010.png", str(tmp_path / "secret" / "011.png"), "link.png", "none.png", "000"]
    text = rows("images/{:03}.png", "file,label") + "".join(f"{name},cat\n" for name in bad) + "001.png,\n"
    (tmp_path / "set" / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=r"labels.csv: row 12: no image '../secret/010.png' below"):
        load_data(tmp_path / "set")
    found = ImageOptions(on_bad_file="skip")
    data = load_data(tmp_path / "set", found)
    assert len(data.train_images) + len(data.test_images) == COUNT


def test_a_list_that_is_named_is_one_even_if_all_its_files_are_elsewhere(tmp_path: Path) -> None:
    images(tmp_path / "images")
    (tmp_path / "labels.csv").write_text(rows("elsewhere/x{:03}.png", "file,label"))
    with pytest.raises(DataError, match=r"labels\.csv: row 2: no image 'elsewhere/x000\.png' below"):
        load_data(tmp_path / "labels.csv")
    (tmp_path / "labels.csv").write_text(rows("images/{:03}.png", "file,label"))
    assert load_data(tmp_path / "labels.csv").notes == ()


@pytest.mark.parametrize("form", ["sample_submission.csv", "sampleSubmission.csv", "my-submissions.csv"])
def test_the_form_for_a_contests_answers_is_no_data(tmp_path: Path, form: str) -> None:
    images(tmp_path / "train")
    images(tmp_path / "test1", 4)
    for number in range(4):
        (tmp_path / "test1" / f"{number:03}.png").rename(tmp_path / "test1" / f"{number + 90}.png")
    answers = "id,label\n" + "".join(f"{number},0\n" for number in range(90, 94))
    (tmp_path / form).write_text(answers)
    with pytest.raises(DataError, match="file names do not contain classes"):
        load_data(tmp_path)
    (tmp_path / "labels.csv").write_text(rows("{:03}", "id,breed"))
    data = load_data(tmp_path)
    assert data.class_names == ("cat", "dog")
    assert len(data.every_image()[0]) == COUNT
    assert form in data.sources.unused


def test_columns_that_are_passed_over_are_told(tmp_path: Path) -> None:
    images(tmp_path)
    text = "".join(f"{number:03}.png,{'ab'[number % 2]},{number},x\n" for number in range(COUNT))
    (tmp_path / "a.csv").write_text("file,label,age,site\n" + text)
    assert load_data(tmp_path).sources.unused == "column 3 ('age'), column 4 ('site')"


@pytest.mark.parametrize("header", ["id_code,diagnosis", "scan,grade", "diagnosis,id_code"])
def test_the_column_whose_values_are_files(tmp_path: Path, header: str) -> None:
    images(tmp_path / "train_images")
    pairs = [(f"{number:03}", str(number % 3)) for number in range(COUNT)]
    lines = [",".join(pair if header != "diagnosis,id_code" else pair[::-1]) for pair in pairs]
    (tmp_path / "train.csv").write_text("\n".join([header, *lines]) + "\n")
    data = load_data(tmp_path)
    assert data.class_names == ("0", "1", "2")
    assert len(data.every_image()[0]) == COUNT


def test_a_table_in_the_folder_of_each_part(tmp_path: Path) -> None:
    """As hubs lay out folders of images: `train/metadata.csv` beside the images, which share names across parts."""
    for part, label in (("train", "cat"), ("valid", "dog"), ("test", "cat")):
        images(tmp_path / part, 4)
        lines = [f"{number:03}.png,{label if number else 'dog'}" for number in range(4)]
        (tmp_path / part / "metadata.csv").write_text("\n".join(["file_name,label", *lines]) + "\n")
    data = load_data(tmp_path)
    assert data.train_labels.tolist() == [1, 0, 0, 0]
    assert data.validation_labels.tolist() == [1, 1, 1, 1]
    assert data.test_names == tuple(f"test/{number:03}.png" for number in range(4))
    told = "train: train/metadata.csv, validation: valid/metadata.csv, test: test/metadata.csv, unused: none"
    assert str(data.sources) == told
