"""The layout of a folder of images: which folders are parts, which are classes, and which are neither.

    class/image                 classes; a fifth of each is held out for testing, unless a folder test/ is next to them
    part/class/image            parts (`rot180.data.parts`), also nested in a folder (seg_train/seg_train/class)
    class/part/image            the same, the other way around
    part/image, image           classes from the file names, if these are unambiguous

A symbolic link is followed only if it is itself a part or a class: people keep data on another disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rot180.data.file_names import class_of, classes_in_names
from rot180.data.image_opening import SUFFIXES
from rot180.data.parts import PARTS, Sources, assign, part_of
from rot180.data.visible import is_of_system, named, visible
from rot180.errors import DataError

MAX_DEPTH = 8
"""Maximum depth of folders below a class; a deeper tree is considered a mistake."""


_NO_CLASSES = set(
    "images image imgs img pictures photos jpg jpeg png jpegimages data all raw unknown unlabeled unlabelled".split()
)
"""Names of folders that say nothing about what is in the images."""


class ClassFolder(NamedTuple):
    """The folder with the images of one class and part."""

    class_name: str
    folder: Path
    files: tuple[str, ...] | None = None
    """File names in the folder; None means all files in and below it."""


class Layout(NamedTuple):
    """The contents of a folder of images.

    Attributes
    ----------
    parts : dict of part to list of ClassFolder
        As named by `rot180.data.parts.assign`.
    sources : Sources
    notes : tuple of str
        Further remarks for the user.
    """

    parts: dict[str, list[ClassFolder]]
    sources: Sources
    notes: tuple[str, ...] = ()


def has_class_folders(path: Path) -> bool:
    """Return whether a folder holds folders of images: classes, or parts with or without classes."""
    if not path.is_dir():
        return False
    inside = folders(path)
    if any(_has_image(folder) for folder in inside) or _is_turned(
        [folder for folder in inside if _has_image_below(folder)]
    ):
        return True
    return any(part_of(folder.name) and _has_image_below(folder) for folder in inside)


def has_parts_of_classes(path: Path) -> bool:
    """Return whether a folder holds a training part with class folders."""
    if not path.is_dir():
        return False
    return any(part_of(folder.name) == "train" and _holds_classes(_unwrapped(folder)) for folder in folders(path))


def has_images_alone(path: Path) -> bool:
    """Return whether a folder holds images but no folders of images."""
    return path.is_dir() and _has_image(path) and not has_class_folders(path)


def has_unlabeled_images(path: Path) -> bool:
    """Return whether a folder holds images alone, and their names do not contain classes."""
    return (
        has_images_alone(path)
        and classes_in_names([entry.name for entry in visible(path) if _is_image(entry.name)]) is None
    )


def find_layout(path: Path) -> Layout:
    """Determine the layout of a folder of images.

    Raises
    ------
    DataError
        Two folders are for the same part; there are only test images; the images are not in class folders and their
        names do not contain classes; a link leads back to a folder above it, or to images that are read already.
    """
    inside = folders(path)
    with_images = [folder for folder in inside if _has_image_below(folder)]
    parts = _named_parts(path, with_images)
    if _is_turned(with_images):
        layout = _turned(path, inside)
    elif not with_images:
        layout = _flat(path, {"train": path})
    elif len(with_images) == 1 and _is_no_class(with_images[0]):
        layout = _flat(path, {"train": with_images[0]})
    elif "train" in parts and _holds_classes(parts["train"]):
        layout = _parts(path, parts)
    elif any(part_of(folder.name) is None for folder in with_images) and not ("train" in parts and len(parts) > 1):
        layout = _classes(path, inside, parts)
    else:
        assign(path, parts)  # raises if there is nothing to train on
        layout = _flat(path, parts)
    links = _links(path, layout)
    return layout._replace(notes=(*layout.notes, *links))


def _named_parts(path: Path, with_images: list[Path]) -> dict[str, Path]:
    """Return the folder of each part; of several for the same part, the one with class folders."""
    named_so: dict[str, list[Path]] = {}
    for folder in with_images:
        if part := part_of(folder.name):
            named_so.setdefault(part, []).append(_unwrapped(folder))
    parts: dict[str, Path] = {}
    for part, some in named_so.items():
        holding = [top for top in some if _holds_classes(top)] or some
        if len(holding) > 1:
            first, second, *_ = (top.relative_to(path).parts[0] for top in holding)
            raise DataError(
                f"{path}: {first} and {second} are both for {part}; remove one, or give the path of the one to use"
            )
        parts[part] = holding[0]
    return parts


def folders(path: Path) -> list[Path]:
    """Return the subfolders of a folder, including links to folders, sorted by name."""
    with os.scandir(path) as entries:
        return sorted(path / entry.name for entry in entries if entry.is_dir() and not is_of_system(entry.name))


def _parts(path: Path, parts: dict[str, Path]) -> Layout:
    """Return the layout of class folders below part folders."""
    found, unused = _with_classes(path, parts, {})
    return _layout(path, found, {part: _place(path, parts[part]) for part in found}, _beside(path, parts) + unused)


def _classes(path: Path, inside: list[Path], parts: dict[str, Path]) -> Layout:
    """Return the layout of class folders, possibly next to a folder of test or validation images.

    A folder `train` among them that holds images is a class (of vehicles), and so is `valid` next to `invalid`.
    """
    names = {folder.name.lower() for folder in inside}
    beside = {
        part: top
        for part, top in parts.items()
        if part != "train" and not (top.name.lower() == "valid" and "invalid" in names)
    }
    taken = {top.relative_to(path).parts[0] for top in beside.values()}
    classes = [ClassFolder(folder.name, folder) for folder in inside if folder.name not in taken]
    found, unused = _with_classes(path, {"train": path, **beside}, {"train": classes})
    places = {part: _place(path, beside[part]) if part in beside else "the class folders" for part in found}
    return _layout(path, found, places, unused)


def _with_classes(
    path: Path, parts: dict[str, Path], found: dict[str, list[ClassFolder]]
) -> tuple[dict[str, list[ClassFolder]], list[str]]:
    """Return the classes of each part: from folders, or from file names if those of the training images are known."""
    unused: list[str] = []
    for part in (part for part in PARTS if part in parts):
        top = parts[part]
        stray = [entry for entry in visible(top) if not entry.is_dir()]
        if part in found:
            pass
        elif _holds_classes(top):
            found[part] = [ClassFolder(inner.name, inner) for inner in folders(top)]
        elif by_name := _of_known_classes([entry.name for entry in stray], found["train"]):
            found[part], stray = _by_name(top, by_name), []
        else:
            unused.append(f"{_place(path, top)} (images without classes)")
            continue
        unused += [entry.relative_to(path).as_posix() for entry in stray]
    return found, unused


def _turned(path: Path, inside: list[Path]) -> Layout:
    """Return the layout of class folders that each contain part folders."""
    found: dict[str, list[ClassFolder]] = {}
    unused = [entry.name for entry in visible(path) if not entry.is_dir()]
    for folder in inside:
        for entry in visible(folder):
            part = part_of(entry.name)
            if part and entry.is_dir():
                found.setdefault(part, []).append(ClassFolder(folder.name, entry))
            else:
                unused.append(f"{folder.name}/{entry.name}")
    return _layout(path, found, {part: f"*/{some[0].folder.name}/" for part, some in found.items()}, unused)


def _flat(path: Path, parts: dict[str, Path]) -> Layout:
    """Return the layout of images without class folders, with classes from the file names."""
    images = {part: [entry.name for entry in visible(top) if _is_image(entry.name)] for part, top in parts.items()}
    known = classes_in_names(images["train"])
    if known is None:
        example = (parts["train"] / "cat" / (images["train"] or ["1.png"])[0]).relative_to(path).as_posix()
        raise DataError(
            f"{parts['train']}: holds images without class folders, and the file names do not contain classes; put the "
            f"images of each class into a separate folder, such as {example}"
        )
    found, unused = _with_classes(path, parts, {"train": _by_name(parts["train"], known)})
    unused = [name for name in dict.fromkeys(_beside(path, parts) + unused) if Path(name).name not in known]
    note = f"the classes are taken from the file names: {named(sorted(set(known.values())))}"
    places = {part: _place(path, parts[part]) for part in found}
    return _layout(path, found, places, unused)._replace(notes=(note,))


def _layout(path: Path, found: dict[str, list[ClassFolder]], places: dict[str, str], unused: list[str]) -> Layout:
    """Return a layout whose parts are assigned by their names."""
    taken, sources = assign(path, found), assign(path, places)
    return Layout(taken, Sources(**sources, unused=named(unused)))


def _place(path: Path, folder: Path) -> str:
    return "the images" if folder == path else f"{folder.relative_to(path).as_posix()}/"


def _beside(path: Path, parts: dict[str, Path]) -> list[str]:
    """Return the names of the entries next to the part folders."""
    taken = {top.relative_to(path).parts[:1] for top in parts.values()}
    return [f"{entry.name}/" if entry.is_dir() else entry.name for entry in visible(path) if (entry.name,) not in taken]


def _of_known_classes(names: Sequence[str], classes: list[ClassFolder]) -> dict[str, str]:
    """Return the classes in the images' names; none if a name does not contain the name of a known class."""
    known = {some.class_name for some in classes}
    found = {name: class_of(name) for name in names if _is_image(name)}
    if not all(class_name in known for class_name in found.values()):
        return {}
    return {name: class_name for name, class_name in found.items() if class_name is not None}


