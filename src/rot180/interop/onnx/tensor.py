"""Tensors in ONNX files as NumPy arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rot180.errors import ModelError, short
from rot180.interop.onnx.wire import Message
from rot180.ops.types import Array

DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype(np.float32),
    2: np.dtype(np.uint8),
    3: np.dtype(np.int8),
    4: np.dtype(np.uint16),
    5: np.dtype(np.int16),
    6: np.dtype(np.int32),
    7: np.dtype(np.int64),
    9: np.dtype(np.bool_),
    10: np.dtype(np.float16),
    11: np.dtype(np.float64),
    12: np.dtype(np.uint32),
    13: np.dtype(np.uint64),
}
"""The types of elements by their numbers in the format. Missing are texts, complex numbers, and types of 8 bits or less
that NumPy does not have."""

MAX_AXES = 16
"""The most axes of a tensor; NumPy's limit is higher."""


def dtype_of(number: int, whose: str) -> np.dtype[Any]:
    """Return the type of elements with this number; raise ModelError if it is not supported."""
    if number not in DTYPES:
        known = ", ".join(dtype.name for dtype in DTYPES.values())
        raise ModelError(f"{whose} has elements of ONNX's type {number}, which is not supported; supported: {known}")
    return DTYPES[number]


def read_tensor(message: Message) -> tuple[str, Array]:
    """Return the name of a tensor and its values: a view of the file where it holds them as they are in memory.

    Raises
    ------
    ModelError
        It is damaged, of another type than those of `DTYPES`, or its values are in another file.
    """
    dims: list[int] = []
    number, name = 0, ""
    raw: memoryview | None = None
    values: list[Array] = []
    for field, value in message.fields():
        match field:
            case 1:
                dims += message.ints_of(value)
            case 2:
                number = message.int_of(value)
            case 4:
                values.append(message.array_of(value, "<f4"))
            case 5 | 7 | 11:
                values.append(np.array([n & (2**64 - 1) for n in message.ints_of(value)], np.uint64).view(np.int64))
            case 10:
                values.append(message.array_of(value, "<f8"))
            case 8:
                name = message.text_of(value)
            case 9:
                raw = message.bytes_of(value)
            case 13 | 14 if field == 13 or value != 0:
                raise ModelError(
                    f"{message.path}: tensor {short(name)} is stored in another file, which is not "
                    f"opened; save the model as one file, as onnx.save(model, path, save_as_external_data=False) does"
                )
    whose = f"{message.path}: tensor {short(name)}"
    dtype = dtype_of(number, whose)
    if len(dims) > MAX_AXES or any(size < 0 for size in dims):
        raise ModelError(f"{whose} must have at most {MAX_AXES} axes of 0 or more values; its shape is {dims[:20]}")
    if raw is not None:
        found = len(raw) / dtype.itemsize
    else:
        found = sum(len(part) for part in values)
    if found != math.prod(dims):
        raise ModelError(f"{whose}: its shape {dims} has {math.prod(dims):,} values, but the file holds {found:,.10g}")
    if raw is not None:
        array: Array = np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype, copy=False)
    else:
        array = _joined(values, dtype)
    return name, array.reshape(dims)


def _joined(values: list[Array], dtype: np.dtype[Any]) -> Array:
    """Return typed values, which are stored as numbers of 32 or 64 bits: those of float16 by their bits."""
    joined = values[0] if len(values) == 1 else np.concatenate(values) if values else np.zeros(0, dtype)
    if dtype == np.float16:
        return joined.astype(np.uint16).view(np.float16)
    return joined.astype(dtype, copy=False)
