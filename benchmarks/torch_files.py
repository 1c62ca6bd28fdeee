"""Write checkpoints as PyTorch does, both containers, without PyTorch: inputs for tests and `soak_parsers.py`."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

STORAGES = {"float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage", "int64": "LongStorage"}


@dataclass(frozen=True)
class Global:
    """The name of a function, as a pickle has it."""

    module: str
    name: str


@dataclass(frozen=True)
class Called:
    """A call, as a pickle has it, and the state that the result is given."""

    function: Global
    arguments: tuple[Any, ...]
    state: Any = None


@dataclass(frozen=True)
class Persistent:
    """A persistent identifier."""

    value: Any


def pickled(value: Any) -> bytes:
    """Return a pickle of protocol 2."""
    return b"\x80\x02" + _operations(value) + b"."


def _operations(value: Any) -> bytes:
    match value:
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int() if -(2**31) <= value < 2**31:
            return b"J" + struct.pack("<i", value)
        case int():
            data = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
            return b"\x8a" + bytes([len(data)]) + data
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            data = value.encode()
            return b"X" + struct.pack("<I", len(data)) + data
        case tuple():
            return b"(" + b"".join(map(_operations, value)) + b"t"
        case list():
            return b"](" + b"".join(map(_operations, value)) + b"e"
        case dict():
            items = b"".join(_operations(key) + _operations(item) for key, item in value.items())
            return b"}(" + items + b"u"
        case Global():
            return f"c{value.module}\n{value.name}\n".encode()
        case Called():
            made = _operations(value.function) + _operations(value.arguments) + b"R"
            return made if value.state is None else made + _operations(value.state) + b"b"
        case Persistent():
            return _operations(value.value) + b"Q"
    raise TypeError(value)


def tensor(key: str, array: np.ndarray) -> Called:
    """Return the description of a contiguous array that has the storage `key` for itself."""
    kind = Global("torch", STORAGES[array.dtype.name])
    storage = Persistent(("storage", kind, key, "cpu", array.size))
    strides = tuple(stride // array.itemsize for stride in np.empty(array.shape, array.dtype).strides)
    made = (storage, 0, array.shape, strides, False, Called(Global("collections", "OrderedDict"), ()))
    return Called(Global("torch._utils", "_rebuild_tensor_v2"), made)


def described(arrays: Mapping[str, np.ndarray]) -> dict[str, Called]:
    """Return a table of arrays; the keys of their storages are 0, 1, ..."""
    return {name: tensor(str(key), array) for key, (name, array) in enumerate(arrays.items())}


def zipped(value: Any, arrays: Mapping[str, np.ndarray], method: int = zipfile.ZIP_STORED) -> bytes:
    """Return the newer container, with an object and the storages of arrays in their order."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("archive/data.pkl", pickled(value))
        archive.writestr("archive/byteorder", "little")
        for key, array in enumerate(arrays.values()):
            archive.writestr(f"archive/data/{key}", array.tobytes())
    return file.getvalue()


def in_sequence(value: Any, arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return the older container."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    keys = [str(key) for key in range(len(arrays))]
    parts = [pickled(part) for part in (0x1950A86A20F9469CFC6C, 1001, system, value, keys)]
    parts += [struct.pack("<q", array.size) + array.tobytes() for array in arrays.values()]
    return b"".join(parts)
