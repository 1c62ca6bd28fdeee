"""Images as CSV: a line for each, its label first, then its pixels.

Two readers of lines say the same, and a test holds them to it: `_read_line`, which is the definition and names the
place of a fault, and `_read_plain`, which reads whole blocks of well-formed lines with array arithmetic, many times
faster. What the second does not take, the first reads again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from rot180.data.bounded import MAX_BYTES, open_bytes
from rot180.data.classes import MAX_CLASSES
from rot180.errors import DataError
from rot180.ops.types import Array

BLOCK = 2 * 1024**2
"""Bytes read at a time: the arrays made of a block stay small, which costs no speed."""

MAX_LINE = 16 * 1024**2
"""Bytes in a line: room for an RGB image of 1,000 x 1,000."""


def read_csv(path: str | Path) -> tuple[Array, Array]:
    """Read labels and square images from a CSV file, gzipped or not, with or without a line of column names.

    Each line holds a label (a whole number from 0) and the pixels (whole numbers, 0 to 255) row by row. Their count
    says what they are: 784 is 28 x 28 gray, 3,072 is 32 x 32 with red, green, blue for each pixel. Empty lines are
    skipped.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    images : (N, H, W, C) uint8
    labels : (N,) int64

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
    >>> _ = path.write_text("label,p1,p2,p3,p4\\n7,0,255,255,0\\n1,0,9,0,9\\n")
    >>> images, labels = read_csv(path)
    >>> images.shape, labels
    ((2, 2, 2, 1), array([7, 1]))
    """
    path = Path(path)
    blocks: list[Array] = []
    labels: list[Array] = []
    shape: tuple[int, int, int] | None = None
    total = 0
    with open_bytes(path) as (file, _):
        for row, block in _blocks(path, file):
            if shape is None:
                first, row, block = _first_line(row, block)
                if not first:
                    continue
                columns = first.count(b",") + 1
                shape = _image_shape(path, row, columns - 1)
            values = _read_plain(block, columns)
            if values is None:
                lines = enumerate(block.split(b"\n"), row)
                parsed = [_read_line(path, number, line, columns) for number, line in lines if line.strip()]
                values = np.array(parsed, np.int64).reshape(-1, columns)
            labels.append(values[:, 0].astype(np.int64))
            blocks.append(values[:, 1:].astype(np.uint8))
            total += blocks[-1].size
            if total > MAX_BYTES:
                raise DataError(f"{path}: row {row}: expected at most {MAX_BYTES} pixels, found more; split the file")
    if shape is None or not total:
        raise DataError(f"{path}: row 1: expected a label and pixels, found the end of the file; no images in it")
    return np.concatenate(blocks).reshape(-1, *shape), np.concatenate(labels)


def _blocks(path: Path, file: BufferedIOBase) -> Iterator[tuple[int, bytes]]:
    """Yield blocks of whole lines, ended by a bare newline each, with the row that each begins with."""
    row, rest, last = 1, b"", False
    while not last:
        piece = file.read(BLOCK)
        last = not piece
        if row == 1 and not rest:
            piece = piece.removeprefix(b"\xef\xbb\xbf")  # the byte order mark that spreadsheets write
        whole, newline, rest = (rest + piece + b"\n" * last).rpartition(b"\n")
        if newline and whole.strip():
            block = whole.replace(b"\r\n", b"\n").removesuffix(b"\r") + b"\n"
            yield row, block
        row += whole.count(b"\n") + bool(newline)
        if len(rest) > MAX_LINE:
            raise DataError(f"{path}: row {row}: expected a line of at most {MAX_LINE} bytes, found more; no CSV file")


def _first_line(row: int, block: bytes) -> tuple[bytes, int, bytes]:
    """Return the first line with values, its row, and the block from there on; an empty line if there is none."""
    may_be_header = True
    while block:
        line, _, rest = block.partition(b"\n")
        if line.strip():
            if not (may_be_header and _is_header(line)):
                return line, row, block
            may_be_header = False
        row, block = row + 1, rest
    return b"", row, block


def _is_header(line: bytes) -> bool:
    """Say whether a line names columns: its label is no number, and its pixels are not either, or merely count up.

    A first line of `cat,0,0,12` is therefore no header but a fault that is reported, not an image that is lost.
    """
    label, *pixels = [field.strip().strip(b'"') for field in line.split(b",")]
    if _number(label) is not None:
        return False
    numbers = [_number(pixel) for pixel in pixels]
    counted = [numbers == list(range(start, start + len(numbers))) for start in (0, 1)]
    return all(number is None for number in numbers) or any(counted)


def _image_shape(path: Path, row: int, pixels: int) -> tuple[int, int, int]:
    """Return (H, W, C) of an image with this many values; squares are gray, squares times 3 are RGB."""
    for channels in (1, 3):
        side = math.isqrt(pixels // channels)
        if pixels and side * side * channels == pixels:
            return side, side, channels
    square = math.isqrt(pixels + 1) ** 2 == pixels + 1
    raise DataError(
        f"{path}: row {row}: expected a label and the pixels of a square image (1 + 784 columns for 28x28), found "
        f"{pixels + 1} columns; " + ("is the label missing?" if square and pixels else "is it a CSV file with commas?")
    )


def _read_plain(block: bytes, columns: int) -> Array | None:
    """Read lines that hold nothing but numbers of one to three digits, or return None.

    The separators are found, and each number is put together from the digits before its separator: the last counts one,
    the one before it, if the number is so long, ten, and the third a hundred.
    """
    text = np.frombuffer(block, np.uint8)
    digits = text - np.uint8(ord("0"))  # a byte below "0" wraps around to a large number
    ends = np.flatnonzero(digits > 9)
    if ends.size % columns:
        return None
    separators = text[ends].reshape(-1, columns)
    if not ((separators[:, :-1] == ord(",")).all() and (separators[:, -1] == ord("\n")).all()):
        return None
    lengths = np.diff(ends, prepend=-1) - 1
    if lengths.min() < 1 or lengths.max() > 3:
        return None
    # For a short number these reach into the one before it, or around to the block's end; those are multiplied by 0.
    tens = digits[ends - 2] * (lengths > 1)
    hundreds = digits[ends - 3] * (lengths > 2)
    values = digits[ends - 1] + np.uint16(10) * tens + np.uint16(100) * hundreds
    values = values.reshape(-1, columns)
    return values if values[:, 1:].max() <= 255 else None


def _read_line(path: Path, row: int, line: bytes, columns: int) -> list[int]:
    """Read one line exactly, or say where it is wrong. A number may stand in quotes; `7.0` is 7."""
    fields = line.split(b",")
    if len(fields) != columns:
        raise DataError(
            f"{path}: row {row}: expected {columns} columns as in the first row, found {len(fields)}; "
            "complete or remove the row"
        )
    values = []
    for column, field in enumerate(fields, 1):
        value = _number(field.strip().strip(b'"'))
        if value is None or not value.is_integer() or not 0 <= value <= (255 if column > 1 else MAX_CLASSES - 1):
            rule = "a pixel, a whole number from 0 to 255" if column > 1 else "a label, a whole number from 0"
            found = ascii(field.strip()[:20].decode("latin-1"))
            raise DataError(
                f"{path}: row {row}, column {column}: expected {rule}, found {found}; mend or remove the row"
            )
        values.append(int(value))
    return values


def _number(field: bytes) -> float | None:
    """Return the value of a field, or None if it is no number."""
    try:
        return float(field) if b"_" not in field else None
    except ValueError:
        return None
