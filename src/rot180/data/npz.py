"""NumPy's `.npz`: a zip file of arrays, which are identified by name (`rot180.data.array_names`)."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from rot180.data.array_names import CLASS_NAMES, ArrayPair, pair_arrays
from rot180.data.bounded import MAX_BYTES, MAX_DEFLATE_RATIO, MAX_LABEL_BYTES, refuse_disguise
from rot180.data.classes import MAX_CLASSES
from rot180.data.compose import compose
from rot180.data.dataset import Dataset
from rot180.data.growing import converted
from rot180.data.label_texts import MAX_VALUE, Labels, LabelTexts, same_names
from rot180.data.npy import read_npy, short
from rot180.data.parts import Sources
from rot180.data.visible import named
from rot180.errors import ArgumentError, DataError, NonFiniteError
from rot180.nn.pixel_range import as_pixels, extremes
from rot180.ops.types import Array

AT_ONCE = 2**18
"""Labels that are processed at a time."""

MAX_ARRAYS = 100
"""A file of images holds a handful of arrays; one with more is something else."""

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OverflowError, NotImplementedError, RuntimeError)


def is_npz(path: Path) -> bool:
    """Return whether a path is an `.npz` file."""
    return path.suffix.lower() == ".npz" and path.is_file()


def read_npz(path: str | Path) -> Dataset:
    """Read a data set from an `.npz` file.

    Images are (N, H, W), (N, H, W, C), (N, C, H, W) with 1 or 3 channels, or (N, pixels) of squares, of any dtype that
    `rot180.nn.pixel_range.as_pixels` accepts. Labels are (N,), (N, 1), or one-hot (N, K); text labels are class names.
    An array `class_names` is used if present. Arrays of Python objects are rejected: reading them could run code from
    the file.

    Raises
    ------
    DataError
        The file is damaged, its arrays have other names, it claims more than 2 GiB, or an array has another form.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "bits.npz"
    >>> np.savez(path, images=np.zeros((10, 4, 4), np.uint8), labels=np.arange(10) % 2)
    >>> read_npz(path)
    Dataset('bits', 8 training and 2 test images of 4x4x1, 2 classes)
    """
    path = Path(path)
    with faults_named(path):
        refuse_disguise(path, "npz")
        with zipfile.ZipFile(path) as file:
            entries = file.infolist()
            if len(entries) > MAX_ARRAYS:
                raise DataError(f"{path}: expected at most {MAX_ARRAYS} arrays, found {len(entries)}")
            names = [entry.filename.removesuffix(".npy") for entry in entries]
            pairs, unused = pair_arrays(path, names)
            wanted = {name for pair in pairs.values() for name in pair}
            wanted |= {name for name in names if name.lower() in CLASS_NAMES}
            return dataset_of(
                path, pairs, _read_arrays(path, file, wanted, {pair.labels for pair in pairs.values()}), unused
            )


@contextmanager
def faults_named(path: Path) -> Iterator[None]:
    """Turn whatever a damaged zip file or array raises into a DataError that names the file."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path}: cannot be read ({reason}); check the path and its permissions") from None
    except _DAMAGE as error:
        reason = str(error).partition("\n")[0][:120] or type(error).__name__
        raise DataError(
            f"{path}: expected a zip file of NumPy arrays ({reason}); it is damaged, copy or download it again"
        ) from None


def dataset_of(path: Path, pairs: dict[str, ArrayPair], arrays: dict[str, Array], unused: list[str]) -> Dataset:
    """Build a data set from arrays, with the roles that `pair_arrays` assigned to them."""
    labels, words = same_names(
        {part: _labels(path, pair.labels, arrays.pop(pair.labels)) for part, pair in pairs.items()}
    )
    images = {part: _images(path, pair.images, arrays.pop(pair.images)) for part, pair in pairs.items()}
    class_names = words or _class_names(
        next((some for name, some in arrays.items() if name.lower() in CLASS_NAMES), None)
    )

    return compose(
        path.stem,
        {part: (images[part], labels[part]) for part in pairs},
        where=path,
        description=f"arrays in {path}",
        sources=Sources(**{part: pair.images for part, pair in pairs.items()}, unused=named(unused)),
        class_names=class_names,
    )


