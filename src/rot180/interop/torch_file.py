"""PyTorch's checkpoints (`.pth`, `.pt`, `.bin`), read without PyTorch and without an unpickler.

Two containers are in use. Since 2020, a zip file whose entries are stored as they are:

    NAME/data.pkl        the object, a pickle; arrays refer to storages by key
    NAME/data/KEY        the bytes of a storage

and before that one file, in which follow each other: four pickles (a magic number, the protocol 1001, properties of the
system, the object), a fifth with the list of keys, and for each key an int64 count and the bytes of the storage.

Nothing is read before its place and size are checked; an array is a view of a storage, which must contain it.

Format: https://github.com/pytorch/pytorch/blob/main/torch/serialization.py
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rot180.errors import ModelError
from rot180.interop.pickled import Call, Name, read_pickle
from rot180.interop.stored import StoredArray
from rot180.interop.stored_zip import LOCAL, MAX_ENTRIES, Fault, StoredZip
from rot180.ops.types import Array

MAX_OBJECT = 16 * 1024**2
"""The longest pickle, in bytes; that of a network with a thousand layers is a twentieth of it."""

MAX_PARTS = 50_000
"""The most parts and arrays of a network that was saved as a whole; one that occurs twice counts twice."""

STORAGES: dict[str, tuple[str, int]] = {
    "FloatStorage": ("F32", 4),
    "DoubleStorage": ("F64", 8),
    "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2),
    "LongStorage": ("I64", 8),
    "IntStorage": ("I32", 4),
    "ShortStorage": ("I16", 2),
    "CharStorage": ("I8", 1),
    "ByteStorage": ("U8", 1),
    "BoolStorage": ("BOOL", 1),
}
"""The type and the bytes of a number, by PyTorch's class of the storage."""

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001


WHERE = (
    "state_dict",
    "model_state_dict",
    "model",
    "state_dict_ema",
    "model_ema",
    "net",
    "network",
    "weights",
    "params",
)
"""The keys under which training scripts keep the weights, those of most of them first."""


@dataclass(frozen=True)
class Storage:
    """A run of numbers that arrays are views of."""

    dtype: str
    item_bytes: int
    key: str
    count: int


