"""Parquet with encoded images, as hubs store MNIST: a column of files inside, and a column of labels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rot180.data.bounded import MAX_BYTES
from rot180.data.dataset import MAX_CLASSES, Dataset
from rot180.data.encoded import load_encoded
from rot180.data.lazy import EncodedImage
from rot180.data.options import BadFiles, ImageOptions
from rot180.errors import DataError

IMAGE_COLUMNS, LABEL_COLUMNS = ("image", "img"), ("label", "labels", "fine_label")

ROWS_AT_ONCE = 1024


def is_parquet(path: Path) -> bool:
    """Say whether a path is a Parquet file, or a folder with some or with a folder of some."""
    return bool(_files(path))


def read_parquet(path: Path, options: ImageOptions | None = None, bad: BadFiles | None = None) -> Dataset:
    """Read a data set from one Parquet file or a folder of them.

    A column `image` (or `img`) holds encoded images, as bytes or as a structure with a field `bytes`; a column `label`
    holds integers. Names of classes are taken from the metadata that hubs write. Files whose names begin with `test`
    (or `val`, where there is no `test`) are the test set; without them every fifth of each class is held out.

    Raises
    ------
    DataError
        pyarrow is not installed; a file is damaged, has other columns, or holds more than 2 GiB; an image is bad.
    """
    options = options or ImageOptions()
    try:
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        raise DataError(f"{path}: Parquet needs pyarrow; install it: pip install 'rot180[data]'") from None
    import pyarrow

    parts: dict[str, list[Path]] = {"train": [], "test": [], "val": []}
    for file in _files(path):
        match = re.match(r"(test|val)", file.name.lower())
        parts[match[1] if match else "train"].append(file)
    if not parts["train"]:  # a lone test file, say
        parts["train"], parts["test"], parts["val"] = parts["test"] or parts["val"], [], []
    held_out = parts["test"] or parts["val"]
    class_names: tuple[str, ...] = ()
    images: dict[str, list[EncodedImage]] = {}
    errors: list[DataError] = []
    try:
        for part, files in (("train", parts["train"]), ("test", held_out)):
            images[part] = [image for file in files for image in _rows(path, file, parquet, errors)]
        for file in parts["train"]:
            class_names = class_names or _class_names(parquet.read_schema(file).metadata)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0][:120]
        raise DataError(f"{path}: expected Parquet ({reason}); damaged, copy or download it again") from None
    every = [*images["train"], *images["test"]]
    if not class_names:
        class_names = tuple(str(number) for number in range(max((image.label for image in every), default=-1) + 1))
    bad = bad or BadFiles(options.on_bad_file, 0)
    bad.total = len(every) + len(errors)
    for missing in errors:
        bad.report(missing)
    name = path.resolve().name.removesuffix(".parquet")
    test = images["test"] if held_out else None
    return load_encoded(name, images["train"], test, class_names, options, bad, f"Parquet in {path}")


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix.lower() == ".parquet" else []
    if not path.is_dir():
        return []
    found = list(path.glob("*.parquet")) or list(path.glob("*/*.parquet"))
    return sorted(found)


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
