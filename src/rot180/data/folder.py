"""A folder of images with a subfolder for each class, with or without `train/` and `test/` above them."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from rot180.data.classes import MAX_CLASSES
from rot180.data.dataset import Dataset
from rot180.data.encoded import load_encoded
from rot180.data.image_opening import SUFFIXES
from rot180.data.layout import MAX_DEPTH, ClassFolder, find_layout
from rot180.data.lazy import EncodedImage
from rot180.data.options import BadFiles, ImageOptions
from rot180.data.visible import is_of_system
from rot180.errors import DataError

BESIDE = frozenset(
    ".txt .xml .json .jsonl .csv .tsv .md .yaml .yml .mat .npy .log .pdf .py .ipynb .sh .mov .mp4 .aae .xmp".split()
)
"""Suffixes of files that are not meant to be images: annotations, code, documents, and extras that phones add."""

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, line separators, and the surrogates that stand for bytes that are not UTF-8."""


def read_image_folder(path: Path, options: ImageOptions | None = None, bad: BadFiles | None = None) -> Dataset:
    """Read a folder of images in any layout that `rot180.data.layout` recognizes.

    Classes are sorted by name (by value if all names are numbers). The images are sorted by their own names, not class
    by class, so that the first few are a mixture of classes if the names are.

    Raises
    ------
    DataError
        A file is bad (see `ImageOptions.on_bad_file`): not an image, damaged, truncated, not of the format that its
        suffix says, over 50 megapixels, a symbolic link to something other than a file; or as from `find_layout`; or
        the test images have classes that no training image has; or there is no image.
    """
    options = options or ImageOptions()
    layout = find_layout(path)
    every = [some.class_name for classes in layout.parts.values() for some in classes]
    names = sorted(set(every), key=_order(every))
    if len(names) > MAX_CLASSES:
        raise DataError(f"{path}: expected at most {MAX_CLASSES} classes, found {len(names)} folders")
    for name in names:
        if _UNPRINTABLE.search(name):
            raise DataError(f"{path}: expected class names of printable characters, found {name!a}; rename the folder")
    beside: Counter[str] = Counter()
    listed = {part: _list(path, classes, names, beside) for part, classes in layout.parts.items()}
    unused = [layout.sources.unused] if layout.sources.unused else []
    unused += [f"files in class folders: {count:,} {suffix}" for suffix, count in sorted(beside.items())]
    bad = bad or BadFiles(options.on_bad_file, 0)
    bad.total = sum(len(found) for found, _ in listed.values()) + sum(len(errors) for _, errors in listed.values())
    for _, errors in listed.values():
        for error in errors:
            bad.report(error)
    return load_encoded(
        path.resolve().name or "images",
        {part: found for part, (found, _) in listed.items()},
        tuple(names),
        options,
        bad,
        description=f"images in {path}",
        sources=layout.sources._replace(unused=", ".join(unused)),
        notes=layout.notes,
    )


def _order(names: list[str]) -> Callable[[str], tuple[int, str]]:
    """Return the sort key for class names: their values if all are numbers, else the names."""
    numbered = all(name.isascii() and name.isdigit() for name in names)
    return lambda name: (int(name) if numbered else 0, name)


def _list(
    path: Path, classes: list[ClassFolder], names: list[str], beside: Counter[str]
) -> tuple[list[EncodedImage], list[DataError]]:
    """Return the images of a part, sorted by name, and errors for other files; count files that describe images."""
    position = {name: label for label, name in enumerate(names)}
    found: list[tuple[str, int, EncodedImage]] = []
    errors: list[DataError] = []
    for class_name, folder, files in classes:
        label, above = position[class_name], folder.relative_to(path).as_posix()
        wanted = None if files is None else set(files)
        for inside, entry in _entries(folder, ""):
            if wanted is not None and inside not in wanted:
                continue
            suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122, creating a million Paths is slow
            if suffix in BESIDE and not entry.is_symlink():
                beside[suffix] += 1
                continue
            fault = _fault_of(entry, suffix)
            if _UNPRINTABLE.search(inside):
                errors.append(
                    DataError(
                        f"{folder}: expected file names of printable characters, found {inside!a}; rename the file"
                    )
                )
            elif fault:
                errors.append(DataError(fault))
            else:
                place = f"{above}/{inside}"
                found.append((inside, label, EncodedImage(entry.path, Path(entry.path), label, suffix, place)))
    found.sort(key=lambda image: image[:2])
    return [image for _, _, image in found], errors


def _entries(folder: Path | str, inside: str, depth: int = 0) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield the files in and below a folder with their relative paths; links to folders are yielded as files."""
    if depth > MAX_DEPTH:
        raise DataError(f"{folder}: more than {MAX_DEPTH} folders below a class; is this a folder of images?")
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_of_system(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path, f"{inside}{entry.name}/", depth + 1)
            else:
                yield inside + entry.name, entry


def _fault_of(entry: os.DirEntry[str], suffix: str) -> str:
    """Return why an entry cannot be an image, without opening it; empty if it can."""
    if entry.is_symlink():
        if entry.is_dir():
            return (
                f"{entry.path}: a symbolic link to a folder inside a class, which is not followed; put the images "
                "themselves here"
            )
        if not Path(entry.path).exists():
            return f"{entry.path}: a broken symbolic link; remove it"
    if suffix not in SUFFIXES:
        found = f"a file named {suffix}" if suffix else "a file without a suffix"
        return (
            f"{entry.path}: expected an image ({', '.join(SUFFIXES)}), found {found}; move it out of the class folder"
        )
    if not entry.is_file():
        return f"{entry.path}: expected an image, found something other than a file (a pipe, a device); remove it"
    return ""
