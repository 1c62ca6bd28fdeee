"""Parquet with encoded images, as hubs store MNIST: a column of files inside, and a column of labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rot180.data.bounded import MAX_BYTES
from rot180.data.classes import MAX_CLASSES
from rot180.data.dataset import Dataset
from rot180.data.encoded import load_encoded
from rot180.data.lazy import EncodedImage
from rot180.data.options import BadFiles, ImageOptions
from rot180.data.parts import Sources, choose_files
from rot180.data.visible import named, visible
from rot180.errors import DataError

IMAGE_COLUMNS, LABEL_COLUMNS = ("image", "img"), ("label", "labels", "fine_label")

ROWS_AT_ONCE = 1024

DEPTH = 2
"""Folders above the files: hubs keep `configuration/part/0000.parquet`."""

MAX_FOLDERS = 1000
"""Folders that are looked into on a level; a tree of more is no folder of Parquet."""


def is_parquet(path: Path) -> bool:
    """Say whether a path is a Parquet file, or a folder with some or with a folder of some."""
    return bool(_files(path))


def read_parquet(path: Path, options: ImageOptions | None = None, bad: BadFiles | None = None) -> Dataset:
    """Read a data set from one Parquet file or a folder of them.

    A column `image` (or `img`) holds encoded images, as bytes or as a structure with a field `bytes`; a column `label`
    holds integers. Names of classes are taken from the metadata that hubs write. Which file is of which part is told by
    its name, or the name of its folder (`rot180.data.parts`).

    Raises
    ------
    DataError
        pyarrow is not installed; a file is damaged, has other columns, or holds more than 2 GiB; an image is bad; the
        files are of several data sets.
    """
    options = options or ImageOptions()
    try:
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        raise DataError(f"{path}: Parquet needs pyarrow; install it: pip install 'rot180[data]'") from None
    import pyarrow

    chosen, unused = choose_files(path, _files(path)) if path.is_dir() else ({"train": [path]}, [])
    images: dict[str, list[EncodedImage]] = {}
    errors: list[DataError] = []
    try:
        for part, files in chosen.items():
            images[part] = [image for file in files for image in _rows(path, file, parquet, errors)]
        class_names = _same_names(path, [file for files in chosen.values() for file in files], parquet)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0][:120]
        raise DataError(f"{path}: expected Parquet ({reason}); damaged, copy or download it again") from None
    bad = bad or BadFiles(options.on_bad_file, 0)
    bad.total = sum(map(len, images.values())) + len(errors)
    for missing in errors:
        bad.report(missing)
    places = {part: [_place(path, file) for file in files] for part, files in chosen.items()}
    return load_encoded(
        path.resolve().name.removesuffix(".parquet"),
        images,
        class_names,
        options,
        bad,
        description=f"Parquet in {path}",
        sources=Sources(
            **{part: named(files, 2) for part, files in places.items()},
            unused=named([_place(path, file) for file in unused]),
        ),
    )


def _place(path: Path, file: Path) -> str:
    return file.name if path.is_file() else file.relative_to(path).as_posix()


def _files(path: Path) -> list[Path]:
    """Return the Parquet files of a folder; where it has none, those of its folders and of theirs."""
    if path.is_file():
        return [path] if path.suffix.lower() == ".parquet" else []
    folders = [path]
    for _ in range(DEPTH + 1):
        entries = [entry for folder in folders if folder.is_dir() for entry in visible(folder)]
        if found := [entry for entry in entries if entry.suffix.lower() == ".parquet" and entry.is_file()]:
            return found
        folders = [entry for entry in entries if entry.is_dir()][:MAX_FOLDERS]
    return []


def _same_names(path: Path, files: list[Path], parquet: Any) -> tuple[str, ...] | None:
    """Return the names of the classes, in which all files that have any must agree."""
    known: dict[tuple[str, ...], Path] = {}
    for file in files:
        if names := _class_names(parquet.read_schema(file).metadata):
            known.setdefault(names, file)
    if len(known) > 1:
        (some, first), (others, second) = list(known.items())[:2]
        raise DataError(
            f"{path}: {_place(path, first)} has the classes {named(list(some), 3)}, but {_place(path, second)} "
            f"{named(list(others), 3)}; they are different data sets, name the one to use"
        )
    return next(iter(known), None)


def _rows(path: Path, file: Path, parquet: Any, errors: list[DataError]) -> Iterator[EncodedImage]:
    """Yield the images of one file, a few rows in memory beside them; rows without an image go to the errors."""
    with parquet.ParquetFile(file) as opened:
        names = opened.schema_arrow.names
        image_column = next((name for name in IMAGE_COLUMNS if name in names), None)
        label_column = next((name for name in LABEL_COLUMNS if name in names), None)
        if image_column is None or label_column is None:
            raise DataError(f"{file}: expected the columns image and label, found {', '.join(map(str, names[:8]))}")
        row, total, place = 0, 0, file.relative_to(path).as_posix()
        for batch in opened.iter_batches(batch_size=ROWS_AT_ONCE, columns=[image_column, label_column]):
            values, labels = batch.column(image_column).to_pylist(), batch.column(label_column).to_pylist()
            for value, label in zip(values, labels, strict=True):
                content = value.get("bytes") if isinstance(value, dict) else value
                name = f"{file}, row {row}"
                row += 1
                if content is None:
                    errors.append(DataError(f"{name}: expected an encoded image in {image_column}, found NoneType"))
                    continue
                if not isinstance(content, bytes):
                    raise DataError(
                        f"{name}: expected an encoded image in {image_column}, found {type(content).__name__}"
                    )
                if not isinstance(label, int) or not 0 <= label < MAX_CLASSES:
                    raise DataError(f"{name}: expected a whole number from 0 in {label_column}, found {label!r:.40}")
                total += len(content)
                if total > MAX_BYTES:
                    raise DataError(f"{file}: expected at most {MAX_BYTES} bytes of images, found more; split the file")
                yield EncodedImage(name, content, label, place=f"{place}, row {row - 1}")


def _class_names(metadata: Any) -> tuple[str, ...]:
    """Return the names of classes that hubs keep as JSON beside the schema; none where they are not there."""
    try:
        features = json.loads((metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        names = next(features[name]["names"] for name in LABEL_COLUMNS if name in features)
    except (ValueError, KeyError, TypeError, StopIteration, RecursionError):
        return ()
    return tuple(map(str, names)) if isinstance(names, list) else ()
