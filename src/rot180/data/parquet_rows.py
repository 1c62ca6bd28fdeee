"""The rows of Parquet files, read in small batches.

Parquet can store a value once and repeat it a million times. So the memory for each row is counted before it is read,
repeated images are stored once, and pyarrow returns encoded images as indices into its dictionary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rot180.data.bounded import MAX_BYTES, MAX_IMAGES
from rot180.data.columns import square_image
from rot180.data.growing import Growing
from rot180.data.label_texts import Labels, LabelTexts
from rot180.data.lazy import EncodedImage
from rot180.data.options import BadFiles
from rot180.data.parquet_columns import TableColumns, require_labels
from rot180.data.parquet_footer import DELTA_BYTE_ARRAY, read_chunks
from rot180.errors import ArgumentError, DataError, NonFiniteError
from rot180.nn.pixel_range import as_pixels, extremes
from rot180.ops.types import Array

MAX_ROWS = 900_000
"""Maximum number of encoded images in one set; each takes 250 bytes besides its contents."""

ROWS_AT_ONCE = 1024

MAX_PAGE = 224 * 1024**2
"""Maximum uncompressed size of a page of images; some writers put all images of a row group into one page."""

BYTES_AT_ONCE = 16 * 1024**2
"""Approximate size of a batch of rows in bytes."""


def read_encoded(
    path: Path,
    parts: Mapping[str, Sequence[Path]],
    columns: Mapping[Path, TableColumns],
    parquet: Any,
    errors: list[DataError],
) -> tuple[dict[str, list[EncodedImage]], tuple[str, ...] | None]:
    """Return the encoded images of each part, and the class names if the labels are words.

    Rows without an image or label are added to the errors.

    Raises
    ------
    DataError
        There are too many rows or bytes, or a value is not an image or label.
    """
    texts = LabelTexts(path, "the labels")
    contents: dict[bytes, bytes] = {}  # equal images share their memory
    images: dict[str, list[EncodedImage]] = {}
    total, count = 0, 0
    for part, files in parts.items():
        images[part] = []
        for file in files:
            place = file.name if path.is_file() else file.relative_to(path).as_posix()
            found, called = columns[file], str(file)
            for row, values, labels in _batches(file, found, parquet, [found.leaves[0]]):
                column = values.column(found.leaves[0].partition(".")[0])
                column = column.field(0) if "." in found.leaves[0] else column
                count += len(column)
                if count > MAX_ROWS:
                    raise DataError(f"{file}: expected at most {MAX_ROWS} images, found more; split the file")
                kept: list[tuple[int, bytes, str]] = []
                for at, (content, label) in enumerate(zip(_values(column), labels, strict=True), row):
                    if content is None or label is None:
                        missing = "an encoded image" if content is None else f"a label in {found.label}"
                        errors.append(DataError(f"{file}, row {at}: expected {missing}, found null"))
                        continue
                    if content not in contents:
                        contents[content] = content
                        total += len(content)
                        if total > MAX_BYTES:
                            raise DataError(
                                f"{file}: expected at most {MAX_BYTES} bytes of images, found more; split the file"
                            )
                    kept.append((at, contents[content], label))
                numbers = texts.add([label for _, _, label in kept], [at for at, _, _ in kept])
                images[part] += [
                    EncodedImage(called, content, number, None, place, at)
                    for number, (at, content, _) in zip(numbers, kept, strict=True)
                ]
    names = texts.finish().names
    final = texts.table.tolist()
    for some in images.values():
        for place_in_part, image in enumerate(some):
            some[place_in_part] = image._replace(label=final[image.label])
    return images, names


def read_arrays(
    files: Sequence[Path], columns: Mapping[Path, TableColumns], parquet: Any, bad: BadFiles
) -> tuple[Array, Labels]:
    """Return images stored as lists of pixels, or with a column for each pixel, and their labels.

    Raises
    ------
    DataError
        The lists differ in length or do not form images; there are too many; a pixel is missing.
    """
    texts = LabelTexts(files[0].parent, "the labels")
    pixels: Growing | None = None
    shape: tuple[int, ...] = ()
    for file in files:
        found = columns[file]
        for row, values, labels in _batches(file, found, parquet, list(found.leaves)):
            if found.shape is not None:
                some = np.stack([_numbers(file, row, values.column(name)) for name in found.leaves], axis=1)
                some = some.reshape(len(some), *found.shape)
            else:
                some = _lists(file, row, values.column(found.leaves[0]))
            try:
                some = as_pixels(some, "pixels")
            except ArgumentError as error:
                raise DataError(f"{file}, from row {row}: {error}") from None
            if pixels is None:
                shape = some.shape[1:]
                pixels = Growing(shape, some.dtype)
            if some.shape[1:] != shape:
                raise DataError(f"{file}, row {row}: expected images of {shape} like the first, found {some.shape[1:]}")
            keep = np.array([label is not None for label in labels])
            for at in np.flatnonzero(~keep):
                bad.total += 1
                bad.report(DataError(f"{file}, row {row + at}: expected a label in {found.label}, found null"))
            texts.add([label for label in labels if label is not None], (row + np.flatnonzero(keep)).tolist())
            bad.total += int(keep.sum())
            pixels.add(some[keep] if not keep.all() else some)
            if pixels.nbytes > MAX_BYTES:
                raise DataError(f"{file}: expected at most {MAX_BYTES} bytes of pixels, found more; split the file")
    if pixels is None:
        raise DataError(f"{files[0]}: expected rows with images, found none")
    images = pixels.finish()
    try:
        extremes(images)
    except NonFiniteError as error:
        raise DataError(f"{files[0].parent}: in the images: {error}") from None
    return images, texts.finish()


def _batches(
    file: Path, columns: TableColumns, parquet: Any, leaves: list[str]
) -> Iterator[tuple[int, Any, list[str | None]]]:
    """Yield batches: the number of the first row, the columns, and the labels as text."""
    with parquet.ParquetFile(file, read_dictionary=[*(leaves if columns.is_encoded else ()), columns.label]) as opened:
        metadata = opened.metadata
        if metadata.num_rows > (most := MAX_ROWS if columns.is_encoded else MAX_IMAGES):
            raise DataError(f"{file}: expected at most {most} images, found {metadata.num_rows}; split the file")
        wide, wanted = 1, {leaf.partition(".")[0] for leaf in leaves}
        for chunk in read_chunks(file, {*wanted, columns.label}):
            if chunk.column == columns.label:
                wide = max(wide, require_labels(file, chunk))
                continue
            held = max(chunk.values * (1 if columns.is_encoded else 8), chunk.uncompressed)
            if chunk.largest > MAX_PAGE:
                raise DataError(
                    f"{file}: expected pages of at most {MAX_PAGE} bytes, found {chunk.largest}; write smaller ones"
                )
            if held > MAX_BYTES or chunk.rows < 0:
                raise DataError(f"{file}: expected at most {MAX_BYTES} bytes of images, found more; split the file")
            if DELTA_BYTE_ARRAY in chunk.encodings and columns.is_encoded:
                raise DataError(f"{file}: images encoded as DELTA_BYTE_ARRAY are not supported; write them as PLAIN")
            wide = max(wide, held // max(1, chunk.rows) * (1 if columns.shape is None else len(leaves)))
        row = 0
        at_once = max(1, min(ROWS_AT_ONCE, BYTES_AT_ONCE // wide))
        for batch in opened.iter_batches(batch_size=at_once, columns=[*leaves, columns.label]):
            yield row, batch, [_text(label) for label in _values(batch.column(columns.label))]
            row += batch.num_rows


def _text(label: Any) -> str | None:
    if isinstance(label, bool):
        return str(int(label))
    return None if label is None else str(label)


def _values(column: Any) -> Iterator[Any]:
    """Yield the values of a column; each value of a dictionary-encoded column is created once."""
    dictionary = getattr(column, "dictionary", None)
    if dictionary is None:
        yield from column.to_pylist()
        return
    known: dict[int | None, Any] = {None: None}
    for number in column.indices.to_pylist():
        if number not in known:
            known[number] = dictionary[number].as_py()
        yield known[number]


def _numbers(file: Path, row: int, column: Any) -> Array:
    if column.null_count:
        raise DataError(f"{file}, from row {row}: expected a number for each pixel, found null")
    found: Array = column.to_numpy(zero_copy_only=False)
    return found


def _lists(file: Path, row: int, column: Any) -> Array:
    """Return nested lists of equal lengths as an array (N, H, W, C); flat lists must form square images."""
    lengths: list[int] = []
    count = len(column)
    while hasattr(column, "flatten") and hasattr(column.type, "value_type") and not hasattr(column, "dictionary"):
        if column.null_count:
            raise DataError(f"{file}, from row {row}: expected a list of pixels, found null")
        outer, column = len(column), column.flatten()
        length = len(column) // max(outer, 1)
        own = np.full(outer, length) if not hasattr(column, "offsets") else np.diff(column.offsets)
        if outer * length != len(column) or (own.size and own.min() != own.max() and not lengths):
            raise DataError(f"{file}, from row {row}: expected lists of equal length, found others; resize the images")
        lengths.append(length)
    values = _numbers(file, row, column).reshape(count, *lengths)
    if len(lengths) == 1:
        shape = square_image(lengths[0])
        if shape is None:
            raise DataError(f"{file}: expected lists of the pixels of a square image, found {lengths[0]} of them")
        return values.reshape(count, *shape)
    if len(lengths) == 2:
        return values[..., np.newaxis]
    return values.transpose(0, 2, 3, 1) if lengths[2] not in (1, 3) and lengths[0] in (1, 3) else values
