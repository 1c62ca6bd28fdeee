"""Parquet files of images, as stored by data hubs or as tables: which files are read, and how."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from rot180.data.bounded import refuse_disguise
from rot180.data.compose import compose
from rot180.data.dataset import Dataset
from rot180.data.encoded import load_encoded
from rot180.data.label_texts import same_names
from rot180.data.options import BadFiles, ImageOptions
from rot180.data.parquet_columns import TableColumns, find_table_columns
from rot180.data.parquet_rows import read_arrays, read_encoded
from rot180.data.parts import Sources, choose_files
from rot180.data.visible import is_of_system, named
from rot180.errors import DataError, Rot180Error

DEPTH = 2
"""Levels of folders above the files: hubs use `configuration/part/0000.parquet`."""

MAX_FOLDERS = 1000
"""Maximum number of folders that are searched on each level."""


def is_parquet(path: Path) -> bool:
    """Return whether a path is a Parquet file, or a folder with Parquet files in or below it."""
    return bool(_files(path))


def read_parquet(path: Path, options: ImageOptions | None = None, bad: BadFiles | None = None) -> Dataset:
    """Read a data set from one Parquet file or a folder of them.

    Images are encoded files, as bytes or as a struct with a field `bytes`, or pixels: nested lists, or a column for
    each pixel. Labels are whole numbers or text, in the column given by `options.label_column` or found by its name.
    Class names are taken from the metadata that hubs write. The part that a file belongs to follows from its name, or
    the name of its folder (`rot180.data.parts`).

    Raises
    ------
    DataError
        pyarrow is not installed; a file is damaged, has other columns, or holds more than 2 GiB; an image is bad; the
        files belong to several data sets.
    """
    options = options or ImageOptions()
    try:
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        raise DataError(f"{path}: Parquet needs pyarrow; install it with: pip install 'rot180[data]'") from None
    import pyarrow

    chosen, unused = choose_files(path, _files(path)) if path.is_dir() else ({"train": [path]}, [])
    bad = bad or BadFiles(options.on_bad_file, 0)
    places = {part: [_place(path, file) for file in files] for part, files in chosen.items()}
    sources = Sources(
        **{part: named(files, 2) for part, files in places.items()},
        unused=named([_place(path, file) for file in unused]),
    )
    name = path.resolve().name.removesuffix(".parquet")
    try:
        every = [file for files in chosen.values() for file in files]
        for file in every:
            refuse_disguise(file, "Parquet")
        columns = {file: find_table_columns(file, parquet, options.label_column) for file in every}
        class_names = _same_names(path, columns)
        first = columns[every[0]]
        if any(column.is_encoded != first.is_encoded for column in columns.values()):
            raise DataError(f"{path}: some files hold encoded images, others arrays; give the path of those to use")
        description = f"Parquet in {path}, {first.note}"
        if not first.is_encoded:
            arrays = {part: read_arrays(files, columns, parquet, bad) for part, files in chosen.items()}
            labels, words = same_names({part: labels for part, (_, labels) in arrays.items()})

            return compose(
                name,
                {part: (some, labels[part]) for part, (some, _) in arrays.items()},
                where=path,
                description=description,
                sources=sources,
                class_names=words or class_names,
                notes=first.notes,
            )
        errors: list[DataError] = []
        images, words = read_encoded(path, chosen, columns, parquet, errors)
    except Rot180Error:
        raise
    # In damaged files, pyarrow finds text that is not UTF-8, and indices outside its dictionaries.
    except (pyarrow.ArrowException, OSError, NotImplementedError, ValueError, IndexError) as error:
        reason = str(error).partition("\n")[0][:120]
        raise DataError(f"{path}: expected Parquet ({reason}); it is damaged, copy or download it again") from None
    bad.total = sum(map(len, images.values())) + len(errors)
    for missing in errors:
        bad.report(missing)
    return load_encoded(
        name,
        images,
        words or class_names,
        options,
        bad,
        description=description,
        sources=sources,
        notes=first.notes,
    )


def _place(path: Path, file: Path) -> str:
    return file.name if path.is_file() else file.relative_to(path).as_posix()


def _files(path: Path) -> list[Path]:
    """Return the Parquet files in a folder, or else those in its subfolders."""
    if path.is_file():
        return [path] if path.suffix.lower() == ".parquet" else []
    folders = [path] if path.is_dir() else []
    for _ in range(DEPTH + 1):
        found: list[Path] = []
        inner: list[Path] = []
        for folder in folders:
            with os.scandir(folder) as entries:  # may be a folder of many images, so no further calls per file
                for entry in entries:
                    if entry.is_dir():
                        inner.append(folder / entry.name)
                    elif entry.name.lower().endswith(".parquet") and entry.is_file():
                        found.append(folder / entry.name)
        if found := [file for file in found if not is_of_system(file.name)]:
            return sorted(found)
        folders = sorted(some for some in inner if not is_of_system(some.name))[:MAX_FOLDERS]
    return []


def _same_names(path: Path, columns: Mapping[Path, TableColumns]) -> tuple[str, ...] | None:
    """Return the class names; raise DataError if files have different ones."""
    known: dict[tuple[str, ...], Path] = {}
    for file, found in columns.items():
        if found.class_names:
            known.setdefault(found.class_names, file)
    if len(known) > 1:
        (some, first), (others, second) = list(known.items())[:2]
        raise DataError(
            f"{path}: {_place(path, first)} has the classes {named(list(some), 3)}, but {_place(path, second)} has "
            f"{named(list(others), 3)}; they are different data sets, give the path of the one to use"
        )
    return next(iter(known), None)
