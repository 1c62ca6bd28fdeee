"""Reading an array in NumPy's format without trusting its header: its claims are checked against the file's size."""

from __future__ import annotations

import math
from typing import IO, Any

import numpy as np

from rot180.data.bounded import MAX_IMAGES
from rot180.errors import DataError
from rot180.ops.types import Array

PIECE = 16 * 1024**2
"""Bytes read at a time."""

MAX_RUNS = 2**18
"""Maximum number of runs of a Fortran-ordered array that are scattered at a time."""

MAX_ITEM = 1024
"""Maximum size of one value in bytes: numbers have at most 16, text labels somewhat more."""


def read_npy(where: str, file: IO[bytes], size: int) -> Array:
    """Read an array of numbers or text.

    Parameters
    ----------
    where : str
        What to call the array in errors.
    file : binary file
        Positioned at its beginning.
    size : int
        Its size in bytes.

    Raises
    ------
    DataError
        It is not a NumPy array, its header claims more or fewer values than there are, or they are Python objects,
        which could run code when restored.
    """
    try:
        version = np.lib.format.read_magic(file)
    except ValueError:
        raise DataError(f"{where}: expected an array in NumPy's format (.npy), found something else") from None
    if version not in ((1, 0), (2, 0)):
        raise DataError(f"{where}: expected an array of format 1.0 or 2.0, found {version}")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, is_fortran, dtype = read_header(file)
    except Exception as error:  # the header is a Python literal: if damaged, the tokenizer fails in many ways
        reason = str(error).partition("\n")[0][:80]
        raise DataError(f"{where}: the header cannot be read ({reason}); copy or download the file again") from None
    if dtype.hasobject:
        raise DataError(
            f"{where}: expected numbers or text, found Python objects, which are never read; save numbers, or labels "
            "as text with np.array(labels, dtype=str)"
        )
    if dtype.kind not in "biufUS" or dtype.itemsize > MAX_ITEM:
        raise DataError(f"{where}: expected numbers or text, found {short(dtype)}")
    count = math.prod(shape)
    if min(shape, default=0) < 0 or count * dtype.itemsize > size:
        raise DataError(f"{where}: the header claims {short(shape)} of {short(dtype)}, but the file has {size} bytes")
    if len(shape) and shape[0] > MAX_IMAGES:
        raise DataError(f"{where}: expected at most {MAX_IMAGES} images, found {shape[0]}; split the file")
    # With a size of 0 there are no values, yet NumPy rejects shapes if the product of the other sizes is too large.
    if math.prod(length for length in shape if length) * max(dtype.itemsize, 1) > 2**62 or len(shape) > 8:
        raise DataError(f"{where}: the header claims {short(shape)} of {short(dtype)}; copy or download the file again")
    values = np.empty(shape, dtype)
    found = _read_columns(file, values) if is_fortran and len(shape) > 1 else _read_into(file, values)
    if found < values.nbytes:
        raise DataError(
            f"{where}: expected {values.nbytes} bytes of values, found {found}; copy or download the file again"
        )
    if file.read(1):
        raise DataError(f"{where}: expected {count} values, found more; the header does not match them")
    return values if dtype.isnative else values.byteswap(inplace=True).view(dtype.newbyteorder("="))


def short(thing: Any) -> str:
    """Return a dtype or shape as text, shortened in case a damaged file made it long."""
    return str(thing)[:40]


def _read_into(file: IO[bytes], values: Array) -> int:
    """Fill an array from a file and return the number of bytes read."""
    target = values.reshape(-1).view(np.uint8).data if values.nbytes else memoryview(b"")
    filled = 0
    while filled < len(target):
        some = file.read(min(PIECE, len(target) - filled))
        if not some:
            break
        target[filled : filled + len(some)] = some
        filled += len(some)
    return filled


def _read_columns(file: IO[bytes], values: Array) -> int:
    """Fill an array from values in Fortran order, without making a second copy."""
    if not values.nbytes:
        return 0
    turned = values.T
    length, filled = turned.shape[-1], 0
    runs = values.size // length
    step = max(1, min(PIECE // (length * values.itemsize), MAX_RUNS))
    for start in range(0, runs, step):
        places = np.unravel_index(np.arange(start, min(start + step, runs)), turned.shape[:-1])
        some = np.empty((len(places[0]), length), values.dtype)
        found = _read_into(file, some)
        filled += found
        if found < some.nbytes:
            break
        turned[places] = some
    return filled