def _by_name(folder: Path, known: dict[str, str]) -> list[ClassFolder]:
    files: dict[str, list[str]] = {}
    for name, class_name in known.items():
        files.setdefault(class_name, []).append(name)
    return [ClassFolder(class_name, folder, tuple(some)) for class_name, some in files.items()]


def _links(path: Path, layout: Layout) -> tuple[str, ...]:
    """Return a note on the links to parts and classes; no other folders may be links.

    Raises
    ------
    DataError
        A link leads to a folder above it, or images would be read twice.
    """
    links: dict[str, Path] = {}
    seen: dict[Path, Path] = {}
    for some in (some for classes in layout.parts.values() for some in classes):
        target = some.folder.resolve()
        for folder in (some.folder, *some.folder.parents):
            if folder == path:
                break
            if folder.is_symlink():
                links[folder.relative_to(path).as_posix()] = folder.resolve()
                if folder.parent.resolve().is_relative_to(folder.resolve()):
                    raise DataError(f"{folder}: a symbolic link to a folder that contains it; remove it")
        if some.files is None and target in seen:
            raise DataError(f"{seen[target]} and {some.folder} are the same folder; remove the symbolic link")
        seen[target] = some.folder
    return (f"symbolic links are followed: {named([f'{name} -> {links[name]}' for name in links])}",) if links else ()


