"""A table of image files and their labels next to the images: `filename,label`, or IDs without a suffix."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from rot180.data import csv_text
from rot180.data.bounded import open_bytes
from rot180.data.columns import column_of, label_note, named_label, unused_columns
from rot180.data.csv_dataset import is_csv_file
from rot180.data.csv_images import Head, read_head
from rot180.data.csv_text import split_line
from rot180.data.dataset import Dataset
from rot180.data.encoded import load_encoded
from rot180.data.image_opening import SUFFIXES
from rot180.data.label_texts import Labels, LabelTexts, same_names
from rot180.data.lazy import EncodedImage
from rot180.data.options import BadFiles, ImageOptions
from rot180.data.parts import Sources, choose_files, is_submission, part_of
from rot180.data.visible import is_of_system, named, visible
from rot180.errors import DataError

FILES = ("filename", "file_name", "file", "image", "image_name", "image_id", "imageid", "image_path", "img", "path",
         "filepath", "file_path", "id", "name", "fname", "")  # fmt: skip
"""Names of file columns; a column whose values end in an image suffix is one under any name."""

MAX_COLUMNS = 50
"""A table with more columns is not a list of files."""

MAX_LISTED = 250_000
"""Maximum number of images below the table's folder; each takes 1 KB of memory."""

MAX_SEEN = 1_000_000
"""Maximum number of files searched for them."""

DEPTH = 4
"""Levels of folders below the table that are searched for images."""


class Listing(NamedTuple):
    """A table that lists images."""

    table: Path
    head: Head
    file_column: int


def is_listing(path: Path) -> bool:
    """Return whether a path is a table that lists images next to it, or a folder with one."""
    return bool(_listings(path))


def read_listing(path: Path, options: ImageOptions | None = None, bad: BadFiles | None = None) -> Dataset:
    """Read the images listed in a table, or in one table for each part (`rot180.data.parts`).

    A file is given by its path relative to the table's folder, by its name, or by its name without the suffix, as long
    as that is unique. The label column is the one given by `options.label_column`, the one with a label's name in the
    header, or the only column besides the files.

    Raises
    ------
    DataError
        It is not clear which column is the label; an image is missing or bad, and the options are strict.
    """
    options = options or ImageOptions()
    listings = {listing.table: listing for listing in _listings(path)}
    root = path.parent if path.is_file() else path
    if not listings:
        raise DataError(f"{path}: expected a table that lists images below {root}, found none of them")
    chosen, unused = ({"train": [path]}, []) if path.is_file() else choose_files(path, list(listings))
    at: Path | None = None
    files: Mapping[str, str | None] = {}  # below one table's folder at a time
    bad = bad or BadFiles(options.on_bad_file, 0)
    images: dict[str, list[EncodedImage]] = {}
    labels: dict[str, Labels] = {}
    errors: list[DataError] = []
    note, passed_over = "", ""
    for part, tables in chosen.items():
        texts, images[part] = LabelTexts(root, "the labels"), []
        for table in tables:
            label = _label_column(listings[table], options.label_column)
            header = listings[table].head.header
            note = note or label_note(header, label)
            others = set(range(len(listings[table].head.sample[0]))) - {label, listings[table].file_column}
            passed_over = passed_over or unused_columns(header, sorted(others))
            if table.parent != at:
                at, files = table.parent, {}  # frees those of the last folder first
                files = _images_below(table.parent)
            _read(root, listings[table], label, files, texts, images[part], errors)
            if sum(map(len, images.values())) > MAX_LISTED:
                raise DataError(f"{path}: expected at most {MAX_LISTED} images, found more")
        labels[part] = texts.finish()
    values, words = same_names(labels)
    for part, some in images.items():
        images[part] = [image._replace(label=int(values[part][image.label])) for image in some]
    bad.total = sum(map(len, images.values())) + len(errors)
    for error in errors:
        bad.report(error)
    tables_used = [_place(root, table) for some in chosen.values() for table in some]
    beside = [entry.name for entry in visible(root) if is_csv_file(entry) and entry not in listings and path.is_dir()]
    return load_encoded(
        (path.stem if path.is_file() else path.resolve().name) or "images",
        images,
        words,
        options,
        bad,
        description=f"images in {root}, {note} of {named(tables_used)}",
        sources=Sources(
            **{part: named([_place(root, table) for table in tables]) for part, tables in chosen.items()},
            unused=named(
                [*(_place(root, table) for table in unused), *beside, *([passed_over] if passed_over else [])]
            ),
        ),
    )


def _listings(path: Path) -> list[Listing]:
    """Return the tables that list images and labels: the given file, or those in the given folder."""
    tables = [path] if path.is_file() else visible(path) if path.is_dir() else []
    if path.is_dir():
        tables = [table for table in tables if not is_submission(table.name)]
    found: list[Listing] = []
    if path.is_dir() and not any(map(is_csv_file, tables)):
        return [listing for inner in tables if inner.is_dir() and part_of(inner.name) for listing in _listings(inner)]
    files: Mapping[str, str | None] | None = None
    for table in filter(is_csv_file, tables):
        try:
            head = read_head(table)
            if not 2 <= len(head.sample[0]) <= MAX_COLUMNS:
                continue
            files = _images_below(table.parent) if files is None else files
            # a table that was named is a list even if none of its files is there: the reader says so
            column = _suffixed_column(head) if path.is_file() else None
            if column is None and files:
                column = _file_column(head, files)
                if column is not None and not any(files.get(_key(row[column])) for row in head.sample[:100]):
                    column = None
        except DataError:
            continue  # the reader for its format reports the error
        if column is not None:
            found.append(Listing(table, head, column))
    return found


