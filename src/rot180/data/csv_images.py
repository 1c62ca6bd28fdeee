"""Images as CSV: a line for each, with its label and its pixels.

Two readers of lines say the same, and a test holds them to it: `_read_line`, which is the definition and names the
place of a fault, and `_read_plain`, which reads whole blocks of well-formed pixels with array arithmetic, many times
faster. What the second does not take, the first reads again.
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
"""Rows by which the label is found where there is no header, at most."""

SAMPLE_FIELDS = 200_000
"""Fields of these rows, at most."""


class Table(NamedTuple):
    """Images and labels of one CSV file."""

    images: Array
    """(N, H, W, C) uint8, uint16, or float32 where any pixel is a fraction."""
    labels: Labels
    note: str
    """Which column the labels are from."""


class Head(NamedTuple):
    """The beginning of a table: the names of its columns, if it has them, and some rows."""

    separator: str
    header: list[str] | None
    sample: list[list[str]]
    row: int
    """The row that the sample begins with, counted from 1."""


def read_csv(path: str | Path, label_column: str | int | None = None) -> tuple[Array, Array]:
    """Read square images and labels from a CSV file, gzipped or not, with or without a line of column names.

    Each line holds a label and the pixels row by row. Their count says what they are: 784 is 28 x 28 gray, 3,072 is
    32 x 32 with red, green, blue for each pixel. Empty lines are skipped. Fields are separated by commas, semicolons,
    tabs, bars or spaces. Which column is the label: see `rot180.data.columns.find_columns`.

    Parameters
    ----------
    path : str or Path
    label_column : str or int, optional
        The label's column, by its name or its number counted from 1.

    Returns
    -------
    images : (N, H, W, C) uint8, uint16 or float32
        The pixels as they stand in the file: whole numbers up to 255, up to 65535, or fractions.
    labels : (N,) int64 or str
        Numbers, or the words that the file holds.

    Raises
    ------
    DataError
        A line has more or fewer columns than the first, or a field holds anything else; the number of columns makes no
        square image; the file is empty, damaged or unpacks to more than 2 GiB of pixels. The message names the row
        (counted from 1, column names and empty lines included) and the column (counted from 1).

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
    """Read the names of the columns and some rows.

    Raises
    ------
    DataError
        The file cannot be read, or is empty.
    """
    with open_bytes(path, "CSV") as (file, _):
        for row, block in csv_text.blocks(path, file):
            if (head := _head(path, row, block)) is not None:
                return head
    raise DataError(f"{path}: row 1: expected a label and pixels, found the end of the file; no images in it")


def read_table(path: Path, label_column: str | int | None = None) -> Table:
    """Read a CSV file; `read_csv` says how."""
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
        raise DataError(f"{path}: row 1: expected a label and pixels, found the end of the file; no images in it")
    return Table(pixels.finish().reshape(-1, *columns.shape), labels.finish(), columns.note)


def _head(path: Path, row: int, block: bytes) -> Head | None:
    """Return the beginning of a table from its first block; None if there is no more than a header."""
    separator, first_row = "", 0
    header: list[str] | None = None
    sample: list[list[str]] = []
    for number_of_row, line in _lines(block, row):
        separator = separator or find_separator(line)
        fields = _split(path, number_of_row, line, separator)
        if not sample and header is None and is_header(fields):
            header = fields
        elif sample and len(fields) != len(sample[0]):
            break  # told when the row is read
        else:
            first_row = first_row or number_of_row
            sample.append(fields)
        if len(sample) >= SAMPLE or len(sample) * len(fields) > SAMPLE_FIELDS:
            break
    if not sample:
        return None
    if header is not None and len(header) + 1 == len(sample[0]):
        header.insert(0, "")  # R writes row names without a name above them
    if header is not None and len(header) != len(sample[0]):
        raise _wrong_count(path, first_row, len(header), len(sample[0]))
    return Head(separator, header, sample, first_row)


def _lines(block: bytes, row: int) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a block that are not empty, with their rows."""
    return ((at, line) for at, line in enumerate(block.split(b"\n"), row) if line.strip())


def _read_fast(block: bytes, row: int, columns: Columns, separator: str) -> tuple[list[str], list[int], Array] | None:
    """Return labels, rows and pixels of lines whose pixels are plain, stand side by side and in no quotes, or None."""
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
    """Read lines that hold nothing but numbers of one to three digits up to 255, or return None.

    The separators are found, and each number is put together from the digits before its separator: the last counts one,
    the one before it, if the number is so long, ten, and the third a hundred.
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
    # For a short number these reach into the one before it, or around to the block's end; those are multiplied by 0.
    tens = digits[ends - 2] * (lengths > 1)
    hundreds = digits[ends - 3] * (lengths > 2)
    values = digits[ends - 1] + np.uint16(10) * tens + np.uint16(100) * hundreds
    return values.astype(np.uint8).reshape(-1, columns) if values.max() <= 255 else None


def _read_block(
    path: Path, block: bytes, row: int, columns: Columns, separator: str
) -> tuple[list[str], list[int], Array]:
    """Return labels, rows and pixels of any lines, exactly."""
    labels, rows, pixels = [], [], []
    for at, line in _lines(block, row):
        label, values = _read_line(path, at, line, columns, separator)
        labels.append(label)
        rows.append(at)
        pixels.append(values)
    return labels, rows, np.array(pixels, np.result_type(*{values.dtype for values in pixels}))


def _read_line(path: Path, row: int, line: bytes, columns: Columns, separator: str) -> tuple[str, Array]:
    """Read one line exactly, or say where it is wrong. A number may stand in quotes; `7.0` is 7."""
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
    advice = "mend or remove the row"
    if re.fullmatch(r"-?\d+,\d+", field):
        advice = "write decimal points, not commas"
    elif re.fullmatch(r"\d+:\S+", field):
        advice = "LIBSVM's sparse form is not read; write every pixel"
    found = ascii(field[:20])
    return DataError(
        f"{path}: row {row}, column {column}: expected a pixel, a number from 0 to 65535, found {found}; {advice}"
    )
