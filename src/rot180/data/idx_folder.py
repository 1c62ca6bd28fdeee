"""IDX files as a data set: MNIST, and data sets in the same form.

`train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`; gzipped or
not, with a dot in place of a hyphen, inside a folder of the same name, or prefixed with the name of the set (EMNIST,
QMNIST).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rot180.data.compose import compose
from rot180.data.dataset import Dataset
from rot180.data.emnist import NOTE, characters, emnist_set, upright
from rot180.data.idx import read_idx
from rot180.data.parts import PARTS, Sources, assign, part_of, words
from rot180.data.visible import named, visible
from rot180.errors import DataError
from rot180.ops.types import Array

_NAME = re.compile(r"(?P<head>.*?)[-_.]?(?P<kind>images|labels)[-_.]idx[123][-_.](ubyte|int)(?P<packed>\.gz)?", re.I)


class _File(NamedTuple):
    """What an IDX file's name says about it."""

    path: Path
    which: str
    """The name of the set, without the word for the part: "emnist letters", or "" for MNIST's own file names."""
    part: str
    kind: str
    is_packed: bool


def is_idx(path: Path) -> bool:
    """Return whether a path is a file named like MNIST's, or a folder with such files."""
    return _parse(path) is not None if path.is_file() else path.is_dir() and bool(_files(path))


def read_idx_folder(path: Path) -> Dataset:
    """Read the images and labels of each part from the IDX files in a folder; given a file, those of its set.

    Without test files, every fifth image of each class is held out. QMNIST's labels have eight columns, the first of
    which is the class. EMNIST's images are stored transposed and are turned upright.

    Raises
    ------
    DataError
        A file is missing or damaged, the numbers of images and labels differ, or the folder holds several sets.
    """
    folder = path.parent if path.is_file() else path
    files = _files(folder)
    sets = {file.which for file in files if file.part}
    if path.is_file():
        sets = {file.which for file in files if file.path == path}
    if len(sets) > 1:
        there = named(sorted(which or "mnist" for which in sets), 8)
        raise DataError(f"{path}: holds several data sets ({there}); give the path of a file of the one to use")
    which = next(iter(sets), "")
    chosen: dict[str, dict[str, _File]] = {}
    for file in sorted(files, key=lambda file: (file.is_packed, file.path)):  # unpacked files first
        if file.which == which and file.part:
            chosen.setdefault(file.part, {}).setdefault(file.kind, file)
    if not chosen:
        raise DataError(f"{path}: expected the four IDX files of MNIST, found none named train or test (t10k)")
    for part, kinds in chosen.items():
        if missing := {"images", "labels"} - set(kinds):
            kind, head = missing.pop(), "t10k" if part == "test" else part
            raise DataError(
                f"{path}: expected the four IDX files of MNIST, found no {head}-{kind}-"
                f"idx{3 if kind == 'images' else 1}-ubyte (or .gz); add it"
            )
    emnist = emnist_set(which)
    parts: dict[str, tuple[Array, Array]] = {}
    for part in (part for part in PARTS if part in chosen):
        images, labels = _pair(chosen[part]["images"].path, chosen[part]["labels"].path)
        if emnist:
            images, labels = upright(images), characters(chosen[part]["labels"].path, emnist, labels)
        parts[part] = images[..., np.newaxis], labels
    taken = assign(path, parts)
    names = {part: next(chosen[own]["images"].path.name for own in parts if parts[own] is some)
             for part, some in taken.items()}  # fmt: skip
    used = {file.path.name for kinds in chosen.values() for file in kinds.values()}
    alike = {name.removesuffix(".gz") for name in used}  # the same file, compressed or not
    unused = [entry.name for entry in visible(folder) if entry.name.removesuffix(".gz") not in alike]
    return compose(
        which.replace(" ", "-") or folder.resolve().name or "idx",
        taken,
        where=path,
        description=f"IDX files in {path}",
        sources=Sources(**names, unused=named(unused)),
        notes=(NOTE,) if emnist else (),
    )


def _files(folder: Path) -> list[_File]:
    """Return the IDX files in a folder, and those in subfolders named like one, which some archives unpack to."""
    found = []
    for entry in visible(folder):
        if not _NAME.fullmatch(entry.name):
            continue
        inner = visible(entry) if entry.is_dir() else [entry]
        found += [file for path in inner if path.is_file() and (file := _parse(path))]
    return found


def _parse(path: Path) -> _File | None:
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    part = part_of(match["head"]) or ""
    which = [word for word in words(match["head"]) if not part or part_of(word) != part]
    return _File(path, " ".join(which), part, match["kind"].lower(), match["packed"] is not None)


def _pair(image_path: Path, label_path: Path) -> tuple[Array, Array]:
    """Read the images (N, H, W) and labels (N,) of a part."""
    images = read_idx(image_path, dimensions=3)
    if images.dtype != np.uint8:
        raise DataError(f"{image_path}: offset 2: expected type 0x08 (unsigned bytes), found values of {images.dtype}")
    has_columns = re.search(r"idx2[-_.]int", label_path.name, re.I) is not None
    labels = read_idx(label_path, dimensions=2 if has_columns else 1)
    if has_columns:
        if not labels.shape[1]:
            raise DataError(f"{label_path}: expected the class in the first column, found no columns")
        labels = labels[:, 0]
    elif labels.dtype != np.uint8:
        raise DataError(f"{label_path}: offset 2: expected type 0x08 (unsigned bytes), found values of {labels.dtype}")
    if len(images) != len(labels):
        raise DataError(
            f"{label_path}: offset 4: expected {len(images)} labels, as many as images in {image_path.name}, found "
            f"{len(labels)}; these two files do not belong together"
        )
    return images, labels