@dataclass(frozen=True)
class Tensor:
    """An array as the file describes it; `strides` and `offset` are counted in numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def is_torch_file(path: Path, head: bytes) -> bool:
    """Return whether a file's first bytes are those of a PyTorch checkpoint."""
    return head.startswith(LOCAL) or head.startswith(b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")


@contextmanager
def open_torch_file(path: Path, file: BinaryIO) -> Iterator[dict[str, StoredArray]]:
    """Yield the arrays of the weights in a checkpoint by name, in its order; each is read when it is asked for.

    Parameters
    ----------
    path : Path
        For messages.
    file : binary file

    Raises
    ------
    ModelError
        The file is damaged, too long, or holds no weights.
    """
    try:
        is_zip = file.read(4) == LOCAL
        container: _Zip | _Sequence = _Zip(file) if is_zip else _Sequence(file)
        weights = find_weights(container.object)
        yield {
            name: StoredArray(tensor.shape, tensor.storage.dtype, _reader(path, container, tensor))
            for name, tensor in weights.items()
        }
    except Fault as fault:
        raise ModelError(f"{path}: {fault}; the file is damaged or not a PyTorch checkpoint") from None


class _Zip(StoredZip):
    """The newer container."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        name = next((name for name in self.places if name.endswith("/data.pkl")), None)
        if name is None:
            raise Fault("no data.pkl in it")
        self._folder = name.removesuffix("data.pkl")
        if self._folder + "byteorder" in self.places and self.bytes(self._folder + "byteorder", 16) != b"little":
            raise Fault("expected little-endian numbers")
        self.object = _read_object(io.BytesIO(self.bytes(name, MAX_OBJECT)))

    def read(self, storage: Storage) -> Array:
        """Return the bytes of a storage."""
        name = f"{self._folder}data/{storage.key}"
        if name not in self.places:
            raise Fault(f"the storage {storage.key[:20]!r} is missing")
        size = self.places[name][1]
        if size != storage.count * storage.item_bytes:
            raise Fault(f"expected {storage.count * storage.item_bytes:,} bytes in a storage, found {size:,}")
        return self.array(name)


class _Sequence:
    """The older container."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        file.seek(0)
        head = io.BytesIO(file.read(MAX_OBJECT))
        sizes: dict[str, tuple[int, int]] = {}
        if _read_object(head) != MAGIC or _read_object(head) != PROTOCOL:
            raise Fault("expected PyTorch's magic number and protocol")
        system = _read_object(head)
        if isinstance(system, dict) and system.get("little_endian") is False:
            raise Fault("expected little-endian numbers")
        self.object = _read_object(head, sizes)
        keys = _read_object(head)
        if not isinstance(keys, list) or len(keys) > MAX_ENTRIES or not all(isinstance(key, str) for key in keys):
            raise Fault("expected the keys of the storages")
        self._places: dict[str, tuple[int, int]] = {}
        at = head.tell()
        for key in keys:
            file.seek(at)
            count = int.from_bytes(file.read(8), "little", signed=True)
            declared, item_bytes = sizes.get(key, (count, 1))
            if count != declared or count < 0 or at + 8 + count * item_bytes > self._size:
                raise Fault(f"expected {declared:,} numbers in a storage, found {count:,}")
            self._places[key] = (at + 8, count * item_bytes)
            at += 8 + count * item_bytes

    def read(self, storage: Storage) -> Array:
        """Return the bytes of a storage."""
        if storage.key not in self._places:
            raise Fault(f"the storage {storage.key[:20]!r} is missing")
        place, size = self._places[storage.key]
        self._file.seek(place)
        data = np.fromfile(self._file, np.uint8, size)
        if len(data) != size:
            raise Fault("a storage is cut off")
        return data


def _read_object(file: io.BytesIO, sizes: dict[str, tuple[int, int]] | None = None) -> Any:
    """Return the object of a pickle; its arrays are `Tensor`s. Note the count and item bytes of its storages."""

    def persistent(value: Any) -> Any:
        storage = _storage(value)
        if sizes is not None and sizes.setdefault(storage.key, (storage.count, storage.item_bytes)) != (
            storage.count,
            storage.item_bytes,
        ):
            raise Fault("a storage has two sizes")
        return storage

    try:
        return read_pickle(file, make=_make, persistent=persistent)
    except Fault:
        raise
    except ModelError as error:
        raise Fault(str(error)) from None


def _storage(value: Any) -> Storage:
    if not isinstance(value, tuple) or len(value) not in (5, 6) or value[0] != "storage":
        raise Fault("expected the description of a storage")
    kind, key, count = value[1], value[2], value[4]
    if not isinstance(kind, Name) or kind.name not in STORAGES or kind.module not in ("torch", "torch.cuda"):
        raise Fault(f"numbers of the type {str(getattr(kind, 'name', kind))[:40]!r} are not read")
    if not isinstance(key, str) or not _is_count(count) or (len(value) == 6 and value[5] is not None):
        raise Fault("expected the key and the size of a storage")
    return Storage(*STORAGES[kind.name], key, count)


def _make(function: Name, arguments: tuple[Any, ...]) -> Any:
    """Return what a known function of a checkpoint makes, None for others."""
    if function == ("collections", "OrderedDict"):
        return {}
    if function.module != "torch._utils" and function != ("torch._tensor", "_rebuild_from_type_v2"):
        return None
    if function.name in ("_rebuild_tensor_v2", "_rebuild_tensor") and len(arguments) >= 4:
        return _tensor(*arguments[:4])
    if function.name in ("_rebuild_parameter", "_rebuild_parameter_with_state") and arguments:
        return arguments[0]
    if function.name == "_rebuild_from_type_v2" and len(arguments) == 4:
        inner, _, given, _ = arguments
        return _make(inner, given) if isinstance(inner, Name) and isinstance(given, tuple) else None
    return None


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> Tensor:
    if not isinstance(storage, Storage) or not _is_count(offset):
        raise Fault("expected an array of a storage")
    for counts in (shape, strides):
        if not isinstance(counts, tuple) or len(counts) > 8 or not all(_is_count(count) for count in counts):
            raise Fault("expected the shape and the strides of an array")
    if len(shape) != len(strides):
        raise Fault(f"an array has {len(shape)} axes and {len(strides)} strides")
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if math.prod(shape) and (last >= storage.count or math.prod(shape) > storage.count):
        raise Fault(f"an array of the shape {shape} is not within its storage of {storage.count:,} numbers")
    return Tensor(storage, offset, shape, strides)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**48


def _reader(path: Path, container: _Zip | _Sequence, tensor: Tensor) -> Callable[[], Array]:
    def read() -> Array:
        try:
            data = container.read(tensor.storage)
        except Fault as fault:
            raise ModelError(f"{path}: {fault}; the file is damaged or not a PyTorch checkpoint") from None
        dtype = {"F32": "<f4", "F64": "<f8", "F16": "<f2", "BF16": "<u2"}[tensor.storage.dtype]
        values = data.view(dtype)[tensor.offset :]
        strides = tuple(stride * tensor.storage.item_bytes for stride in tensor.strides)
        view = (
            np.lib.stride_tricks.as_strided(values, tensor.shape, strides)
            if math.prod(tensor.shape)
            else (np.zeros(tensor.shape, dtype))
        )
        if tensor.storage.dtype == "BF16":  # the upper half of a float32
            return (view.astype(np.uint32) << 16).view(np.float32)
        return view.astype(np.float64 if tensor.storage.dtype == "F64" else np.float32)

    return read


def find_weights(value: Any, depth: int = 3) -> dict[str, Tensor]:
    """Return the arrays by name in a checkpoint's object.

    The object is a table of arrays, a table that holds one (beside an optimizer's state, settings and so on), or a
    network that was saved as a whole.

    Raises
    ------
    ModelError
        There are none.
    """
    found = _find(value, depth, set())
    if not found:
        raise Fault("no table of weights in it")
    return found


def _find(value: Any, depth: int, seen: set[int]) -> dict[str, Tensor]:
    if isinstance(value, Tensor) or depth < 0 or id(value) in seen:
        return {}
    seen.add(id(value))  # a table may be in a file once, and be referred to from a million places
    if isinstance(value, Call):
        found: dict[str, Tensor] = {}
        _collect(value, "", found, [MAX_PARTS], 50)
        return found or _find(value.items, depth - 1, seen)
    if not isinstance(value, dict):
        return {}
    arrays = {name: tensor for name, tensor in value.items() if isinstance(name, str) and isinstance(tensor, Tensor)}
    if arrays:
        return arrays
    inner = sorted(
        (key for key in value if isinstance(key, str) and "optim" not in key),
        key=lambda key: WHERE.index(key) if key in WHERE else len(WHERE),
    )
    for key in inner[:100]:
        if found := _find(value[key], depth - 1, seen):
            return found
    return {}


def _collect(module: Any, prefix: str, found: dict[str, Tensor], left: list[int], depth: int) -> None:
    """Add the arrays of a part of a network, and of its parts, under the names that PyTorch gives them."""
    left[0] -= 1
    if not isinstance(module, Call) or not isinstance(module.state, dict) or left[0] < 0 or depth < 0:
        return
    for kind in ("_parameters", "_buffers"):
        own = module.state.get(kind)
        left[0] -= len(own) if isinstance(own, dict) else 0
        if left[0] < 0:
            return
        for name, tensor in (own if isinstance(own, dict) else {}).items():
            if isinstance(tensor, Tensor):
                found[f"{prefix}{name}"] = tensor
    parts = module.state.get("_modules")
    for name, part in (parts if isinstance(parts, dict) else {}).items():
        _collect(part, f"{prefix}{name}."[:400], found, left, depth - 1)
