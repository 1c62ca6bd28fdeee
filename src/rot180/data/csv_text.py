"""Text tables: any of five separators, quotes, three kinds of line endings, UTF-8 or UTF-16."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from io import BufferedIOBase

from rot180.errors import DataError

BLOCK = 2 * 1024**2
"""Bytes read at a time: the arrays made from a block stay small, at no cost in speed."""

MAX_LINE = 16 * 1024**2
"""Maximum number of bytes in a line."""

MAX_COLUMNS = 1024 * 1024 + 16
"""Maximum number of fields in a line: a gray image of 1,024 x 1,024 and some labels, 100 MB as Python objects."""

_SEPARATOR = re.compile(rb'"?sep=[^\n]{1,2}"?(?=\r?\n)', re.IGNORECASE)
"""A first line that tells Excel the separator."""

SEPARATORS = (",", ";", "\t", "|", " ")


def blocks(path: object, file: BufferedIOBase) -> Iterator[tuple[int, bytes]]:
    """Yield the numbers of the first rows of blocks, and the blocks: whole lines in UTF-8, each ended by a newline.

    Raises
    ------
    DataError
        A line is longer than 16 MB, or the file begins like UTF-16 but is not.
    """
    row, rest, last = 1, b"", False
    encoding, bare = None, False
    decoder: codecs.IncrementalDecoder | None = None
    while not last:
        piece = file.read(BLOCK)
        last = not piece
        if encoding is None:
            encoding, mark = _encoding(piece)
            piece = piece[mark:]
            decoder = None if encoding == "utf-8" else codecs.getincrementaldecoder(encoding)()
        if decoder is not None:
            try:
                piece = decoder.decode(piece, last).encode()
            except UnicodeError as error:
                reason = str(error)[-40:]
                raise DataError(
                    f"{path}: expected {encoding}, judging by the first bytes ({reason}); save it as UTF-8"
                ) from None
        if row == 1 and not rest:
            bare = b"\r" in piece and b"\n" not in piece  # line endings of the classic Mac OS
        if bare:
            piece = piece.replace(b"\r", b"\n")
        whole, newline, rest = (rest + piece + b"\n" * last).rpartition(b"\n")
        if newline and whole.strip():
            if row == 1 and (told := _SEPARATOR.match(whole)):
                whole = whole[told.end() :]  # an empty line in its place keeps the numbers of the rows
            yield row, whole.replace(b"\r\n", b"\n").removesuffix(b"\r") + b"\n"
        row += whole.count(b"\n") + bool(newline)
        if len(rest) > MAX_LINE:
            raise DataError(f"{path}: row {row}: expected a line of at most {MAX_LINE} bytes, found more; is this CSV?")


def _encoding(head: bytes) -> tuple[str, int]:
    """Return the encoding that a file's first bytes suggest, and the length of its byte order mark."""
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8", 3
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ("utf-16-le" if head[:1] == b"\xff" else "utf-16-be"), 2
    some = head[:64]
    if len(some) > 3 and not any(some[1::2]) and all(some[::2]):
        return "utf-16-le", 0
    if len(some) > 3 and not any(some[::2]) and all(some[1::2]):
        return "utf-16-be", 0
    return "utf-8", 0


def find_separator(line: bytes) -> str:
    """Return the separator of a line's fields.

    A semicolon or a tab takes precedence over an equal number of commas, which are then decimal commas.

    >>> find_separator(b"7,0,255"), find_separator(b"7;0,5;0,25"), find_separator(b"7 0 255"), find_separator(b"7")
    (',', ';', ' ', ',')
    """
    counts = {separator: line.count(separator.encode()) for separator in SEPARATORS[:-1]}
    commas = counts.pop(",")
    other = max(counts, key=lambda separator: counts[separator])
    if counts[other] and counts[other] + 1 >= commas:
        return other
    return "," if commas or len(line.split()) < 2 else " "


def split_line(line: bytes, separator: str) -> list[str]:
    """Return the fields of a line; a quoted field may contain the separator.

    >>> split_line(b'"cat, black",0, 255', ",")
    ['cat, black', '0', '255']

    Raises
    ------
    DataError
        The line has more than a million fields.
    """
    if separator == " ":
        line = b" ".join(line.split())
    if line.count(separator.encode()) >= MAX_COLUMNS:
        raise DataError(f"expected at most {MAX_COLUMNS} columns, found more")
    text = line.decode("utf-8", "backslashreplace")
    if '"' not in text:
        return [field.strip() for field in text.split(separator)]
    try:
        fields = next(csv.reader([text], delimiter=separator, skipinitialspace=True), [])
    except csv.Error as error:
        raise DataError(f"the quotes cannot be read ({str(error)[:80]})") from None
    return [field.strip().strip('"') for field in fields]
