"""CSV files as a data set: one file, part of which is held out, or a folder with a file for each part."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from rot180.data.compose import compose
from rot180.data.csv_images import read_head, read_table
from rot180.data.dataset import Dataset
from rot180.data.emnist import NOTE, characters, emnist_set, upright
from rot180.data.label_texts import same_names
from rot180.data.options import BadFiles, ImageOptions
from rot180.data.parts import Sources, choose_files, is_submission
from rot180.data.visible import named, visible
from rot180.errors import DataError

_SUFFIX = re.compile(r"\.[ct]sv(\.gz)?$", re.IGNORECASE)


def is_csv_file(path: Path) -> bool:
    """Return whether a path is a file named `.csv` or `.tsv`, with or without `.gz`."""
    return bool(_SUFFIX.search(path.name)) and path.is_file()


def is_csv_folder(path: Path) -> bool:
    """Return whether a path is a folder with CSV files other than a competition's submission form."""
    return path.is_dir() and any(is_csv_file(entry) and not is_submission(entry.name) for entry in visible(path))


def read_csv_file(path: Path, options: ImageOptions | None = None, bad: BadFiles | None = None) -> Dataset:
    """Read one CSV file; every fifth image of each class becomes the test set.

    Raises
    ------
    DataError
        The file is not what `read_csv` expects.
    """
    return _read(path, _SUFFIX.sub("", path.name), {"train": path}, options, Sources(path.name))


def read_csv_folder(path: Path, options: ImageOptions | None = None, bad: BadFiles | None = None) -> Dataset:
    """Read a folder with a CSV file for each part (`rot180.data.parts`), or with a single one.

    Raises
    ------
    DataError
        It is not clear which file belongs to which part, or the files are not what `read_csv` expects.
    """
    chosen, unused = choose_files(path, [entry for entry in visible(path) if is_csv_file(entry)])
    for part, files in chosen.items():
        if len(files) > 1:
            names = named([file.name for file in files])
            raise DataError(
                f"{path}: expected one CSV file for each part, found {names} for {part}; give the one to use"
            )
    parts = {part: files[0] for part, files in chosen.items()}
    columns = {part: _columns(file) for part, file in parts.items()}
    without = [part for part in parts if columns[part] == columns["train"] - 1]  # the test part of a competition
    shown = [f"{parts.pop(part).name} (images without labels)" for part in without]
    if set(parts) == {"train"} and not unused and not shown:
        return read_csv_file(parts["train"], options, bad)
    unused_names = named([*shown, *(file.name for file in unused)])
    sources = Sources(**{part: file.name for part, file in parts.items()}, unused=unused_names)
    return _read(path, path.resolve().name, parts, options, sources)


def _columns(path: Path) -> int:
    return len(read_head(path).sample[0])


def _read(path: Path, name: str, parts: Mapping[str, Path], options: ImageOptions | None, sources: Sources) -> Dataset:
    label_column = None if options is None else options.label_column
    tables = {part: read_table(file, label_column) for part, file in parts.items()}
    labels, class_names = same_names({part: table.labels for part, table in tables.items()})
    images = {part: table.images for part, table in tables.items()}
    emnist = emnist_set(parts["train"].name) if class_names is None else None
    if emnist:
        images = {part: upright(some) for part, some in images.items()}
        labels = {part: characters(parts[part], emnist, some) for part, some in labels.items()}
    unused = ", ".join(some for some in (sources.unused, tables["train"].unused) if some)
    return compose(
        name or "csv",
        {part: (images[part], labels[part]) for part in parts},
        where=path,
        description=f"CSV in {path}, {tables['train'].note}",
        sources=sources._replace(unused=unused),
        class_names=class_names,
        notes=(NOTE,) if emnist else (),
    )
