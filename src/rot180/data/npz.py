"""NumPy's `.npz`: a zip of arrays, under one of the sets of names that are in use."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from rot180.data.bounded import MAX_BYTES
from rot180.data.dataset import Dataset, number_names
from rot180.data.split import hold_out
from rot180.errors import DataError
from rot180.ops.types import Array

NAMES = (
    ("x_train", "y_train", "x_test", "y_test"),  # Keras
    ("train_images", "train_labels", "test_images", "test_labels"),  # MedMNIST
    ("images", "labels", "", ""),
    ("x", "y", "", ""),
    ("X", "y", "", ""),
    ("data", "target", "", ""),
    ("arr_0", "arr_1", "", ""),
)
"""Training images, training labels, test images, test labels; without the last two a part is held out."""

MAX_ARRAYS = 100
"""A file of images holds a handful; more is something else."""

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OverflowError, NotImplementedError, RuntimeError)


def is_npz(path: Path) -> bool:
    """Say whether a path is a file named `.npz`."""
    return path.suffix.lower() == ".npz" and path.is_file()


def read_npz(path: str | Path) -> Dataset:
    """Read a data set from an `.npz` file.

    Images (N, H, W), (N, H, W, C), (N, C, H, W) with 1 or 3 channels, or (N, pixels) of squares; of any integers 0 to
    255, truth values, or floats in 0 to 1. Labels (N,), (N, 1), or one-hot (N, K). An array `class_names` is taken
    where it is there. Arrays of Python objects are refused: reading them would run code from the file.

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
            return _dataset(path, _read_arrays(path, file), file.namelist())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check the path and its rights") from None
    except _DAMAGE as error:
        reason = str(error).partition("\n")[0][:120] or type(error).__name__
        raise DataError(f"{path}: expected a zip of NumPy arrays ({reason}); damaged, copy it again") from None


def _dataset(path: Path, arrays: dict[str, Array], there: list[str]) -> Dataset:
    for names in NAMES:
        if names[0] in arrays and names[1] in arrays:
            break
    else:
        found = ", ".join(ascii(name.removesuffix(".npy")[:40])[1:-1] for name in there[:8]) or "no array"
        raise DataError(f"{path}: expected the arrays x_train and y_train, or images and labels; found {found}")
    images, labels = _images(path, names[0], arrays[names[0]]), _labels(path, names[1], arrays[names[1]])
    divided = not (names[2] in arrays and names[3] in arrays)
    if not divided:
        test_images, test_labels = _images(path, names[2], arrays[names[2]]), _labels(path, names[3], arrays[names[3]])
        description = f"{path}"
    else:
        if len(images) != len(labels):
            raise DataError(f"{path}: {len(images)} images but {len(labels)} labels; the arrays do not belong together")
        is_test = hold_out(labels)
        images, test_images, labels, test_labels = images[~is_test], images[is_test], labels[~is_test], labels[is_test]
        description = f"{path}, where every fifth of each class is held out for testing"
    names_given = arrays.get("class_names")
    if names_given is not None and names_given.ndim == 1 and names_given.dtype.kind == "U":
        class_names = tuple(str(name) for name in names_given)
    else:
        class_names = number_names(labels, test_labels)
    return Dataset(path.stem, images, labels, test_images, test_labels, class_names, description, divided=divided)


def _read_arrays(path: Path, file: zipfile.ZipFile) -> dict[str, Array]:
    """Read the arrays that are wanted; their headers are compared with the sizes in the zip before memory is taken."""
    wanted = {name for names in NAMES for name in names} | {"class_names"}
    entries = file.infolist()
    if len(entries) > MAX_ARRAYS:
        raise DataError(f"{path}: expected at most {MAX_ARRAYS} arrays, found {len(entries)}")
    arrays: dict[str, Array] = {}
    left = MAX_BYTES
    for entry in entries:
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
    if images.dtype.kind == "b":
        images = images.astype(np.uint8) * np.uint8(255)
    if images.size and images.dtype.kind in "iu" and images.dtype != np.uint8:
        low, high = int(images.min()), int(images.max())
        if low < 0 or high > (65535 if images.dtype == np.uint16 else 255):
            raise DataError(f"{path}: {name}: expected pixels from 0 to 255, found {low} to {high}; convert them")
        images = images if images.dtype == np.uint16 and high > 255 else images.astype(np.uint8)
    if images.dtype.kind == "f":
        images = images.astype(np.float32) if images.dtype == np.float16 else images
        if images.size and not (images.min() >= 0 and images.max() <= 1):  # also where one is NaN
            raise DataError(
                f"{path}: {name}: expected floats from 0 to 1, found {images.min():.4g} to {images.max():.4g}; "
                "divide them, or store 0 to 255 as uint8"
            )
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
