"""Zip files whose entries are stored as they are, as PyTorch and Keras write them.

Python's `zipfile` would read a directory of any length, and unpack entries.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import Any, BinaryIO

import numpy as np

from rot180.errors import ModelError
from rot180.ops.types import Array

ENTRY, LOCAL, END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"

MAX_ENTRIES = 20_000
"""The most entries of a file."""


class Fault(ModelError):
    """What is wrong with a file, without its name."""


class StoredZip:
    """The entries of a zip file.

    Parameters
    ----------
    file : binary file

    Attributes
    ----------
    places : dict of str to (int, int, int)
        The offset of the local header, the size and the checksum of each entry.

    Raises
    ------
    Fault
        The directory is damaged or too long, or an entry is compressed.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.places = self._directory()

    def _directory(self) -> dict[str, tuple[int, int, int]]:
        size = os.fstat(self._file.fileno()).st_size
        self._file.seek(max(size - 65_557, 0))
        tail = self._file.read(65_557)
        place = tail.rfind(END)
        if place < 0 or len(tail) - place < 22:
            raise Fault("the zip file's directory is missing")
        count, length, start = struct.unpack_from("<HII", tail, place + 10)
        if count > MAX_ENTRIES or length > count * 400 or start + length > size:
            raise Fault(f"expected a directory of at most {MAX_ENTRIES:,} entries within the file")
        self._file.seek(start)
        directory, found, at = self._file.read(length), {}, 0
        for _ in range(count):
            if directory[at : at + 4] != ENTRY or at + 46 > length:
                raise Fault("the zip file's directory is damaged")
            flags, method = struct.unpack_from("<HH", directory, at + 8)
            checksum, packed, unpacked, name, extra, comment = struct.unpack_from("<IIIHHH", directory, at + 16)
            header = struct.unpack_from("<I", directory, at + 42)[0]
            if method or packed != unpacked or flags & 1:
                raise Fault("expected entries that are stored as they are")
            text = directory[at + 46 : at + 46 + name].decode("utf-8", "replace")
            if text in found:
                raise Fault("two entries have the same name")
            found[text] = (header, unpacked, checksum)
            at += 46 + name + extra + comment
        return found

    def start(self, name: str) -> int:
        """Return where the content of an entry begins; raise Fault if the file does not hold all of it."""
        header, size, _ = self.places[name]
        self._file.seek(header)
        local = self._file.read(30)
        if len(local) < 30 or not local.startswith(LOCAL):
            raise Fault("an entry of the zip file does not begin where its directory says")
        name_length, extra_length = struct.unpack_from("<HH", local, 26)
        start = header + 30 + int(name_length) + int(extra_length)
        if start + size > os.fstat(self._file.fileno()).st_size:
            raise Fault("an entry is cut off")
        return start

    def bytes(self, name: str, limit: int) -> bytes:
        """Return the content of an entry of limited size."""
        _, size, checksum = self.places[name]
        if size > limit:
            raise Fault(f"expected at most {limit:,} bytes in {name[-40:]!r}, found {size:,}")
        self._file.seek(self.start(name))
        data = self._file.read(size)
        self._compare(data, checksum)
        return data

    def array(self, name: str) -> Array:
        """Return the content of an entry as an array of bytes."""
        _, size, checksum = self.places[name]
        self._file.seek(self.start(name))
        data = np.fromfile(self._file, np.uint8, size)
        self._compare(data, checksum)
        return data

    @staticmethod
    def _compare(data: Any, checksum: int) -> None:
        if checksum and zlib.crc32(data) != checksum:  # PyTorch can leave it out
            raise Fault("the checksum of an entry does not match its content")
