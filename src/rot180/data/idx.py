"""IDX, the format of MNIST: a magic number, the sizes, then the values, all big-endian.

    offset 0   2 bytes  zero
    offset 2   1 byte   type of the values: 8 uint8, 9 int8, 11 int16, 12 int32, 13 float32, 14 float64
    offset 3   1 byte   number of dimensions d
    offset 4   4*d      the sizes, uint32 each
    then                the values, the last dimension running fastest

Described by LeCun, Cortes and Burges at the foot of the MNIST page.
"""

from __future__ import annotations

import math
import re
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from rot180.data.bounded import MAX_BYTES, open_bytes
from rot180.data.compose import compose
from rot180.data.dataset import Dataset
from rot180.data.parts import Sources
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
"""MNIST has three at most; a number above this means that the file is no IDX file."""

_FILE_NAME = re.compile(r"(train|t10k|test)-(images[-.]idx3|labels[-.]idx1)-ubyte(\.gz)?", re.IGNORECASE)


def read_idx(path: str | Path, *, dimensions: int | None = None) -> Array:
    """Read one IDX file, gzipped or not.

    The header is compared with the size of the file before anything is allocated; a gzipped file is unpacked only as
    far as its header promises, and one byte beyond to see that it ends there.

    Parameters
    ----------
    path : str or Path
    dimensions : int, optional
        What the file must have: 3 for images, 1 for labels. None takes any.

    Returns
    -------
    array
        In the type and shape that the file states, in this machine's byte order.

    Raises
    ------
    DataError
        The file is missing, cut off, too long, no IDX file, has another number of dimensions, or would fill more than
        2 GiB. The message names the offset, what was expected there and what was found.

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
            raise DataError(f"{path}: offset 0: expected 4 bytes of magic number, found {len(magic)}; no IDX file")
        dtype = TYPES.get(magic[2])
        if magic[:2] != b"\0\0" or dtype is None or not 1 <= magic[3] <= MAX_DIMENSIONS:
            wanted = f"0x0000080{dimensions or 3}" + (" (unsigned bytes)" if dimensions else "")
            raise DataError(f"{path}: offset 0: expected magic number {wanted}, found 0x{magic.hex()}; no IDX file")
        if dimensions is not None and magic[3] != dimensions:
            raise DataError(
                f"{path}: offset 3: expected {dimensions} dimensions (magic number 0x0000080{dimensions}), found "
                f"{magic[3]} (0x{magic.hex()}); were images and labels exchanged?"
            )
        sizes = file.read(4 * magic[3])
        if len(sizes) < 4 * magic[3]:
            raise DataError(f"{path}: offset 4: expected {4 * magic[3]} bytes of sizes, found {len(sizes)}; cut off")
        shape = tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, len(sizes), 4))
        start, expected = 4 + len(sizes), math.prod(shape) * dtype.itemsize
        promise = f"{path}: offset {start}: expected {expected} bytes of values for the shape {shape}"
        # With a size of 0 there are no values, yet NumPy makes no array whose other sizes multiply to too much.
        if math.prod(size for size in shape if size) * dtype.itemsize > MAX_BYTES:
            raise DataError(f"{promise}, but at most {MAX_BYTES} are read; a damaged header, or split the file")
        if start + expected > capacity:
            raise DataError(f"{promise}, found at most {max(capacity - start, 0)}; cut off, copy or download it again")
        values = np.empty(shape, dtype)
        found = _read_into(file, values.reshape(-1).view(np.uint8).data)
        if found < expected:
            raise DataError(f"{promise}, found {found}; cut off, copy or download it again")
        if file.read(1):
            raise DataError(f"{promise}, found more; the header does not belong to these values")
    return values.astype(dtype.newbyteorder("="), copy=False)


def _read_into(file: BufferedIOBase, target: memoryview) -> int:
    """Fill `target` from the file and return the number of bytes that came."""
    filled = 0
    while filled < len(target):
        count = file.readinto(target[filled:])
        if not count:
            break
        filled += count
    return filled


def is_idx_folder(path: Path) -> bool:
    """Say whether a folder holds any file named as MNIST's are."""
    return path.is_dir() and any(_FILE_NAME.fullmatch(entry.name) for entry in path.iterdir())


def read_idx_folder(path: Path) -> Dataset:
    """Read the four files of MNIST, or of a set made like it, from one folder.

    `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`; with a
    dot in place of the hyphen before `idx`, or with `.gz`, they are found as well (an unpacked file goes before a
    gzipped one).

    Raises
    ------
    DataError
        A file is missing or damaged, or the counts of images and labels differ.
    """
    parts: dict[str, tuple[Array, Array]] = {}
    files: dict[str, str] = {}
    for part, word in (("train", "train"), ("test", "t10k")):
        image_path, label_path = _find(path, word, "images"), _find(path, word, "labels")
        images, labels = _read_bytes(image_path, 3), _read_bytes(label_path, 1)
        if len(images) != len(labels):
            raise DataError(
                f"{label_path}: offset 4: expected {len(images)} labels, as many as images in {image_path.name}, found "
                f"{len(labels)}; the two files do not belong together"
            )
        parts[part], files[part] = (images[..., np.newaxis], labels), image_path.name
    return compose(
        path.resolve().name or "idx",
        parts,
        where=path,
        description=f"four IDX files in {path}",
        sources=Sources(**files),
    )


def _read_bytes(path: Path, dimensions: int) -> Array:
    """Read an IDX file that must hold unsigned bytes."""
    values = read_idx(path, dimensions=dimensions)
    if values.dtype != np.uint8:
        raise DataError(f"{path}: offset 2: expected type 0x08 (unsigned bytes), found values of {values.dtype}")
    return values


def _find(folder: Path, part: str, what: str) -> Path:
    """Return the file of one part, under any of its names."""
    found: dict[bool, Path] = {}
    for entry in sorted(folder.iterdir()):
        match = _FILE_NAME.fullmatch(entry.name)
        if match and match[1].lower().replace("test", "t10k") == part and match[2].lower().startswith(what):
            found.setdefault(match[3] is not None, entry)
    if not found:
        wanted = f"{part}-{what}-idx{3 if what == 'images' else 1}-ubyte"
        raise DataError(f"{folder}: expected the four IDX files of MNIST, found no {wanted} (or .gz); add it")
    return found[min(found)]
