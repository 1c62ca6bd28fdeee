"""The header of a safetensors file, read and checked before any array is created.

    offset 0   8 bytes   length n of the header, uint64, little-endian
    offset 8   n bytes   JSON: each array's name with its type, shape and position; `__metadata__`, strings by name
    then                 the arrays, one after another, without gaps

Format: https://github.com/huggingface/safetensors
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rot180.errors import ModelError
from rot180.files import open_regular, reading

MAX_HEADER = 1_000_000
"""The longest header that is read, in bytes; a network with a thousand layers needs a tenth of it."""

MAX_ARRAYS = 10_000
"""The most arrays in a file."""

ITEM_BYTES = {"F32": 4, "F64": 8, "F16": 2, "BF16": 2}
"""The types of weights, by the format's name for them."""

INTEGER_BYTES = {"BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "U32": 4, "I32": 4, "U64": 8, "I64": 8}
"""Types of counters and indices, such as the number of batches that a normalization of PyTorch has seen."""

WIDENED = {"F16": "F32", "BF16": "F32"}
"""Types that are read as a wider type, which represents each of their numbers exactly."""


@dataclass(frozen=True)
class ArrayEntry:
    """One array as the header describes it; `dtype` is a name in `ITEM_BYTES`."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Header:
    """The arrays of a file by name, and its metadata."""

    arrays: dict[str, ArrayEntry]
    metadata: dict[str, str]
    places: dict[str, int]
    """The offset in the file at which each array starts."""


@contextmanager
def open_checked(
    path: Path, *, beneath: Path | None = None, leaves_out_integers: bool = False
) -> Iterator[tuple[BinaryIO, Header]]:
    """Open a safetensors file, and read and check its header, but not the arrays.

    Parameters
    ----------
    path : Path
    beneath : Path, optional
        As in `rot180.files.open_regular`.
    leaves_out_integers : bool
        Whether arrays of integers, as other programs add them to weights, are checked and left out; by default they
        are an error.

    Yields
    ------
    (binary file, Header)

    Raises
    ------
    ModelError
        The file cannot be read, is a link, not a regular file or not a safetensors file, is truncated or too long, its
        header is over 1 MB, or it has more than 10,000 arrays or arrays of types other than floats.
    """
    with reading(path), open_regular(path, beneath=beneath) as file:
        yield file, _read_header(path, file, leaves_out_integers)


def read_header(path: str | Path, *, beneath: Path | None = None) -> Header:
    """Return the header that `open_checked` reads."""
    with open_checked(Path(path), beneath=beneath) as (_, header):
        return header


def _read_header(path: Path, file: BinaryIO, leaves_out_integers: bool) -> Header:
    size = os.fstat(file.fileno()).st_size
    prefix = file.read(8)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or length > size - 8:
        raise _fault(path, f"offset 0: expected a header of {length} bytes, but only {max(size - 8, 0)} bytes follow")
    if length > MAX_HEADER:
        raise _fault(path, f"offset 0: expected a header of at most {MAX_HEADER} bytes, found {length}")
    text = file.read(length)
    try:
        entries = json.loads(text, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise _fault(path, f"offset 8: the header is not JSON ({str(error)[:80]})") from None
    if not isinstance(entries, dict):
        raise _fault(path, "offset 8: expected a table of arrays")
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _fault(path, "__metadata__: expected strings by name")
    if len(entries) > MAX_ARRAYS:
        raise _fault(path, f"expected at most {MAX_ARRAYS} arrays, found {len(entries)}")
    arrays = _check_arrays(
        path, entries, size - 8 - length, ITEM_BYTES | (INTEGER_BYTES if leaves_out_integers else {})
    )
    arrays = {name: entry for name, entry in arrays.items() if entry.dtype in ITEM_BYTES}
    return Header(arrays, metadata, {name: 8 + length + entries[name]["data_offsets"][0] for name in arrays})


def _check_arrays(
    path: Path, entries: dict[str, Any], available: int, item_bytes: dict[str, int]
) -> dict[str, ArrayEntry]:
    """Return the arrays, after checking that each entry is valid and that they fill the file without gap or overlap."""
    arrays, places = {}, []
    for name, entry in entries.items():
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
            raise _fault(path, f"array {name[:60]!r}: expected dtype, shape and data_offsets")
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(dtype, str):
            raise _fault(path, f"array {name[:60]!r}: expected the name of a type, found {str(dtype)[:20]!r}")
        if dtype not in item_bytes:
            wanted = ", ".join(ITEM_BYTES)
            raise ModelError(f"{path}: array {name[:60]!r}: expected one of {wanted}, found {dtype[:20]!r}; convert it")
        if not _are_counts(shape) or not _are_counts(offsets) or len(offsets) != 2 or len(shape) > 8:
            raise _fault(path, f"array {name[:60]!r}: shape and data_offsets must be lists of whole numbers")
        if offsets[1] - offsets[0] != math.prod(shape) * item_bytes[dtype]:
            found = f"found {offsets[1] - offsets[0]} for the shape {tuple(shape)}"
            raise _fault(path, f"array {name[:60]!r}: expected {math.prod(shape) * item_bytes[dtype]} bytes, {found}")
        arrays[name] = ArrayEntry(dtype, tuple(shape))
        places.append(offsets)
    end = 0
    for begin, next_end in sorted(places):
        if begin != end:
            raise _fault(path, f"expected an array at byte {end} of the values, found the next at {begin}")
        end = next_end
    if end != available:
        raise _fault(path, f"expected {end} bytes of values, found {available}")
    return arrays


def _are_counts(values: object) -> bool:
    """Return whether a JSON value is a list of whole numbers from 0 that fit in 48 bits (and are not Booleans)."""
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**48 for value in values)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a table of JSON pairs; a duplicate name could mean different things to different readers."""
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name occurs twice")
    return table


def _fault(path: Path, what: str) -> ModelError:
    return ModelError(f"{path}: {what}; the file is damaged or not a safetensors file")
