"""A folder of NumPy's files: `x_train.npy`, `y_train.npy`, or an `.npz` file for each part or array."""

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
    """Say whether a path is a folder with files named `.npy` or `.npz`."""
    return path.is_dir() and bool(_files(path))


def is_array_file(path: Path) -> bool:
    """Say whether a path is a file named `.npy`."""
    return path.suffix.lower() == ".npy" and path.is_file()


def read_array_file(path: Path) -> Dataset:
    """Refuse an array alone.

    Raises
    ------
    DataError
        Always: a data set is images and labels.
    """
    raise DataError(f"{path}: an .npy file holds one array; name the folder that holds images and labels")


def read_array_folder(path: Path) -> Dataset:
    """Read the arrays of a folder, whose names tell what they are (`rot180.data.array_names`).

    An array in an `.npz` file is known by the names of both: `train.npz` with `images` and `labels` holds the training
    part.

    Raises
    ------
    DataError
        A file is damaged, or the names do not tell what is what.
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
                raise DataError(f"{path}: {places[name][0].name} and {file.name} are both {name}; remove one")
            places[name] = file, member
    if len(places) > MAX_ARRAYS:
        raise DataError(f"{path}: expected at most {MAX_ARRAYS} arrays, found {len(places)}; name a folder with fewer")
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
    """Return an array of a file or of a member of it, and its size in bytes."""
    with faults_named(file):
        if member is not None:
            with zipfile.ZipFile(file) as archive:
                entry = archive.getinfo(member)
                return read_member(file, archive, entry, left), entry.file_size
        size = file.stat().st_size
        if size > left:
            raise DataError(f"{file}: expected at most {MAX_BYTES} bytes of arrays, found more; split the data")
        with file.open("rb") as opened:
            return read_npy(str(file), opened, size), size
