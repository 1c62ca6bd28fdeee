"""Conversion of arrays to the bytes of a safetensors file and back, with the same bytes for the same arrays.

The library's own writer orders the metadata differently from process to process; two equal models would then have
different checksums.

A checksum of the other metadata and of all arrays is stored in the metadata, and compared when the arrays are read: a
changed weight may be a plausible number. Files of other programs have none.

Format: https://github.com/huggingface/safetensors
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rot180.errors import ArgumentError, ModelError
from rot180.files.safetensors_header import WIDENED, ArrayEntry, Header, open_checked

Array = NDArray[Any]

DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype(np.float32), "F64": np.dtype(np.float64)}
_STORED = {**DTYPES, "F16": np.dtype(np.float16), "BF16": np.dtype(np.uint16)}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}

CHECKSUM = "crc32"
"""The name of the checksum in the metadata. For 6.5 MB, CRC-32 takes 1.5 ms, SHA-256 13 ms."""


def serialize(arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return the bytes of a safetensors file.

    Parameters
    ----------
    arrays : mapping of str to array
        float32 or float64, of any shape.
    metadata : mapping of str to str, optional
        Stored together with the checksum.

    Raises
    ------
    ArgumentError
        An array is of another type.

    Examples
    --------
    >>> from safetensors.numpy import load
    >>> load(serialize({"w": np.ones(2, np.float32)}, {"made": "here"}))
    {'w': array([1., 1.], dtype=float32)}
    """
    header: dict[str, Any] = {"__metadata__": {}}
    parts: dict[str, bytes] = {}
    end = 0
    # The widest first, like the format's own writer: every array then starts at a multiple of its item size.
    for name, array in sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])):
        if array.dtype not in _NAMES:
            raise ArgumentError(f"{name} must be float32 or float64 to be saved; it is {array.dtype}")
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [begin, end]}
        parts[name] = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    checksum = _checksum(metadata or {}, (parts[name] for name in sorted(parts)))
    header["__metadata__"] = dict(sorted({**(metadata or {}), CHECKSUM: checksum}.items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts.values()])


def _checksum(metadata: Mapping[str, str], arrays: Iterable[bytes | memoryview]) -> str:
    """Return the checksum of the metadata other than itself, and of the arrays as stored, in the order of their names.

    It does not depend on the order in a file, so that other programs may write the same content in another order.
    """
    described = {key: value for key, value in sorted(metadata.items()) if key != CHECKSUM}
    digest = zlib.crc32(json.dumps(described).encode())
    for array in arrays:
        digest = zlib.crc32(array, digest)
    return f"{digest:08x}"


def compare_arrays(path: Path, header: Header, expected: Mapping[str, ArrayEntry], of: str) -> None:
    """Raise ModelError if the names, types or shapes in a file are not as expected, before any array is read.

    Parameters
    ----------
    expected : mapping of str to ArrayEntry
        Types and shapes by name.
    of : str
        What the arrays must belong to, for the message.
    """
    missing, unexpected = sorted(expected.keys() - header.arrays.keys()), sorted(header.arrays.keys() - expected.keys())
    if missing or unexpected:
        raise ModelError(
            f"{path}: the arrays must be those of {of}; missing: {', '.join(missing[:4]) or 'none'}; unexpected: "
            f"{', '.join(name[:60] for name in unexpected[:4]) or 'none'}"
        )
    for name, entry in expected.items():
        found = header.arrays[name]
        if found.shape != entry.shape:
            raise ModelError(f"{path}: array {name!r}: expected shape {entry.shape}, found {found.shape}")
        if found.dtype != entry.dtype:
            raise ModelError(f"{path}: array {name!r}: expected type {entry.dtype}, found {found.dtype}")


def entry_of(array: Array) -> ArrayEntry:
    """Return the type and shape of an array in the form of a header.

    >>> entry_of(np.zeros((2, 3), np.float32))
    ArrayEntry(dtype='F32', shape=(2, 3))
    """
    return ArrayEntry(_NAMES[array.dtype], array.shape)


@dataclass(frozen=True)
class StoredArrays:
    """An open file of arrays.

    Attributes
    ----------
    header : Header
        The checked header.
    """

    header: Header
    _path: Path
    _file: BinaryIO

    def read(self) -> dict[str, Array]:
        """Return all arrays by name, in its order, those of 16 bits as float32.

        Raises
        ------
        ModelError
            The content does not have the checksum that is stored with it, or the file was changed meanwhile.
        """
        arrays: dict[str, Array] = {}
        checksum = _checksum(self.header.metadata, self._stored(arrays))
        if self.header.metadata.get(CHECKSUM, checksum) != checksum:
            raise ModelError(
                f"{self._path}: the content does not have the checksum that is stored with it; the file is damaged, "
                f"use another copy; a program that changes it on purpose must leave {CHECKSUM!r} out of the metadata"
            )
        return arrays

    def read_one(self, name: str) -> Array:
        """Return one array, numbers of 16 bits as float32; without comparing the checksum, which is of all.

        Raises
        ------
        ModelError
            The file was changed meanwhile.
        """
        return self._widened(name, self._as_stored(name))

    def _stored(self, arrays: dict[str, Array]) -> Iterator[memoryview]:
        """Add each array to `arrays`, and yield it as it is stored."""
        for name in sorted(self.header.arrays):
            data = self._as_stored(name)
            yield data.data
            arrays[name] = self._widened(name, data)

    def _as_stored(self, name: str) -> Array:
        entry = self.header.arrays[name]
        count = math.prod(entry.shape)
        self._file.seek(self.header.places[name])
        data = np.fromfile(self._file, _STORED[entry.dtype].newbyteorder("<"), count)
        if len(data) != count:
            raise ModelError(f"{self._path}: {name} is cut off; the file was changed while it was read")
        return data

    def _widened(self, name: str, data: Array) -> Array:
        entry = self.header.arrays[name]
        if entry.dtype == "BF16":  # the upper half of a float32
            data = (data.astype(np.uint32) << 16).view(np.float32)
        kept = DTYPES[WIDENED.get(entry.dtype, entry.dtype)]
        return data.astype(kept, copy=False).reshape(entry.shape)


@contextmanager
def open_arrays(
    path: Path, *, beneath: Path | None = None, leaves_out_integers: bool = False
) -> Iterator[StoredArrays]:
    """Open a file of arrays, so that its header can be checked before any array is created.

    The library's own reader is not used: it only takes a path and would follow a link put there meanwhile.

    Parameters
    ----------
    path : Path
    beneath, leaves_out_integers
        As in `open_checked`.

    Raises
    ------
    ModelError
        As from `open_checked`.
    """
    with open_checked(path, beneath=beneath, leaves_out_integers=leaves_out_integers) as (file, header):
        yield StoredArrays(header, path, file)
