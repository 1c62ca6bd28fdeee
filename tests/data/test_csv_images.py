"""CSV files of images: both readers of lines, headers, and every way to be wrong."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rot180.data import csv_images, csv_text
from rot180.data.columns import Columns
from rot180.data.csv_images import read_csv
from rot180.errors import DataError

GOOD = "3,0,255,7,80\n0,1,2,3,4\n"


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "images.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD.rstrip(),
        GOOD.replace("\n", "\r\n"),
        "label,p1,p2,p3,p4\n" + GOOD,
        "label,0,1,2,3\n" + GOOD,
        "label,1,2,3,4\n" + GOOD,
        "\ufefflabel,1x1,1x2,2x1,2x2\n" + GOOD,
        "\n\n" + GOOD + "\n  \n",
        GOOD.replace(",", " , "),
        '"3","0","255","7","80"\n"0",1,2,3,4\n',
        GOOD.replace("7", "7.0").replace("80", "8e1"),
        GOOD.replace("7", "007"),
        gzip.compress(GOOD.encode(), mtime=0),
    ],
)
def test_forms_of_the_same_images(tmp_path, text):
    images, labels = read_csv(write(tmp_path, text))
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert images.tolist() == [[[[0], [255]], [[7], [80]]], [[[1], [2]], [[3], [4]]]]
    assert labels.tolist() == [3, 0]


def test_three_times_a_square_is_rgb(tmp_path):
    images, _ = read_csv(write(tmp_path, "1," + ",".join(map(str, range(12))) + "\n"))
    assert images.shape == (1, 2, 2, 3)
    assert images[0, 0, 1].tolist() == [3, 4, 5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "1,2,3,4\n", "row 3: expected 5 columns as in the first row, found 4"),
        (GOOD + "1,2,3,4,5,6\n", "row 3: expected 5 columns as in the first row, found 6"),
        (
            "label,a,b,c,d\n" + GOOD + "5,1,x,3,4\n",
            "row 4, column 3: expected a pixel, a number from 0 to 65535, found 'x'",
        ),
        (GOOD + "5,1,2,70000,4\n", "row 3, column 4: expected a pixel, .*, found '70000'"),
        (GOOD + "5,1,2,-1,4\n", "row 3, column 4: .*found '-1'"),
        (GOOD.replace(",", ";") + "5;1;2;0,5;4\n", "row 3, column 4: .*found '0,5'; use decimal points, not commas"),
        ("1 1:0.5 7:1 8:1 9:1\n", "row 1, column 2: .*found '1:0.5'; the sparse LIBSVM format is not supported"),
        (GOOD + "5,1,2,,4\n", "row 3, column 4: .*found ''"),
        (GOOD + "5,1,2,nan,4\n", "row 3, column 4: .*found 'nan'"),
        (GOOD + "5,1,2,1_0,4\n", "row 3, column 4: .*found '1_0'"),
        (GOOD + "\n\ncat,1,2,3,4\n", "row 5, column 1: expected a label, .* as in all other rows, found 'cat'"),
        (GOOD + "1e12,1,2,3,4\n", "row 3, column 1: expected a label, .*found '1e12'"),
        (GOOD + "1.5,1,2,3,4\n", "row 3, column 1: expected a label"),
        ("cat,1,2,30,4\n" + GOOD, "row 1, column 1: expected a label, .* as in all other rows, found 'cat'"),
        ("a,b,c,d,e\nf,g,h,i,j\n", "row 2, column 2: expected a pixel"),
        ("\n", "row 1: expected a label and pixels, found the end of the file"),
        ("", "expected CSV, found an empty file"),
        ("label,a,b,c,d\n", "found the end of the file; it holds no images"),
        ("1,2,3\n", "row 1: expected a label and the pixels of a square image .*found 3 columns"),
        ("1,2,3,4\n1,2,3,4,5\n", "row 2: expected 4 columns"),
        ("0,1,2,3,4,5,6,7,8\n", r"found 9 columns, 8 of them .*; is the label missing\?"),
        ("7\n", "found 1 column; separate columns by commas"),
        (b"\xff\xfe1\x00,\x00", "row 1"),
    ],
)
def test_faults_name_row_and_column(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=message) as caught:
        read_csv(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rows_are_counted_over_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_text, "BLOCK", 50)
    text = "label,a,b,c,d\r\n" + "7,10,200,30,4\r\n" * 40
    images, labels = read_csv(write(tmp_path, text))
    assert images.shape == (40, 2, 2, 1)
    assert set(labels.tolist()) == {7}
    with pytest.raises(DataError, match=r"row 42, column 5: .*found '-256'"):
        read_csv(write(tmp_path, text + "1,1,1,1,-256\r\n" + "7,10,200,30,4\r\n" * 40))


def test_limits(tmp_path, monkeypatch):
    path = write(tmp_path, GOOD)
    monkeypatch.setattr(csv_images, "MAX_BYTES", 7)
    with pytest.raises(DataError, match=r"expected at most 7 bytes of pixels and .* images, found more"):
        read_csv(path)
    monkeypatch.setattr(csv_text, "MAX_LINE", 20)
    with pytest.raises(DataError, match="row 2: expected a line of at most 20 bytes"):
        read_csv(write(tmp_path, "1,2\n" + "1" * 30))


def test_a_large_file_is_read_by_blocks_and_damaged_gzip_is_told(tmp_path):
    generator = np.random.default_rng(0)
    values = generator.integers(0, 256, (4000, 785))
    values[:, 0] %= 10
    text = "\n".join(",".join(map(str, row)) for row in values.tolist()).encode()
    images, labels = read_csv(write(tmp_path, text))
    np.testing.assert_array_equal(images.reshape(4000, -1), values[:, 1:])
    np.testing.assert_array_equal(labels, values[:, 0])
    packed = gzip.compress(text[: 10**6], 1, mtime=0)
    with pytest.raises(DataError, match="gzip file is truncated"):
        read_csv(write(tmp_path, packed[:-100]))


field = st.one_of(
    st.integers(0, 255).map(str),
    st.integers(0, 9).map(lambda n: f"00{n}"),
    st.sampled_from(["", "-1", "256", "999", "1000", " 7", "7.0", "x", '"5"', "1e2", "٣"]),
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(rows=st.lists(st.lists(field, min_size=4, max_size=6), min_size=1, max_size=4))
def test_the_fast_reader_agrees_with_the_exact_one_or_passes(rows):
    block = "".join(",".join(row) + "\n" for row in rows).encode()
    for label, pixels in ((0, (1, 2, 3, 4)), (4, (0, 1, 2, 3)), (4, (1, 2, 3))):
        columns = Columns(5, label, pixels, (2, 2, 1), "")
        fast = csv_images._read_fast(block, 1, columns, ",")
        try:
            labels, numbers, values = csv_images._read_block(Path("drawn"), block, 1, columns, ",")
        except DataError:
            assert fast is None
        else:
            assert fast is None or fast[:2] == (labels, numbers)
            assert fast is None or (fast[2].tolist() == values.tolist() and fast[2].dtype == values.dtype)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    content=st.one_of(
        st.binary(max_size=80), st.text("0123456789,\n\r\"'. -ex_", max_size=80).map(lambda text: GOOD + text)
    )
)
def test_any_bytes_are_images_or_a_data_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "drawn.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        images, labels = read_csv(path)
        assert len(images) == len(labels)
    except DataError:
        pass
