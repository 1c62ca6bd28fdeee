"""Properties of a Parquet file's columns, read from its footer and page headers without pyarrow.

When asked for the metadata of a column whose statistics contradict its type, pyarrow 26 terminates the whole process
with an exception that cannot be caught. And it allocates what a page header claims, whatever the footer claims for all
pages. So the few numbers that bound memory are read here; footer and page headers are structs in Thrift's compact
protocol.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from rot180.errors import DataError

MAX_FOOTER = 16 * 1024**2
"""Maximum size of a footer that is parsed: as objects it takes ten times as much memory."""

MAX_PAGE_HEADER = 16 * 1024**2
"""Maximum size of a page header, which may hold the smallest and the largest value of the page."""

MAX_DEPTH = 16
"""Maximum nesting of structs; Parquet's are nested six levels deep."""

DELTA_BYTE_ARRAY = 7


class Chunk(NamedTuple):
    """One column of a row group."""

    rows: int
    column: str
    """The name of the outermost field."""
    values: int
    encodings: tuple[int, ...]
    place: int
    """Offset of its first page in the file."""
    compressed: int
    """Compressed size of its pages in bytes, page headers included."""
    uncompressed: int = 0
    """Uncompressed size of its pages in bytes."""
    largest: int = 0
    """Uncompressed size of its largest page in bytes."""


def read_chunks(path: Path, wanted: Collection[str]) -> list[Chunk]:
    """Return the properties of some columns in each row group; the sizes are those of the page headers.

    Raises
    ------
    DataError
        The file has no footer, or one that cannot be read or is too large, or a page header cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 8, 0))
        end = file.read(8)
        length = int.from_bytes(end[:4], "little")
        if end[4:] != b"PAR1" or not 0 < length <= size - 8:
            raise DataError(f"{path}: expected Parquet, found no footer at its end; truncated, copy it again")
        if length > MAX_FOOTER:
            raise DataError(f"{path}: expected a footer of at most {MAX_FOOTER} bytes, found {length}; split the file")
        file.seek(size - 8 - length)
        footer, place = file.read(length), "the footer"
        try:
            chunks = [chunk for chunk in _chunks(_Thrift(footer).structure()) if chunk.column in wanted]
            place = "a page header"
            return [_with_pages(chunk, file) for chunk in chunks]
        except (IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DataError(
                f"{path}: expected Parquet, but {place} cannot be read ({type(error).__name__}); copy or download the "
                "file again"
            ) from None


def _chunks(footer: dict[int, Any]) -> Iterator[Chunk]:
    for group in footer[4]:
        for column in group[1]:
            found = column[3]
            name = found[3][0].decode("utf-8", "replace")
            first = min(place for place in (found[9], found.get(11)) if place)  # data pages, dictionary page
            yield Chunk(int(group[3]), name, int(found[5]), tuple(map(int, found[2])), first, int(found[7]))


def _with_pages(chunk: Chunk, file: BinaryIO) -> Chunk:
    """Return a chunk with the sizes of its pages; like pyarrow, stop when all values have been seen."""
    at, seen, sizes = chunk.place, 0, [0]
    while seen < chunk.values and at < chunk.place + chunk.compressed:
        header, length = _page_header(file, at)
        size, stored = header[2], header[3]
        if size < 0 or stored < 0:
            raise ValueError("a negative size")
        sizes.append(size)
        at += length + stored
        seen += next((header[data][1] for data in (5, 8) if data in header), 0)  # none in a dictionary page
    return chunk._replace(uncompressed=sum(sizes), largest=max(sizes))


def _page_header(file: BinaryIO, at: int) -> tuple[dict[int, Any], int]:
    """Return a page header and its length in bytes."""
    count = 256
    while True:
        file.seek(at)
        reader = _Thrift(content := file.read(count))
        try:
            return reader.structure(), reader.at
        except (IndexError, ValueError):
            if len(content) < count or count >= MAX_PAGE_HEADER:
                raise
        count *= 16


class _Thrift:
    """Parser of the compact protocol: structs as dictionaries by field number, lists, bytes and numbers."""

    def __init__(self, content: bytes) -> None:
        self._content, self.at = content, 0

    def structure(self, depth: int = 0) -> dict[int, Any]:
        """Read the fields of a struct up to the stop field."""
        found: dict[int, Any] = {}
        number = 0
        while kind := self._byte():
            number = number + (kind >> 4) if kind >> 4 else self._signed()
            found[number] = kind & 15 == 1 if kind & 15 in (1, 2) else self._value(kind & 15, depth + 1)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ValueError("too deep")
        if kind in (1, 2, 3):
            return self._byte()
        if kind in (4, 5, 6):
            return self._signed()
        if kind == 7:
            return self._bytes(8)
        if kind == 8:
            return self._bytes(self._unsigned())
        if kind in (9, 10):
            head = self._byte()
            count = self._unsigned() if head >> 4 == 15 else head >> 4
            return [self._value(head & 15, depth + 1) for _ in self._counted(count)]
        if kind == 11:
            count = self._unsigned()
            kinds = self._byte() if count else 0
            return [
                (self._value(kinds >> 4, depth + 1), self._value(kinds & 15, depth + 1)) for _ in self._counted(count)
            ]
        if kind == 12:
            return self.structure(depth + 1)
        raise ValueError("an unknown type")

    def _counted(self, count: int) -> range:
        if count > len(self._content) - self.at:  # each takes at least one byte
            raise ValueError("too many")
        return range(count)

    def _bytes(self, count: int) -> bytes:
        found = self._content[self.at : self.at + count]
        if len(found) < count:
            raise ValueError("cut off")
        self.at += count
        return found

    def _byte(self) -> int:
        self.at += 1
        return self._content[self.at - 1]

    def _unsigned(self) -> int:
        found = shift = 0
        while shift < 70:
            byte = self._byte()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
            shift += 7
        raise ValueError("a number without an end")

    def _signed(self) -> int:
        found = self._unsigned()
        return (found >> 1) ^ -(found & 1)
