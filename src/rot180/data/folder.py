"""A folder of images, one sub-folder for each class, with or without `train/` and `test/` above them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from rot180.data.classes import MAX_CLASSES
from rot180.data.dataset import Dataset
from rot180.data.encoded import load_encoded
from rot180.data.image import SUFFIXES
from rot180.data.lazy import EncodedImage
from rot180.data.options import BadFiles, ImageOptions
from rot180.data.parts import Sources
from rot180.errors import DataError

PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test", "val": "val", "valid": "val",
         "validation": "val"}  # fmt: skip
"""What folders of parts are called."""

MAX_DEPTH = 8
"""Folders below a class; more is taken for a mistake."""

_NOT_COUNTED = ("thumbs.db", "desktop.ini")
"""Files that systems leave in folders unasked; those whose name begins with a dot are passed over as well."""

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, ends of lines, and what stands for bytes that are no UTF-8."""


def is_image_folder(path: Path) -> bool:
    """Say whether a folder holds sub-folders with images, or `train` or `test` with such sub-folders."""
    if not path.is_dir():
        return False
    folders = _folders(path)
    inside = [inner for folder in folders if folder.name.lower() in PARTS for inner in _folders(folder)]
    return any(_has_image(folder) for folder in (*folders, *inside))


def read_image_folder(path: Path, options: ImageOptions | None = None, bad: BadFiles | None = None) -> Dataset:
    """Read a folder of images.

    Classes are the sub-folders, in the order of their names (of their numbers where all are numbers). The images are
    ordered by their own names, not class by class, so that the first so many are a mixture where the names are.
    Without `test/`, `val/` takes its place; without either, every fifth image of each class is held out.

    Raises
    ------
    DataError
        A file is bad (see `ImageOptions.on_bad_file`): no image, damaged, cut off, not what its suffix says, over 50
        megapixels, a symbolic link out of the folder; or the classes of the parts differ; or there is no image.
    """
    options = options or ImageOptions()
    parts = _parts(path)
    names = sorted({folder.name for folders in parts.values() for folder in folders}, key=_order(parts))
    if len(names) > MAX_CLASSES:
        raise DataError(f"{path}: expected at most {MAX_CLASSES} classes, found {len(names)} folders")
    for name in names:
        if _UNPRINTABLE.search(name):
            raise DataError(f"{path}: {_reason_against_name('class', name)}; rename the folder")
    listed = {part: _list(path, folders, names) for part, folders in parts.items()}
    bad = bad or BadFiles(options.on_bad_file, 0)
    bad.total = sum(len(found) for found, _ in listed.values()) + sum(len(errors) for _, errors in listed.values())
    for _, errors in listed.values():
        for error in errors:
            bad.report(error)
    images = {part: found for part, (found, _) in listed.items() if parts[part] or part == "train"}
    return load_encoded(
        path.resolve().name or "images",
        images,
        tuple(names),
        options,
        bad,
        description=f"images in {path}",
        sources=Sources(**{part: f"{part}/" for part in images}),
    )


def _folders(path: Path) -> list[Path]:
    """Return the sub-folders; links to folders elsewhere are listed, and refused later by name."""
    return sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _has_image(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(Path(entry.name).suffix.lower() in SUFFIXES for entry in entries)


def _parts(path: Path) -> dict[str, list[Path]]:
    """Return the class folders of each part."""
    found: dict[str, Path] = {}
    for folder in _folders(path):
        part = PARTS.get(folder.name.lower())
        if part and not _has_image(folder) and _folders(folder):
            if part in found:
                raise DataError(f"{path}: {found[part].name} and {folder.name} are both there for {part}; remove one")
            _refuse_link(path, folder)
            found[part] = folder
    if "train" not in found:
        if found and len(found) == len(_folders(path)):
            there = ", ".join(f"{folder.name}/" for folder in found.values())
            raise DataError(
                f"{path}: has {there} but no train/; give the folder above both, or the class folders alone"
            )
        return {"train": _folders(path), "test": []}
    held_out = found.get("test", found.get("val"))
    return {"train": _folders(found["train"]), "test": [] if held_out is None else _folders(held_out)}


def _order(parts: dict[str, list[Path]]) -> Callable[[str], tuple[int, str]]:
    """Return the key to sort class names by: their numbers if all are numbers, else the names."""
    names = [folder.name for folders in parts.values() for folder in folders]
    numbered = all(name.isascii() and name.isdigit() for name in names)
    return lambda name: (int(name) if numbered else 0, name)


def _list(path: Path, folders: list[Path], names: list[str]) -> tuple[list[EncodedImage], list[DataError]]:
    """Return the images of a part, ordered by name, and what else was found."""
    root = path.resolve()
    position = {name: label for label, name in enumerate(names)}
    found: list[tuple[str, int, EncodedImage]] = []
    errors: list[DataError] = []
    for folder in folders:
        _refuse_link(root, folder)
        label, above = position[folder.name], folder.relative_to(path).as_posix()
        for inside, entry in _entries(folder, ""):
            suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122, a Path for each of a million files is slow
            reason = _reason_against(root, entry, suffix)
            if _UNPRINTABLE.search(inside):
                errors.append(DataError(f"{folder}: {_reason_against_name('file', inside)}; rename it"))
            elif reason:
                errors.append(DataError(f"{entry.path}: {reason}"))
            else:
                place = f"{above}/{inside}"
                found.append((inside, label, EncodedImage(entry.path, Path(entry.path), label, suffix, place)))
    found.sort(key=lambda image: image[:2])
    return [image for _, _, image in found], errors


def _entries(folder: Path | str, inside: str, depth: int = 0) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield the files of a folder and of those below it, with their path inside; links to folders come as files."""
    if depth > MAX_DEPTH:
        raise DataError(f"{folder}: more than {MAX_DEPTH} folders below a class; is this a folder of images?")
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.lower() in _NOT_COUNTED:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path, f"{inside}{entry.name}/", depth + 1)
            else:
                yield inside + entry.name, entry


def _reason_against(root: Path, entry: os.DirEntry[str], suffix: str) -> str:
    """Return why an entry cannot be taken for an image, without opening it; empty if it can."""
    if entry.is_symlink():
        if entry.is_dir():
            return "a symbolic link to a folder, which is not followed; put the images themselves here"
        try:
            target = Path(entry.path).resolve(strict=True)
        except (OSError, RuntimeError):
            return "a symbolic link that leads nowhere; remove it"
        if not target.is_relative_to(root):
            return "a symbolic link that leaves the folder; put the image itself here"
    if suffix not in SUFFIXES:
        found = f"a file named {suffix}" if suffix else "a file without a suffix"
        return f"expected an image ({', '.join(SUFFIXES)}), found {found}; move it out of the class folder"
    if not entry.is_file():
        return "expected an image, found something that is no file (a pipe, a device); remove it"
    return ""


def _reason_against_name(what: str, name: str) -> str:
    """Say what is wrong with a name that cannot be printed, escaped."""
    return f"expected a name of printable characters in UTF-8, found the {what} {name!a}"


def _refuse_link(root: Path, folder: Path) -> None:
    """Raise where a class folder is a symbolic link that leaves the folder."""
    if folder.is_symlink() and not folder.resolve().is_relative_to(root.resolve()):
        raise DataError(f"{folder}: a symbolic link that leaves the folder; put the images themselves there")
