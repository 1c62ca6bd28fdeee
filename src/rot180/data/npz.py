"""NumPy's `.npz`: a zip of arrays, whose names tell what they are (`rot180.data.array_names`)."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from rot180.data.array_names import CLASS_NAMES, ArrayPair, pair_arrays
from rot180.data.bounded import MAX_BYTES
from rot180.data.compose import compose
from rot180.data.dataset import Dataset
from rot180.data.parts import Sources
from rot180.data.visible import named
from rot180.errors import ArgumentError, DataError, NonFiniteError
from rot180.nn.pixel_range import as_pixels, extremes
from rot180.ops.types import Array

MAX_ARRAYS = 100
"""A file of images holds a handful; more is something else."""

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OverflowError, NotImplementedError, RuntimeError)


def is_npz(path: Path) -> bool:
    """Say whether a path is a file named `.npz`."""
    return path.suffix.lower() == ".npz" and path.is_file()


def read_npz(path: str | Path) -> Dataset:
    """Read a data set from an `.npz` file.

    Images (N, H, W), (N, H, W, C), (N, C, H, W) with 1 or 3 channels, or (N, pixels) of squares; of numbers as
    `rot180.nn.pixel_range.as_pixels` takes them. Labels (N,), (N, 1), or one-hot (N, K). An array `class_names` is
    taken where it is there. Arrays of Python objects are refused: reading them would run code from the file.

    Raises
    ------
    DataError
        The file is damaged, names its arrays otherwise, promises more than 2 GiB, or an array is none of these.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "bits.npz"
    >>> np.savez(path, images=np.zeros((10, 4, 4), np.uint8), labels=np.arange(10) % 2)
    >>> read_npz(path)
    Dataset('bits', 8 training and 2 test images of 4x4x1, 2 classes)
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as file:
            entries = file.infolist()
            if len(entries) > MAX_ARRAYS:
                raise DataError(f"{path}: expected at most {MAX_ARRAYS} arrays, found {len(entries)}")
            names = [entry.filename.removesuffix(".npy") for entry in entries]
            pairs, unused = pair_arrays(path, names)
            wanted = {name for pair in pairs.values() for name in pair}
            wanted |= {name for name in names if name.lower() in CLASS_NAMES}
            return _dataset(path, pairs, _read_arrays(path, file, wanted), unused)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check the path and its rights") from None
    except _DAMAGE as error:
        reason = str(error).partition("\n")[0][:120] or type(error).__name__
        raise DataError(f"{path}: expected a zip of NumPy arrays ({reason}); damaged, copy it again") from None


def _dataset(path: Path, pairs: dict[str, ArrayPair], arrays: dict[str, Array], unused: list[str]) -> Dataset:
    parts = {
        part: (_images(path, pair.images, arrays[pair.images]), _labels(path, pair.labels, arrays[pair.labels]))
        for part, pair in pairs.items()
    }
    given = next((some for name, some in arrays.items() if name.lower() in CLASS_NAMES), None)
    class_names = None
    if given is not None and given.ndim == 1 and given.dtype.kind == "U":
        class_names = tuple(str(name) for name in given)
    held_out = ", where every fifth of each class is held out for testing" if set(parts) == {"train"} else ""
    return compose(
        path.stem,
        parts,
        where=path,
        description=f"{path}{held_out}",
        sources=Sources(**{part: pair.images for part, pair in pairs.items()}, unused=named(unused)),
        class_names=class_names,
    )


def _read_arrays(path: Path, file: zipfile.ZipFile, wanted: set[str]) -> dict[str, Array]:
    """Read the arrays that are wanted; their headers are compared with the sizes in the zip before memory is taken."""
    arrays: dict[str, Array] = {}
    left = MAX_BYTES
    for entry in file.infolist():
        name = entry.filename.removesuffix(".npy")
        if name not in wanted:
            continue
        left -= entry.file_size
        if left < 0:
            raise DataError(f"{path}: expected at most {MAX_BYTES} bytes of arrays, found more; split the file")
        with file.open(entry) as member:
            arrays[name] = _read_array(path, name, member, entry.file_size)
    return arrays


def _read_array(path: Path, name: str, member: IO[bytes], size: int) -> Array:
    version = np.lib.format.read_magic(member)
    if version not in ((1, 0), (2, 0)):
        raise DataError(f"{path}: {name}: expected an array of format 1.0 or 2.0, found {version}")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, is_fortran, dtype = read_header(member)
    except Exception as error:  # the header is a Python literal: damaged ones fail in the tokenizer in many ways
        reason = str(error).partition("\n")[0][:80]
        raise DataError(f"{path}: {name}: the header cannot be read ({reason}); damaged, copy it again") from None
    if dtype.hasobject or dtype.kind not in "biufU":
        raise DataError(f"{path}: {name}: expected numbers, found {_short(dtype)}; objects are never read")
    count = math.prod(shape)
    if min(shape, default=0) < 0 or count * dtype.itemsize > size:
        raise DataError(f"{path}: {name}: the header promises {shape} of {_short(dtype)}, the file holds {size} bytes")
    values = np.frombuffer(member.read(count * dtype.itemsize), dtype)
    if len(values) != count:
        raise DataError(f"{path}: {name}: expected {count} values, found {len(values)}; cut off, copy it again")
    if member.read(1):
        raise DataError(f"{path}: {name}: expected {count} values, found more; the header does not belong to them")
    return values.reshape(shape, order="F" if is_fortran else "C").astype(dtype.newbyteorder("="), copy=False)


def _images(path: Path, name: str, images: Array) -> Array:
    if images.ndim == 2:
        side = math.isqrt(images.shape[1])
        if side * side != images.shape[1] or not side:
            raise DataError(f"{path}: {name}: expected images (N, H, W) or squares (N, pixels), found {images.shape}")
        images = images.reshape(len(images), side, side)
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4:
        raise DataError(f"{path}: {name}: expected images (N, H, W) or (N, H, W, C), found {images.shape}")
    if images.shape[3] not in (1, 3) and images.shape[1] in (1, 3):
        images = images.transpose(0, 2, 3, 1)  # PyTorch's order
    try:
        images = as_pixels(images, "pixels")
        extremes(images)
    except (ArgumentError, NonFiniteError) as error:
        raise DataError(f"{path}: {name}: {error}") from None
    return np.ascontiguousarray(images)


def _labels(path: Path, name: str, labels: Array) -> Array:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if (
        labels.ndim == 2
        and labels.shape[1] > 1
        and ((labels == 0) | (labels == 1)).all()
        and (labels.sum(1) == 1).all()
    ):
        labels = labels.argmax(axis=1)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(
            f"{path}: {name}: expected integers (N,), (N, 1) or one-hot rows, "
            f"found {_short(labels.dtype)} {labels.shape}"
        )
    return labels.astype(np.int64)


def _short(dtype: Any) -> str:
    """Return a type's name, cut where a damaged file made it long."""
    return str(dtype)[:40]
