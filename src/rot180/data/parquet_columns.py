"""Which columns of a Parquet file are images and labels, by their types, their names and the metadata of hubs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from rot180.data.bounded import MAX_BYTES, MAX_LABEL_BYTES
from rot180.data.classes import MAX_CLASSES
from rot180.data.columns import LABELS, column_of, find_columns, named_label
from rot180.data.parquet_footer import Chunk, read_chunks
from rot180.data.visible import named
from rot180.errors import DataError

IMAGES = ("image", "img", "images", "picture", "photo", "image_bytes", "bytes", "pixels", "jpg", "jpeg", "png", "webp",
          "data", "x")  # fmt: skip
"""Names of image columns; if a file has several, the first in this list is used."""

SAMPLE = 1000
"""Number of rows used to identify the columns of a table of pixels."""

MAX_METADATA = 16 * 1024**2
"""Maximum number of bytes of metadata that are parsed."""


MAX_LABEL_PAGE = 32 * 1024**2
"""Maximum size of a page of labels or of values of one pixel: 4,000,000 64-bit integers."""


class TableColumns(NamedTuple):
    """The roles of a file's columns."""

    leaves: tuple[str, ...]
    """The columns of the images: `image.bytes`, or the names of the pixel columns."""
    is_encoded: bool
    label: str
    shape: tuple[int, int, int] | None
    """The shape of an image, if each pixel has a column."""
    class_names: tuple[str, ...]
    note: str
    notes: tuple[str, ...]
    """Remarks for the user."""


