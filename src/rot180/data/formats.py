"""Which format data is in, and what to do if a folder holds several.

A format that is recognized with certainty, by its file names or by folders of images, takes precedence, and whatever
else is in the folder is reported. Each table or file of arrays is a data set of its own, so several of them are an
error. If a folder holds none, its subfolders are searched, since archives often unpack into a folder.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rot180.data.array_folder import is_array_file, is_array_folder, read_array_file, read_array_folder
from rot180.data.cifar import is_cifar10, read_cifar10
from rot180.data.csv_dataset import is_csv_file, is_csv_folder, read_csv_file, read_csv_folder
from rot180.data.dataset import Dataset
from rot180.data.folder import read_image_folder
from rot180.data.idx_folder import is_idx, read_idx_folder
from rot180.data.layout import folders, has_class_folders, has_images_alone, has_parts_of_classes
from rot180.data.listing import is_listing, read_listing
from rot180.data.npz import is_npz, read_npz
from rot180.data.options import BadFiles, ImageOptions
from rot180.data.parquet import is_parquet, read_parquet
from rot180.data.visible import named
from rot180.errors import DataError

Reader = Callable[[Path, ImageOptions, BadFiles | None], Dataset]

DEPTH = 3
"""Levels of folders that are searched, as in `data/MNIST/raw`."""

MAX_FOLDERS = 1000
"""Maximum number of folders that are searched: a larger tree is someone's home folder, not a data set."""


class Format(NamedTuple):
    """A data format: what to call it in messages, how to recognize it by its path, and how to read it."""

    description: str
    recognizes: Callable[[Path], bool]
    read: Reader
    rank: int = 1
    """The lowest takes precedence; two formats of rank 1 are two data sets."""


def _without_options(read: Callable[[Path], Dataset]) -> Reader:
    """Return a reader for a format that has no options."""
    return lambda path, options, bad: read(path)


FORMATS = (
    Format("the binary archive of CIFAR-10 or its folder", is_cifar10, _without_options(read_cifar10), 0),
    Format("the four IDX files of MNIST or a set like it", is_idx, _without_options(read_idx_folder), 0),
    Format("a folder of images with a subfolder for each class", has_class_folders, read_image_folder, 0),
    Format("a folder for each part with a subfolder for each class", has_parts_of_classes, read_image_folder, -2),
    Format("a CSV file with names of image files and their labels, or a folder with one", is_listing, read_listing, -1),
    Format("a CSV file (a label and pixels on each line, gzipped or not)", is_csv_file, read_csv_file),
    Format("a folder with a CSV file for each part", is_csv_folder, read_csv_folder),
    Format("an .npz file (x_train, y_train, ... or images, labels)", is_npz, _without_options(read_npz)),
    Format("a folder of .npy or .npz files", is_array_folder, _without_options(read_array_folder)),
    Format("an .npy file", is_array_file, _without_options(read_array_file), 2),
    Format("Parquet with encoded images", is_parquet, read_parquet),
    Format("a folder of images whose names begin with their class", has_images_alone, read_image_folder, 2),
)
"""All formats; within a rank, the first takes precedence."""


class Found(NamedTuple):
    """Where the data is, its format, and remarks on both."""

    path: Path
    form: Format
    notes: tuple[str, ...] = ()


def find_format(path: Path) -> Found | None:
    """Determine the format of the data at a path or in the folders below it; None if there is none.

    Raises
    ------
    DataError
        There are several data sets.
    """
    level, left = [path], MAX_FOLDERS
    for _ in range(DEPTH + 1):
        found = [
            (folder, forms) for folder in level if (forms := [form for form in FORMATS if form.recognizes(folder)])
        ]
        if len(found) > 1:
            names = named([folder.relative_to(path).as_posix() for folder, _ in found], 8)
            raise DataError(f"{path}: holds several data sets ({names}); give the path of the one to use")
        if found:
            folder, forms = found[0]
            form, notes = _decide(folder, forms)
            if folder != path:
                notes = (f"read from {folder.relative_to(path).as_posix()}/", *notes)
            return Found(folder, form, notes)
        level = [inner for folder in level if folder.is_dir() for inner in folders(folder)]
        left -= len(level)
        if left < 0:
            return None
    return None


def _decide(path: Path, forms: list[Format]) -> tuple[Format, tuple[str, ...]]:
    """Return which of a folder's formats is read, and a note on the others."""
    best = min(form.rank for form in forms)
    candidates = [form for form in forms if form.rank == best]
    if best > 0 and len(candidates) > 1:
        there = "; ".join(form.description for form in candidates)
        raise DataError(f"{path}: holds several data sets ({there}); give the path of the file or folder to use")
    form = candidates[0]
    others = "; ".join(other.description for other in forms if other.read is not form.read and path.is_dir())
    return form, (f"read as: {form.description}; not used: {others}",) if others else ()
