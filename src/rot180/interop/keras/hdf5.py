"""The arrays and attributes of an HDF5 file, which may be a stranger's.

pyfive finds them. It is pure Python, so that a damaged file ends in an exception; and it gets no more of the file than
a sound one needs, so that structures which refer to themselves end as well. It would make room for as many values of an
attribute as a file claims, so that is looked at before. The numbers are read here: they must be
stored in one piece inside the file, neither packed nor in chunks, as Keras stores them.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rot180.errors import ArgumentError, ModelError
from rot180.interop.stored import StoredArray
from rot180.ops.types import Array

SIGNATURE = b"\x89HDF\r\n\x1a\n"

MAX_OBJECTS = 20_000
"""The most groups and arrays of a file."""

MAX_DEPTH = 12

TYPES = {"f2": "F16", "f4": "F32", "f8": "F64"}
"""The types of weights, by NumPy's name and as in safetensors."""

SKIPPED = ("optimizer", "optimizer_weights", "_optimizer")
"""Groups that hold no weights."""


class _Bounded:
    """A part of a file, of which only so much is read as a sound file needs."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0
        self._calls, self._bytes = 3_000 + size // 16, 16 * 1024**2 + 2 * size

    def seek(self, offset: int, whence: int = 0) -> int:
        at = int(offset) + (0, self._at, self._size)[whence]
        if not 0 <= at <= self._size:
            raise ValueError("an address is outside the file")
        self._at = at
        return at

    def tell(self) -> int:
        return self._at

    def read(self, count: int = -1) -> bytes:
        most = self._size - self._at
        count = most if count < 0 else min(int(count), most)
        self._calls -= 1
        self._bytes -= count
        if self._calls < 0 or self._bytes < 0:
            raise ValueError("its structures refer to each other without end")
        self._file.seek(self._start + self._at)
        data = self._file.read(count)
        self._at += len(data)
        return data


@dataclass(frozen=True)
class Group:
    """What a file holds under a path.

    Attributes
    ----------
    attributes : dict
        The texts, and lists of texts, by name; others are left out.
    """

    attributes: dict[str, str | list[str]]


@dataclass(frozen=True)
class Hdf5:
    """The content of a file.

    Attributes
    ----------
    groups : dict of str to Group
        By path without a slash at the beginning; the root's is "".
    arrays : dict of str to StoredArray
        The arrays of floats by path.
    """

    groups: dict[str, Group]
    arrays: dict[str, StoredArray]


def read_hdf5(path: Path, file: BinaryIO, start: int, size: int) -> Hdf5:
    """Find the arrays and attributes of an HDF5 file.

    Parameters
    ----------
    path : Path
        For messages.
    file : binary file
    start, size : int
        Which part of it is the HDF5 file.

    Raises
    ------
    ModelError
        It is damaged, or holds packed arrays.
    ArgumentError
        pyfive is not installed.
    """
    try:
        import pyfive
    except ImportError:
        raise ArgumentError(f"{path}: files of Keras need pyfive; install it with: pip install rot180[keras]") from None
    _count_values_first()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about parts of the format that no file of Keras has
            return _Walk(path, file, start, size).walk(pyfive.File(_Bounded(file, start, size)))
    except ModelError:
        raise
    except Exception as error:  # whatever pyfive meets in a damaged file, its own errors and Python's
        why = " ".join(str(error).split())[:80] or type(error).__name__
        raise ModelError(f"{path}: the HDF5 file is damaged, or uses what Keras does not ({why})") from None


def _count_values_first() -> None:
    """Let pyfive refuse an attribute that claims more values than its message has bytes, instead of making room."""
    from pyfive.dataobjects import DataObjects

    make_room = getattr(DataObjects, "_attr_value", None)
    if make_room is None or hasattr(make_room, "__wrapped__"):
        return

    @wraps(make_room)
    def attr_value(self: Any, kind: Any, message: bytes, count: int, offset: int) -> Any:
        if count > len(message) - offset:
            raise ValueError("an attribute is cut off")
        return make_room(self, kind, message, count, offset)

    setattr(DataObjects, make_room.__name__, attr_value)


class _Walk:
    """The walk through a file."""

    def __init__(self, path: Path, file: BinaryIO, start: int, size: int) -> None:
        self._path, self._file, self._start, self._size = path, file, start, size
        self._left, self._bytes = MAX_OBJECTS, size
        self._found = Hdf5({}, {})

    def walk(self, root: Any) -> Hdf5:
        if root.userblock_size:
            raise ValueError("it does not begin at the beginning")
        waiting: list[tuple[str, Any, int]] = [("", root, 0)]
        while waiting:
            path, item, depth = waiting.pop()
            self._left -= 1
            if self._left < 0 or depth > MAX_DEPTH:
                raise ValueError(f"more than {MAX_OBJECTS:,} parts, or {MAX_DEPTH} levels")
            if hasattr(item, "shape"):
                self._add(path, item)
                continue
            if not hasattr(item, "attrs"):
                continue
            self._found.groups[path] = Group(_texts(item.attrs))
            names = [name for name in item if isinstance(name, str) and name not in ("", ".", "..")]
            if len(names) > self._left:
                raise ValueError(f"more than {MAX_OBJECTS:,} parts")
            for name in names:
                if depth or name not in SKIPPED:
                    waiting.append((f"{path}/{name}".lstrip("/"), item.get_lazy_view(name), depth + 1))
        return self._found

    def _add(self, path: str, dataset: Any) -> None:
        dtype, shape = np.dtype(dataset.dtype), tuple(int(size) for size in dataset.shape)
        if dtype.kind != "f" or dtype.str[1:] not in TYPES:
            return
        if dataset.chunks is not None:
            raise ModelError(
                f"{self._path}: the array {path[-60:]!r} is packed or in chunks; write the file again with: "
                f"h5repack -f NONE -l CONTI"
            )
        count = math.prod(shape)
        self._bytes -= count * dtype.itemsize
        offset = int(dataset.id.data_offset) if count else 0
        if self._bytes < 0 or not 0 <= offset <= self._size - count * dtype.itemsize:
            raise ModelError(f"{self._path}: the array {path[-60:]!r} is cut off; use another copy")
        read = partial(self._read, self._start + offset, shape, dtype)
        self._found.arrays[path] = StoredArray(shape, TYPES[dtype.str[1:]], read)

    def _read(self, at: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        self._file.seek(at)
        numbers = np.fromfile(self._file, dtype, math.prod(shape))
        if numbers.size != math.prod(shape):
            raise ModelError(f"{self._path}: it is shorter than when it was opened; use another copy")
        wanted = np.float32 if dtype.itemsize < 8 else np.float64
        return numbers.reshape(shape).astype(wanted, copy=False)


def _texts(attributes: Any) -> dict[str, str | list[str]]:
    """Return the texts among the attributes, which are bytes of any kind."""
    found: dict[str, str | list[str]] = {}
    for name, value in attributes.items():
        if isinstance(value, bytes | str):
            found[str(name)] = _text(value)
        elif isinstance(value, np.ndarray) and value.ndim == 1:
            texts = value.tolist()
            if all(isinstance(text, bytes | str) for text in texts):
                found[str(name)] = [_text(text) for text in texts]
    return found


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
