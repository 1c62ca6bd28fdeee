"""IDX, the format of MNIST: a magic number, the sizes, then the values, all big-endian.

    offset 0   2 bytes  zero
    offset 2   1 byte   type of the values: 8 uint8, 9 int8, 11 int16, 12 int32, 13 float32, 14 float64
    offset 3   1 byte   number of dimensions d
    offset 4   4*d      the sizes, uint32 each
    then                the values, the last dimension varying fastest

Described by LeCun, Cortes and Burges at the end of the MNIST page.
"""

from __future__ import annotations

import math
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from rot180.data.bounded import MAX_BYTES, open_bytes
from rot180.errors import DataError
from rot180.ops.types import Array

TYPES: dict[int, np.dtype[Any]] = {
    8: np.dtype(">u1"),
    9: np.dtype(">i1"),
    11: np.dtype(">i2"),
    12: np.dtype(">i4"),
    13: np.dtype(">f4"),
    14: np.dtype(">f8"),
}
"""The third byte of the magic number."""

MAX_DIMENSIONS = 8
"""MNIST has at most three; a larger number means that the file is not an IDX file."""


def read_idx(path: str | Path, *, dimensions: int | None = None) -> Array:
    """Read one IDX file, gzipped or not.

    The header is compared with the size of the file before anything is allocated; a gzipped file is decompressed only
    as far as its header says, plus one byte to check that it ends there.

    Parameters
    ----------
    path : str or Path
    dimensions : int, optional
        What the file must have: 3 for images, 1 for labels. None, the default, accepts any.

    Returns
    -------
    array
        With the dtype and shape given in the file, in native byte order.

    Raises
    ------
    DataError
        The file is missing, truncated, too long, not an IDX file, has another number of dimensions, or holds more than
        2 GiB. The message gives the offset, what was expected there and what was found.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "labels"
    >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4]))
    >>> read_idx(path)
    array([5, 0, 4], dtype=uint8)
    """
    path = Path(path)
    with open_bytes(path, "IDX") as (file, capacity):
        magic = file.read(4)
        if len(magic) < 4:
            raise DataError(f"{path}: offset 0: expected 4 bytes of magic number, found {len(magic)}; not an IDX file")
        dtype = TYPES.get(magic[2])
        if magic[:2] != b"\0\0" or dtype is None or not 1 <= magic[3] <= MAX_DIMENSIONS:
            raise DataError(
                f"{path}: offset 0: expected a magic number such as 0x0000080{dimensions or 3}, found 0x{magic.hex()}; "
                "not an IDX file"
            )
        if dimensions is not None and magic[3] != dimensions:
            raise DataError(
                f"{path}: offset 3: expected {dimensions} dimensions (magic number 0x0000080{dimensions}), found "
                f"{magic[3]} (0x{magic.hex()}); were images and labels swapped?"
            )
        sizes = file.read(4 * magic[3])
        if len(sizes) < 4 * magic[3]:
            raise DataError(f"{path}: offset 4: expected {4 * magic[3]} bytes of sizes, found {len(sizes)}; truncated")
        shape = tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, len(sizes), 4))
        start, expected = 4 + len(sizes), math.prod(shape) * dtype.itemsize
        rule = f"expected {expected} bytes of values for the shape {shape}"
        # With a size of 0 there are no values, yet NumPy rejects shapes if the product of the other sizes is too large.
        if math.prod(size for size in shape if size) * dtype.itemsize > MAX_BYTES:
            raise DataError(f"{path}: offset {start}: {rule}, but at most {MAX_BYTES} are read; split the file")
        if start + expected > capacity:
            raise DataError(
                f"{path}: offset {start}: {rule}; the file holds at most {max(capacity - start, 0)}; copy it again"
            )
        values = np.empty(shape, dtype)
        found = _read_into(file, values.reshape(-1).view(np.uint8).data)
        if found < expected:
            raise DataError(f"{path}: offset {start}: {rule}; the file holds {found}; copy it again")
        if file.read(1):
            raise DataError(f"{path}: offset {start}: {rule}; the file holds more; its header is wrong")
    return values.astype(dtype.newbyteorder("="), copy=False)


def _read_into(file: BufferedIOBase, target: memoryview) -> int:
    """Fill `target` from the file and return the number of bytes read."""
    filled = 0
    while filled < len(target):
        count = file.readinto(target[filled:])
        if not count:
            break
        filled += count
    return filled
