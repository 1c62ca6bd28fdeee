"""Which column is the label: by the header, by what is asked for, by the values; and tables as they come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rot180.data import load_data
from rot180.data.columns import find_columns
from rot180.data.csv_images import read_csv
from rot180.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 200, (30, 16))
PIXELS[:, 0] = PIXELS[:, -1] = 0  # a border, as images have
LABELS = np.arange(30) % 3


def table(columns: dict[str, list[object]], separator: str = ",", header: bool = True) -> str:
    rows = zip(*columns.values(), strict=True)
    lines = [separator.join(map(str, row)) for row in rows]
    return "\n".join([separator.join(columns)] * header + lines) + "\n"


def pixels(names: str = "pixel{}", values: np.ndarray = PIXELS) -> dict[str, list[object]]:
    return {names.format(k): column.tolist() for k, column in enumerate(values.T, 1)}


def write(tmp_path: Path, text: str | bytes, name: str = "a.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


LABEL = LABELS.tolist()
INDEX = list(range(30))


@pytest.mark.parametrize(
    "columns",
    [
        {**pixels(), "class": LABEL},
        {**pixels(), "Class": LABEL},
        {"label": LABEL, **pixels()},
        {"": INDEX, "label": LABEL, **pixels("{}x1")},
        {"Unnamed: 0": INDEX, **pixels("{}"), "target": LABEL},
        {"Unnamed: 0.1": INDEX, "Unnamed: 0": INDEX, "y": LABEL, **pixels("x{}")},
        {"id": [k + 7000 for k in INDEX], **pixels("px_{}"), " Category ": LABEL},
        {**dict(list(pixels().items())[:5]), "label": LABEL, **dict(list(pixels().items())[5:])},
        {**pixels(), "kind": LABEL},  # the only name unlike a pixel's
        {"label": LABEL, "file": [f"{k}.png" for k in INDEX], **pixels(), "usage": ["train"] * 30},
    ],
)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_header_says_which_column_is_the_label(tmp_path: Path, columns: dict, separator: str) -> None:
    images, labels = read_csv(write(tmp_path, table(columns, separator)))
    np.testing.assert_array_equal(images.reshape(30, 16), PIXELS)
    assert images.dtype == np.uint8
    assert labels.tolist() == LABEL


@pytest.mark.parametrize(
    "columns",
    [
        {"label": LABEL, **pixels()},
        {**pixels(), "label": LABEL},
        {"index": INDEX, "label": LABEL, **pixels()},
        {"index": INDEX, **pixels(), "label": LABEL},
        {**pixels(), "label": [k + 1 for k in LABEL]},
        {**pixels(), "label": ["abc"[k] for k in LABEL]},
        {"label": ["abc"[k] for k in LABEL], **pixels()},
    ],
)
@pytest.mark.parametrize("separator", [",", " "])
def test_without_a_header_the_values_say_it(tmp_path: Path, columns: dict, separator: str) -> None:
    images, labels = read_csv(write(tmp_path, table(columns, separator, header=False)))
    np.testing.assert_array_equal(images.reshape(30, 16), PIXELS)
    assert labels.tolist() == columns["label"]


@pytest.mark.parametrize("asked", ["kind", "KIND", 17, "17", -2])
def test_the_column_that_is_asked_for(tmp_path: Path, asked: str | int) -> None:
    path = write(tmp_path, table({**pixels(), "kind": ["cat", "dog", "owl"] * 10, "label": LABEL}))
    data = load_data(path, label_column=asked)
    assert data.class_names == ("cat", "dog", "owl")
    assert "labels from column 17, 'kind'" in data.description
    assert load_data(path).class_names == ("0", "1", "2")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("kinds", "no column is named 'kinds'; did you mean 'kind'"),
        (0, "no column is named '0'"),
        (99, "no column is named '99'"),
        ("p", "2 columns are named 'p'; give the number"),
    ],
)
def test_a_column_that_is_not_there(asked: str | int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        find_columns("a.csv", ["kind", "p", "p"], [["1", "2", "3"]], asked)


def test_without_names_a_column_is_a_number() -> None:
    with pytest.raises(
        DataError, match=r"expected a label column from 1 to 5 \(the file has no column names\), found 'label'"
    ):
        find_columns("a.csv", None, [["1"] * 5], "label")


def test_words_are_classes_in_the_order_of_their_names(tmp_path: Path) -> None:
    words = ["night owl", "cat, black", "Äffchen"] * 10
    columns = {**pixels(), "label": [f'"{word}"' for word in words]}
    data = load_data(write(tmp_path, table(columns)))
    assert data.class_names == ("cat, black", "night owl", "Äffchen")
    images, labels = data.every_image()
    assert sorted(data.class_names[label] for label in labels) == sorted(words)
    assert images.shape == (30, 4, 4, 1)


def test_two_files_with_words_agree_on_their_classes(tmp_path: Path) -> None:
    write(tmp_path, table({"label": ["b", "c"] * 15, **pixels()}), "train.csv")
    write(tmp_path, table({**pixels(), "Label": ["c"] * 30}), "test.csv")
    data = load_data(tmp_path)
    assert data.class_names == ("b", "c")
    assert set(data.test_labels.tolist()) == {1}


@pytest.mark.parametrize(("values", "dtype"), [(PIXELS / 255, np.float32), (PIXELS * 300, np.uint16)])
def test_pixels_come_as_they_are_written(tmp_path: Path, values: np.ndarray, dtype: type) -> None:
    images, labels = read_csv(write(tmp_path, table({"label": LABEL, **pixels(values=values)})))
    assert images.dtype == dtype
    np.testing.assert_allclose(images.reshape(30, 16), values, rtol=1e-6)
    assert labels.tolist() == LABEL


GOOD = table({"label": LABEL, **pixels()})


@pytest.mark.parametrize(
    "content",
    [
        GOOD.replace("\n", "\r"),
        GOOD.replace("\n", "\r").rstrip(),
        GOOD.replace("\n", "\r\n"),
        GOOD.encode("utf-16"),
        b"\xfe\xff" + GOOD.encode("utf-16-be"),
        GOOD.encode("utf-16-le"),
        GOOD.encode("utf-8-sig"),
        GOOD.replace(",", "  "),
        '"' + GOOD.replace(",", '","').replace("\n", '"\n"').removesuffix('"'),
    ],
)
def test_line_ends_encodings_and_quotes(tmp_path: Path, content: str | bytes) -> None:
    images, labels = read_csv(write(tmp_path, content))
    np.testing.assert_array_equal(images.reshape(30, 16), PIXELS)
    assert labels.tolist() == LABEL


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a;b;c\n1;2;3\n", r"found 3 columns \(a, b, .*2 of them besides label and index; .*give the label's"),
        (table({"a": LABEL, **pixels("b{}"), "c": LABEL, "e": LABEL}), "found 19 columns .*, 18 of them besides label"),
        (GOOD.replace("\n0,", "\n,", 1), "row 2, column 1: expected a label of 1 to 200 characters, found ''"),
        ("label;a\n1;0,5\n", "row 2, column 2: expected a pixel, .*found '0,5'; use decimal points"),
    ],
)
def test_what_is_no_table_of_images(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_csv(write(tmp_path, text))


def test_labels_that_are_hardly_meant(tmp_path: Path) -> None:
    for own in (INDEX, [f"name {k}" for k in INDEX]):
        with pytest.raises(DataError, match=r"each of the 30 images has a different label.*row numbers"):
            load_data(write(tmp_path, table({"label": own, **pixels()})))
    data = load_data(write(tmp_path, table({"label": [7] * 30, **pixels()})))
    assert len(data.notes) == 1
    assert data.notes[0].startswith("all images are of one class, 7: a network will learn to predict it for any image")


def test_a_table_with_tabs_by_its_suffix(tmp_path: Path) -> None:
    data = load_data(write(tmp_path, table({**pixels(), "class": LABEL}, "\t"), "a.tsv"))
    assert (data.name, data.image_shape, data.class_names) == ("a", (4, 4, 1), ("0", "1", "2"))


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"label": LABEL, **pixels()}, ""),
        ({"split": ["train"] * 30, "label": LABEL, **pixels()}, "column 1 ('split')"),
        ({"": INDEX, "label": LABEL, **pixels(), "site": LABEL}, "column 1, column 19 ('site')"),
        ({"label": LABEL, "label_name": ["a"] * 30, **pixels()}, "column 2 ('label_name')"),
    ],
)
def test_columns_that_are_passed_over_are_told(tmp_path: Path, columns: dict[str, list[object]], told: str) -> None:
    assert load_data(write(tmp_path, table(columns))).sources.unused == told


def test_an_image_that_pandas_took_for_names_is_no_image(tmp_path: Path) -> None:
    """As in the letters A to Z that are passed around: `0,0.1,0.2,255,0.3,255.1,...`."""
    again: dict[int, int] = {}
    names = []
    for value in [0, *PIXELS[0] // 50]:
        names.append(f"{value}.{again[value]}" if value in again else str(value))
        again[value] = again.get(value, 0) + 1
    body = table({"label": LABEL, **pixels()}, header=False)
    images, labels = read_csv(write(tmp_path, ",".join(names) + "\n" + body))
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images.reshape(30, 16), PIXELS)
    np.testing.assert_array_equal(labels, LABELS)
    plain, _ = read_csv(write(tmp_path, ",".join(["0"] * 17) + "\n" + body))
    assert len(plain) == 31  # an image of zeros is one


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;\r"])
def test_a_line_for_excel_is_no_header(tmp_path: Path, first: str) -> None:
    images, labels = read_csv(write(tmp_path, first + "\n" + table({**pixels(), "label": LABEL}, ";")))
    np.testing.assert_array_equal(images.reshape(30, 16), PIXELS)
    np.testing.assert_array_equal(labels, LABELS)
    with pytest.raises(DataError, match="row 3, column 1: expected a pixel"):
        read_csv(write(tmp_path, first + "\n" + table({"p1": ["x"], "label": [1]}, ";")))