def _suffixed_column(head: Head) -> int | None:
    """Return the column whose values all end in the suffix of an image file."""
    few = head.sample[:20]
    for column in range(len(few[0])):
        if all(os.path.splitext(row[column])[1].lower() in SUFFIXES for row in few):  # noqa: PTH122
            return column
    return None


def _file_column(head: Head, files: Mapping[str, str | None]) -> int | None:
    """Return the column that may hold file names, judged by the suffixes of its values, its name, or the files."""
    few = head.sample[:20]
    if (suffixed := _suffixed_column(head)) is not None:
        return suffixed
    lower = [name.strip().casefold() for name in head.header or ()]
    if (named_so := next((lower.index(name) for name in FILES if name in lower), None)) is not None:
        return named_so
    for column in range(len(few[0])):
        values = {row[column] for row in few}
        if len(values) == len(few) > 2 and all(files.get(_key(value)) for value in values):
            return column
    return None


def _label_column(listing: Listing, asked: str | int | None) -> int:
    header, count = listing.head.header, len(listing.head.sample[0])
    if asked is not None:
        return column_of(str(listing.table), asked, header, count)
    label = named_label(header)
    others = [column for column in range(count) if column != listing.file_column]
    if label is None and len(others) == 1:
        label = others[0]
    if label is None or label == listing.file_column:
        names = named([header[column] if header else str(column + 1) for column in others], 6)
        raise DataError(f"{listing.table}: which column is the label? choose one with --label-column: {names}")
    return label


def _read(
    root: Path,
    listing: Listing,
    label: int,
    files: Mapping[str, str | None],
    texts: LabelTexts,
    images: list[EncodedImage],
    errors: list[DataError],
) -> None:
    table, head = listing.table, listing.head
    folder = table.parent
    above = folder.relative_to(root)
    with open_bytes(table, "CSV") as (file, _):
        for first, block in csv_text.blocks(table, file):
            for row, line in enumerate(block.split(b"\n"), first):
                if not line.strip() or row < head.row:
                    continue
                try:
                    fields = split_line(line, head.separator)
                except DataError as error:
                    raise DataError(f"{table}: row {row}: {error}") from None
                if len(fields) != len(head.sample[0]):
                    raise DataError(
                        f"{table}: row {row}: expected {len(head.sample[0])} columns as in the first row, found "
                        f"{len(fields)}; complete or remove the row"
                    )
                name = fields[listing.file_column]
                place = files.get(_key(name), "")
                if not place or not fields[label]:
                    if place:
                        fault = f"{table}: row {row}: expected a label, found none; correct or remove the row"
                    elif place is None:
                        fault = (
                            f"{table}: row {row}: several images below {folder} are named {name[:80]!a}; give a path"
                        )
                    else:
                        fault = f"{table}: row {row}: no image {name[:80]!a} below {folder}; correct or remove the row"
                    errors.append(DataError(fault))
                    continue
                if len(images) >= MAX_LISTED:
                    raise DataError(f"{table}: row {row}: expected at most {MAX_LISTED} images, found more")
                texts.add([fields[label]], [row])
                suffix = os.path.splitext(place)[1].lower()  # noqa: PTH122
                found = folder / place
                images.append(EncodedImage(str(found), found, len(texts) - 1, suffix, (above / place).as_posix()))


def _place(root: Path, table: Path) -> str:
    return table.relative_to(root).as_posix()


def _key(name: str) -> str:
    return name.strip().replace("\\", "/").removeprefix("./")


def _images_below(root: Path) -> dict[str, str | None]:
    """Return the paths of the images below a folder by path, name, and name without suffix; None for ambiguous names.

    Only files found here are opened, so a table cannot refer to files elsewhere. Links are skipped.
    """
    found: dict[str, str | None] = {}
    count, seen, level = 0, 0, [""]
    for _ in range(DEPTH + 1):
        inner: list[str] = []
        for above in level:
            with os.scandir(root / above) as entries:
                for entry in entries:
                    seen += 1
                    if seen > MAX_SEEN:
                        raise DataError(f"{root}: more than {MAX_SEEN} files next to a table; move it to its images")
                    if is_of_system(entry.name):
                        continue
                    place = above + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        inner.append(f"{place}/")
                    elif os.path.splitext(entry.name)[1].lower() in SUFFIXES and entry.is_file(follow_symlinks=False):  # noqa: PTH122
                        count += 1
                        if count > MAX_LISTED:
                            raise DataError(f"{root}: expected at most {MAX_LISTED} images next to a table, found more")
                        for key in {place, entry.name, os.path.splitext(entry.name)[0], os.path.splitext(place)[0]}:  # noqa: PTH122
                            found[key] = place if found.get(key, place) == place else None
        level = inner
    return found