def find_table_columns(file: Path, parquet: Any, label_column: str | int | None = None) -> TableColumns:
    """Return which columns of a file hold images and labels.

    Raises
    ------
    DataError
        There are no images, or it is unclear which column is the label.
    """
    with parquet.ParquetFile(file) as opened:
        schema, names = opened.schema_arrow, [str(name) for name in opened.schema_arrow.names]
        if len(set(names)) < len(names):
            raise DataError(f"{file}: two columns have the same name; rename one")
        features = _features(schema.metadata)
        if label_column is not None:
            label: int | None = column_of(str(file), label_column, names, len(names))
        else:
            kinds = {at for at, field in enumerate(schema) if _is_label(field.type)}
            found = named_label([name if at in kinds else "" for at, name in enumerate(names)])
            marked = [names.index(name) for name, feature in features.items() if _names(feature) and name in names]
            label = found if found is not None else (marked[0] if len(marked) == 1 else None)
        leaf = _image_leaf(file, schema, names, features, label)
        if leaf is not None and label is None:
            raise DataError(
                f"{file}: expected a column of labels ({', '.join(LABELS[:7])}), found {_shown(names)}; "
                "choose one with --label-column"
            )
        if leaf is not None and label is not None:
            if not _is_label(schema.field(label).type):
                raise DataError(
                    f"{file}: expected whole numbers or text in {names[label]}, the labels, found "
                    f"{str(schema.field(label).type)[:40]}; choose another column with --label-column"
                )
            others = [name for at, name in enumerate(names) if at != label and name.casefold() in LABELS]
            others += [name for name in features if _names(features[name]) and name not in (*others, names[label])]
            note = f"labels from the column {names[label]}; others can be chosen with --label-column: {named(others)}"
            return TableColumns(
                (leaf[0],),
                leaf[1],
                names[label],
                None,
                _names(features.get(names[label])),
                f"labels from the column {names[label]!r:.40}",
                (note,) if others else (),
            )
        kept = [
            name
            for at, (name, field) in enumerate(zip(names, schema, strict=True))
            if _is_label(field.type) and (_is_number(field.type) or at == label)
        ]
        if len(kept) < 2:
            raise DataError(
                f"{file}: expected a column of images ({', '.join(IMAGES[:5])}), encoded or as lists of pixels, found "
                f"{_shown(names)}"
            )
        asked = None if label is None or names[label] not in kept else kept.index(names[label]) + 1
        for chunk in read_chunks(file, kept):
            require_labels(file, chunk)
        rows = next(opened.iter_batches(batch_size=max(1, min(SAMPLE, 200_000 // len(kept))), columns=kept), None)
        if rows is None or not rows.num_rows:
            raise DataError(f"{file}: expected rows with images, found none")
        sample = [[str(value) for value in row.values()] for row in rows.select(kept).to_pylist()]
        table = find_columns(str(file), kept, sample, asked)
        return TableColumns(
            tuple(kept[at] for at in table.pixels), False, kept[table.label], table.shape,
            _names(features.get(kept[table.label])), f"labels from the column {kept[table.label]!r:.40}", (),
        )  # fmt: skip


def require_labels(file: Path, chunk: Chunk) -> int:
    """Return the mean size of a label, or of a pixel, in bytes; raise DataError if the column is too large."""
    if chunk.largest > MAX_LABEL_PAGE or chunk.uncompressed > MAX_LABEL_BYTES:
        raise DataError(
            f"{file}: {chunk.column[:40]}: expected at most {MAX_LABEL_BYTES} bytes in a row group and "
            f"{MAX_LABEL_PAGE} in a page, found {chunk.uncompressed} and {chunk.largest}; choose another column with "
            "--label-column"
        )
    return chunk.uncompressed // max(1, chunk.rows)


def _image_leaf(
    file: Path, schema: Any, names: list[str], features: dict[str, Any], label: int | None
) -> tuple[str, bool] | None:
    """Return the path of the image column and whether the images are encoded; None if each pixel has a column."""
    import pyarrow

    types = pyarrow.types
    found: dict[str, tuple[str, bool]] = {}
    for at, field in enumerate(schema):
        kind = field.type
        if at == label:
            continue
        if types.is_binary(kind) or types.is_large_binary(kind):
            found[names[at]] = names[at], True
        elif types.is_struct(kind) and any(inner.name == "bytes" and _is_bytes(inner.type) for inner in kind):
            found[names[at]] = f"{names[at]}.bytes", True
        elif _is_list(kind):
            found[names[at]] = names[at], False
    marked = [
        name for name, feature in features.items() if isinstance(feature, dict) and feature.get("_type") == "Image"
    ]
    lower = {name.casefold(): name for name in found}
    for name in (*marked, *(lower.get(name, "") for name in IMAGES)):
        if name in found:
            return found[name]
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise DataError(f"{file}: several columns may hold the images: {named(list(found))}; rename one to image")
    return None


def _is_bytes(kind: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))


def _is_list(kind: Any) -> bool:
    """Return whether a type is lists of numbers, nested up to three levels."""
    import pyarrow

    types = pyarrow.types
    for depth in range(4):
        if not (types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)):
            return depth > 0 and bool(types.is_integer(kind) or types.is_floating(kind))
        kind = kind.value_type
    return False


def _is_number(kind: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind))


def _is_label(kind: Any) -> bool:
    import pyarrow

    types = pyarrow.types
    kind = kind.value_type if types.is_dictionary(kind) else kind
    return bool(
        types.is_integer(kind) or types.is_string(kind) or types.is_large_string(kind) or types.is_boolean(kind)
        or types.is_floating(kind)
    )  # fmt: skip


def _features(metadata: Any) -> dict[str, Any]:
    """Return the description of the columns that hubs add to the schema as JSON; empty if there is none."""
    text = (metadata or {}).get(b"huggingface", b"{}")
    if len(text) > min(MAX_METADATA, MAX_BYTES):
        return {}
    try:
        features = json.loads(text)["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _names(feature: Any) -> tuple[str, ...]:
    """Return the class names of a column; empty if it is not a label."""
    names = feature.get("names") if isinstance(feature, dict) else None
    return tuple(map(str, names)) if isinstance(names, list) and len(names) <= MAX_CLASSES else ()


def _shown(names: list[str]) -> str:
    return named([ascii(name[:40])[1:-1] for name in names], 8)