def _class_names(given: Array | None) -> tuple[str, ...] | None:
    """Return the class names in an array of text; None for any other array."""
    if given is None or given.ndim != 1 or given.dtype.kind not in "US" or len(given) > MAX_CLASSES:
        return None
    return tuple(
        name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name for name in given.tolist()
    )


def _read_arrays(path: Path, file: zipfile.ZipFile, wanted: set[str], labels: set[str]) -> dict[str, Array]:
    """Read the requested arrays; their headers are checked against the sizes in the zip file before allocation."""
    arrays: dict[str, Array] = {}
    left = MAX_BYTES
    for entry in file.infolist():
        name = entry.filename.removesuffix(".npy")
        if name not in wanted or name in arrays:
            continue
        arrays[name] = read_member(path, file, entry, min(left, MAX_LABEL_BYTES) if name in labels else left)
        left -= entry.file_size
    return arrays


def read_member(path: Path, file: zipfile.ZipFile, entry: zipfile.ZipInfo, left: int) -> Array:
    """Read one array of a zip file, of at most as many bytes as are left."""
    name = entry.filename.removesuffix(".npy")
    if entry.file_size > min(left, MAX_DEFLATE_RATIO * (entry.compress_size + 1)):
        raise DataError(
            f"{path}: {short(name)}: expected at most {MAX_BYTES} bytes of arrays and {MAX_LABEL_BYTES} of labels, of "
            f"which {left} are left, found {entry.file_size}; split the file"
        )
    with file.open(entry) as member:
        return read_npy(f"{path}: {name}", member, entry.file_size)


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
    planes_first = images.shape[3] not in (1, 3) and images.shape[1] in (1, 3)  # PyTorch's order
    try:
        if planes_first:
            images = converted(images, lambda some: some.transpose(0, 2, 3, 1))
        images = _as_pixels(images)
        extremes(images)
    except (ArgumentError, NonFiniteError) as error:
        raise DataError(f"{path}: in its array {name}: {error}") from None
    return np.ascontiguousarray(images)


def _as_pixels(images: Array) -> Array:
    """Do what `as_pixels` does, without ever holding all images twice."""
    if images.dtype in (np.uint8, np.uint16, np.float32, np.float64):
        return images
    if images.dtype.kind not in "iu":
        return converted(images, lambda some: as_pixels(some, "pixels"))
    ends = np.array([images.min(), images.max()] if images.size else [], images.dtype)
    dtype = as_pixels(ends, "pixels").dtype
    return converted(images, lambda some: some.astype(dtype))


def _labels(path: Path, name: str, labels: Array) -> Labels:
    where = f"{path}: {name}"
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.dtype.kind in "biuf" and labels.shape[1] <= MAX_CLASSES:
        labels = _from_one_hot(labels)
    if labels.ndim != 1:
        raise DataError(
            f"{where}: expected labels (N,), (N, 1) or one-hot rows (N, K), found {short(labels.dtype)} {labels.shape}"
        )
    if labels.dtype.kind in "US":
        texts = LabelTexts(path, name)
        for start in range(0, len(labels), AT_ONCE):
            some = labels[start : start + AT_ONCE]
            some = np.char.decode(some, "utf-8", "backslashreplace") if some.dtype.kind == "S" else some
            texts.add([text.strip() for text in some.tolist()], range(start, start + len(some)))
        return texts.finish()
    if labels.dtype.kind == "f" and not all(
        (some == np.floor(some)).all() and (np.abs(some) < MAX_VALUE).all()
        for some in (labels[start : start + AT_ONCE] for start in range(0, len(labels), AT_ONCE))
    ):
        raise DataError(f"{where}: expected integers, text or one-hot rows as labels, found fractions")
    return Labels(labels.astype(np.int64), None)


def _from_one_hot(labels: Array) -> Array:
    """Return the position of the 1 in each row, or the array itself if it is not one-hot."""
    found = np.empty(len(labels), np.int64)
    step = max(1, AT_ONCE // labels.shape[1])
    for start in range(0, len(labels), step):
        some = labels[start : start + step]
        if not (((some == 0) | (some == 1)).all() and (np.count_nonzero(some, axis=1) == 1).all()):
            return labels
        found[start : start + len(some)] = some.argmax(axis=1)
    return found
