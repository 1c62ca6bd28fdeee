"""Images as CSV: a line for each image, with its label and its pixels.

There are two readers, and a test checks that they agree: `_read_line`, which is the definition and reports where an
error is, and `_read_plain`, which reads whole blocks of well-formed pixels with array arithmetic, many times faster.
Blocks that the second rejects are read again by the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rot180.data import csv_text
from rot180.data.bounded import MAX_BYTES, MAX_IMAGES, open_bytes
from rot180.data.columns import Columns, find_columns, is_header, number
from rot180.data.csv_text import find_separator, split_line
from rot180.data.growing import Growing
from rot180.data.label_texts import Labels, LabelTexts
from rot180.errors import DataError
from rot180.ops.types import Array

SAMPLE = 1000
"""Maximum number of rows used to guess the label column of a file without a header."""

SAMPLE_FIELDS = 200_000
"""Maximum number of fields in these rows."""


class Table(NamedTuple):
    """Images and labels of one CSV file."""

    images: Array
    """(N, H, W, C) uint8, uint16, or float32 if any pixel is a fraction."""
    labels: Labels
    note: str
    """Which column the labels come from."""
    unused: str
    """Which columns are not used."""


class Head(NamedTuple):
    """The beginning of a table: its column names, if any, and some rows."""

    separator: str
    header: list[str] | None
    sample: list[list[str]]
    row: int
    """The first row of the sample, counted from 1."""


def read_csv(path: str | Path, label_column: str | int | None = None) -> tuple[Array, Array]:
    """Read square images and labels from a CSV file, gzipped or not, with or without a line of column names.

    Each line holds a label and the pixels in row-major order. Their number determines the shape: 784 is 28 x 28 gray,
    3,072 is 32 x 32 with red, green and blue for each pixel. Empty lines are skipped. Fields are separated by commas,
    semicolons, tabs, vertical bars or spaces. For how the label column is found, see
    `rot180.data.columns.find_columns`.

    Parameters
    ----------
    path : str or Path
    label_column : str or int, optional
        The label column, by its name or its number counted from 1.

    Returns
    -------
    images : (N, H, W, C) uint8, uint16 or float32
        The pixels as in the file: whole numbers up to 255, up to 65535, or fractions.
    labels : (N,) int64 or str
        Numbers, or words as in the file.

    Raises
    ------
    DataError
        A line has more or fewer columns than the first, or a field holds anything else; the pixels do not form a
        square image; the file is empty, damaged, or holds more than 2 GiB of pixels. The message gives the row
        (counted from 1, including column names and empty lines) and the column (counted from 1).

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "two.csv"
    >>> _ = path.write_text("p1,p2,p3,p4,label\\n0,255,255,0,7\\n0,9,0,9,1\\n")
    >>> images, labels = read_csv(path)
    >>> images.shape, labels
    ((2, 2, 2, 1), array([7, 1]))
    """
    table = read_table(Path(path), label_column)
    values, names = table.labels
    return table.images, values if names is None else np.array(names)[values]


def read_head(path: Path) -> Head:
    """Read the column names and some rows.

    Raises
    ------
    DataError
        The file cannot be read, or is empty.
    """
    with open_bytes(path, "CSV") as (file, _):
        for row, block in csv_text.blocks(path, file):
            if (head := _head(path, row, block)) is not None:
                return head
    raise DataError(f"{path}: row 1: expected a label and pixels, found the end of the file; it holds no images")


def read_table(path: Path, label_column: str | int | None = None) -> Table:
    """Read a CSV file; see `read_csv`."""
    head: Head | None = None
    pixels, labels = Growing((0,)), LabelTexts(path, "")
    with open_bytes(path, "CSV") as (file, _):
        for row, block in csv_text.blocks(path, file):
            if head is None:
                head = _head(path, row, block)
                if head is None:
                    continue
                columns = find_columns(f"{path}: row {head.row}", head.header, head.sample, label_column)
                pixels, labels = Growing((len(columns.pixels),)), LabelTexts(path, f"column {columns.label + 1}")
                block, row = block.split(b"\n", head.row - row)[-1], head.row
            found = _read_fast(block, row, columns, head.separator)
            texts, rows, values = _read_block(path, block, row, columns, head.separator) if found is None else found
            labels.add(texts, rows)
            pixels.add(values)
            if pixels.nbytes > MAX_BYTES or len(labels) > MAX_IMAGES:
                raise DataError(
                    f"{path}: row {row}: expected at most {MAX_BYTES} bytes of pixels and {MAX_IMAGES} images, "
                    "found more; split the file"
                )
    if head is None or not len(labels):
        raise DataError(f"{path}: row 1: expected a label and pixels, found the end of the file; it holds no images")
    return Table(pixels.finish().reshape(-1, *columns.shape), labels.finish(), columns.note, columns.unused)


def _head(path: Path, row: int, block: bytes) -> Head | None:
    """Return the beginning of a table from its first block; None if it holds only a header."""
    separator, first_row = "", 0
    header: list[str] | None = None
    sample: list[list[str]] = []
    for number_of_row, line in _lines(block, row):
        separator = separator or find_separator(line)
        fields = _split(path, number_of_row, line, separator)
        if not sample and header is None and is_header(fields):
            header = fields
        elif sample and len(fields) != len(sample[0]):
            break  # reported when the row is read
        else:
            first_row = first_row or number_of_row
            sample.append(fields)
        if len(sample) >= SAMPLE or len(sample) * len(fields) > SAMPLE_FIELDS:
            break
    if not sample:
        return None
    if header is not None and len(header) + 1 == len(sample[0]):
        header.insert(0, "")  # R writes row names without a column name
    if header is not None and len(header) != len(sample[0]):
        raise _wrong_count(path, first_row, len(header), len(sample[0]))
    return Head(separator, header, sample, first_row)


def _lines(block: bytes, row: int) -> Iterator[tuple[int, bytes]]:
    """Yield the non-empty lines of a block with their row numbers."""
    return ((at, line) for at, line in enumerate(block.split(b"\n"), row) if line.strip())


def _read_fast(block: bytes, row: int, columns: Columns, separator: str) -> tuple[list[str], list[int], Array] | None:
    """Return labels, rows and pixels, or None unless the pixels are plain, in adjacent columns and not quoted."""
    first, last = columns.pixels[0], columns.pixels[-1]
    if last - first + 1 != len(columns.pixels) or b'"' in block or len(block) > 2 * csv_text.BLOCK:
        return None
    mark, after = separator.encode(), columns.total - 1 - last
    labels, rows, pixels = [], [], []
    for at, line in _lines(block, row):
        if separator == " ":
            line = b" ".join(line.split())
        before = line.split(mark, first)
        behind = before[-1].rsplit(mark, after)
        if len(before) + len(behind) != first + 1 + after + 1:
            return None
        label = before[columns.label] if columns.label < first else behind[columns.label - last]
        labels.append(label.strip().decode("utf-8", "backslashreplace"))
        rows.append(at)
        pixels.append(behind[0])
    values = _read_plain(b"\n".join(pixels) + b"\n", len(columns.pixels), separator)
    return None if values is None else (labels, rows, values)


def _read_plain(block: bytes, columns: int, separator: str = ",") -> Array | None:
    """Read lines that consist of whole numbers up to 255, of one to three digits, or return None.

    The separators are located, and each number is computed from the digits before its separator: the units, the tens
    if it has two digits, and the hundreds if it has three.
    """
    text = np.frombuffer(block, np.uint8)
    digits = text - np.uint8(ord("0"))  # a byte below "0" wraps around to a large number
    ends = np.flatnonzero(digits > 9)
    if ends.size % columns:
        return None
    separators = text[ends].reshape(-1, columns)
    if not ((separators[:, :-1] == ord(separator)).all() and (separators[:, -1] == ord("\n")).all()):
        return None
    lengths = np.diff(ends, prepend=-1) - 1
    if lengths.min() < 1 or lengths.max() > 3:
        return None
    # For a short number these index into the previous one, or wrap around to the block's end; they are multiplied by 0.
    tens = digits[ends - 2] * (lengths > 1)
    hundreds = digits[ends - 3] * (lengths > 2)
    values = digits[ends - 1] + np.uint16(10) * tens + np.uint16(100) * hundreds
    return values.astype(np.uint8).reshape(-1, columns) if values.max() <= 255 else None


def _read_block(
    path: Path, block: bytes, row: int, columns: Columns, separator: str
) -> tuple[list[str], list[int], Array]:
    """Return labels, rows and pixels of any lines, by the exact reader."""
    labels, rows, pixels = [], [], []
    for at, line in _lines(block, row):
        label, values = _read_line(path, at, line, columns, separator)
        labels.append(label)
        rows.append(at)
        pixels.append(values)
    return labels, rows, np.array(pixels, np.result_type(*{values.dtype for values in pixels}))


def _read_line(path: Path, row: int, line: bytes, columns: Columns, separator: str) -> tuple[str, Array]:
    """Read one line, or report where it is wrong. A number may be quoted; `7.0` is 7."""
    fields = _split(path, row, line, separator)
    if len(fields) != columns.total:
        raise _wrong_count(path, row, columns.total, len(fields))
    values = []
    for column in columns.pixels:
        value = number(fields[column])
        if value is None or not 0 <= value <= 65535:
            raise _no_pixel(path, row, column + 1, fields[column])
        values.append(value)
    pixels = np.array(values)
    if (pixels != np.floor(pixels)).any():
        return fields[columns.label], pixels.astype(np.float32)
    return fields[columns.label], pixels.astype(np.uint8 if pixels.max() <= 255 else np.uint16)


def _split(path: Path, row: int, line: bytes, separator: str) -> list[str]:
    try:
        return split_line(line, separator)
    except DataError as error:
        raise DataError(f"{path}: row {row}: {error}; is it a CSV file of images?") from None


def _wrong_count(path: Path, row: int, expected: int, found: int) -> DataError:
    return DataError(
        f"{path}: row {row}: expected {expected} columns as in the first row, found {found}; complete or remove the row"
    )


def _no_pixel(path: Path, row: int, column: int, field: str) -> DataError:
    advice = "correct or remove the row"
    if re.fullmatch(r"-?\d+,\d+", field):
        advice = "use decimal points, not commas"
    elif re.fullmatch(r"\d+:\S+", field):
        advice = "the sparse LIBSVM format is not supported; write every pixel"
    found = ascii(field[:20])
    return DataError(
        f"{path}: row {row}, column {column}: expected a pixel, a number from 0 to 65535, found {found}; {advice}"
    )
