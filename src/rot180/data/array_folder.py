"""A folder of NumPy files: `x_train.npy`, `y_train.npy`, or an `.npz` file for each part or array."""

from __future__ import annotations

import zipfile
from pathlib import Path

from rot180.data.array_names import CLASS_NAMES, pair_arrays
from rot180.data.bounded import MAX_BYTES
from rot180.data.dataset import Dataset
from rot180.data.npy import read_npy
from rot180.data.npz import MAX_ARRAYS, dataset_of, faults_named, read_member, read_npz
from rot180.data.visible import visible
from rot180.errors import DataError
from rot180.ops.types import Array

_SUFFIXES = (".npy", ".npz")


def is_array_folder(path: Path) -> bool:
    """Return whether a path is a folder with `.npy` or `.npz` files."""
    return path.is_dir() and bool(_files(path))


def is_array_file(path: Path) -> bool:
    """Return whether a path is an `.npy` file."""
    return path.suffix.lower() == ".npy" and path.is_file()


def read_array_file(path: Path) -> Dataset:
    """Reject a single array.

    Raises
    ------
    DataError
        Always: a data set consists of images and labels.
    """
    raise DataError(f"{path}: an .npy file holds a single array; give the folder with the images and the labels")


def read_array_folder(path: Path) -> Dataset:
    """Read the arrays in a folder, which are identified by name (`rot180.data.array_names`).

    An array in an `.npz` file is identified by the names of both: `train.npz` with `images` and `labels` is the
    training part.

    Raises
    ------
    DataError
        A file is damaged, or the names are ambiguous.
    """
    files = _files(path)
    if len(files) == 1 and files[0].suffix.lower() == ".npz":
        return read_npz(files[0])
    places: dict[str, tuple[Path, str | None]] = {}
    for file in files:
        members = [None] if file.suffix.lower() == ".npy" else _members(file)
        for member in members:
            name = file.stem if member is None or len(members) == 1 else f"{file.stem}/{member.removesuffix('.npy')}"
            if name in places:
                raise DataError(f"{path}: {places[name][0].name} and {file.name} both hold {name}; remove one")
            places[name] = file, member
    if len(places) > MAX_ARRAYS:
        raise DataError(f"{path}: expected at most {MAX_ARRAYS} arrays, found {len(places)}; give a folder with fewer")
    pairs, unused = pair_arrays(path, places)
    wanted = {name for pair in pairs.values() for name in pair}
    wanted |= {name for name in places if name.lower() in CLASS_NAMES}
    arrays: dict[str, Array] = {}
    left = MAX_BYTES
    for name in wanted:
        arrays[name], size = _read(*places[name], left)
        left -= size
    others = [entry.name for entry in visible(path) if entry not in files]
    return dataset_of(path, pairs, arrays, [places[name][0].name for name in unused] + others)


def _files(path: Path) -> list[Path]:
    return [entry for entry in visible(path) if entry.suffix.lower() in _SUFFIXES and entry.is_file()]


def _members(file: Path) -> list[str]:
    with faults_named(file), zipfile.ZipFile(file) as archive:
        return archive.namelist()[: MAX_ARRAYS + 1]


def _read(file: Path, member: str | None, left: int) -> tuple[Array, int]:
    """Return an array from a file or from one of its members, and its size in bytes."""
    with faults_named(file):
        if member is not None:
            with zipfile.ZipFile(file) as archive:
                entry = archive.getinfo(member)
                return read_member(file, archive, entry, left), entry.file_size
        size = file.stat().st_size
        if size > left:
            raise DataError(f"{file}: expected at most {MAX_BYTES} bytes of arrays, found more; split the data set")
        with file.open("rb") as opened:
            return read_npy(str(file), opened, size), size