def _is_turned(with_images: list[Path]) -> bool:
    """Return whether folders are classes with a folder for each part: `cat/train/`, `cat/test/`."""
    if len(with_images) < 2 or any(part_of(folder.name) or _has_image(folder) for folder in with_images):
        return False
    for folder in with_images:
        inner = [some for some in folders(folder) if _has_image_below(some)]
        if not all(part_of(some.name) and _has_image(some) for some in inner):
            return False
        if not any(part_of(some.name) == "train" for some in inner):
            return False
    return True


def _unwrapped(folder: Path) -> Path:
    """Return the folder that holds the classes, which may be nested: `seg_train/seg_train/`, `train/images/`."""
    for _ in range(2):
        inner = [some for some in folders(folder) if _has_image_below(some)]
        if len(inner) != 1 or _has_image(folder):
            break
        is_between = part_of(inner[0].name) == part_of(folder.name) or _is_no_class(inner[0])
        if not is_between and (_has_image(inner[0]) or not folders(inner[0])):
            break
        folder = inner[0]
    return folder


def _is_no_class(folder: Path) -> bool:
    """Return whether a folder that holds images has a generic name, which is not a class."""
    return folder.name.lower() in _NO_CLASSES and _has_image(folder)


def _holds_classes(folder: Path) -> bool:
    """Return whether a folder has subfolders that contain images."""
    return any(_has_image_below(inner) for inner in folders(folder))


def _has_image(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(_is_image(entry.name) for entry in entries)


def _has_image_below(folder: Path) -> bool:
    return any(_is_image(name) for name in _names_below(folder, 0))


def _names_below(folder: Path, depth: int) -> Iterator[str]:
    """Yield the names of files in and below a folder, down to `MAX_DEPTH`, without following links."""
    with os.scandir(folder) as entries:
        inner = []
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                inner.append(entry)
            else:
                yield entry.name
    for entry in inner:
        if depth < MAX_DEPTH and not is_of_system(entry.name):
            yield from _names_below(Path(entry.path), depth + 1)


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES and not is_of_system(name)  # noqa: PTH122
