"""Which column of a table is the label, which hold pixels or file names: by the header, or by the values."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from rot180.data.visible import named
from rot180.errors import DataError, did_you_mean

LABELS = ("label", "labels", "class", "classes", "target", "targets", "y", "category", "class_name", "classname",
          "class_label", "species", "digit", "label_name", "labelname", "fine_label", "coarse_label")  # fmt: skip
"""Names of label columns; if a table has several, the first in this list is used."""

INDICES = ("", "index", "idx", "id", "row", "row_id", "rowid", "image_id", "imageid", "level_0")
"""Names of columns that merely number the rows; also `Unnamed: 0`, as pandas writes an index."""

_UNNAMED = re.compile(r"unnamed: ?\d+(_level_\d+)?")

_PIXEL = re.compile(
    r"(pixel|pix|px|p|x|f|feature|feat|attr|attribute|v|value|col|column|c|d|i)?[ _.-]?\d+([ x_.,-]\d+)*"
)
"""Names of pixel columns: pixel0, px_12, 1x1, 784, ..."""


class Columns(NamedTuple):
    """The roles of a table's columns; positions count from 0."""

    total: int
    label: int
    pixels: tuple[int, ...]
    shape: tuple[int, int, int]
    """(H, W, C) of an image."""
    note: str
    """Where the labels come from, in a few words."""
    unused: str = ""
    """The unused columns, in a few words."""


def find_columns(
    where: str, header: Sequence[str] | None, sample: Sequence[Sequence[str]], label_column: str | int | None = None
) -> Columns:
    """Return which columns hold the label and the pixels of square images.

    The label is the column given by `label_column`; else the one with a label's name in the header (`LABELS`, ignoring
    case); else the first or the last, whichever looks more like labels. Columns that number the rows are ignored.

    Parameters
    ----------
    where : str
        What to call the file and the row in errors.
    header : sequence of str or None
        The names of the columns, if the file has them.
    sample : sequence of rows
        Some rows of fields, at least one.
    label_column : str or int, optional
        A name, or a number counted from 1; -1 is the last.

    Raises
    ------
    DataError
        There is no such column, or the remaining columns do not form a square image.

    Examples
    --------
    >>> find_columns("a.csv", ["Unnamed: 0", "p1", "p2", "p3", "p4", "Class"], [["0", "9", "8", "7", "6", "cat"]])
    Columns(total=6, label=5, pixels=(1, 2, 3, 4), shape=(2, 2, 1), note="labels from column 6, 'Class'", \
unused="column 1 ('Unnamed: 0')")
    """
    count = len(sample[0])
    names = None if header is None else [name.strip() for name in header]
    indices = _index_columns(names, sample, count)
    if label_column is not None:
        label = column_of(where, label_column, names, count)
        certain = True
    else:
        found = named_label(names)
        certain = found is not None
        label = (
            _likely_label(names, sample, [at for at in range(count) if at not in indices]) if found is None else found
        )
    rest = [at for at in range(count) if at != label]
    choices = [rest, [at for at in rest if at not in indices]]
    if names is not None:
        choices.append([at for at in rest if _PIXEL.fullmatch(names[at].casefold())])
        if any(at in indices for at in rest):
            choices.pop(0)  # a column named as an index holds no pixels
    for pixels in choices:
        shape = square_image(len(pixels))
        if shape is not None:
            break
    else:
        raise DataError(_no_square(where, names, len(choices[0]), count, certain))
    note = label_note(names, label)
    note = note if certain else f"{note} (guessed from its values)"
    others = sorted(set(rest) - set(pixels))
    return Columns(count, label, tuple(pixels), shape, note, unused_columns(names, others))


def label_note(names: Sequence[str] | None, label: int) -> str:
    """Say which column the labels come from.

    >>> label_note(["id", "Class"], 1), label_note(None, 0)
    ("labels from column 2, 'Class'", 'labels from column 1')
    """
    if names and names[label]:
        return f"labels from column {label + 1}, {names[label]!r:.40}"
    return f"labels from column {label + 1}"


def column_of(where: str, wanted: str | int, names: Sequence[str] | None, count: int) -> int:
    """Return the position of a column given by its name or by its number, counted from 1.

    >>> column_of("a.csv", "LABEL", ["id", "label"], 2), column_of("a.csv", -1, None, 5)
    (1, 4)
    """
    text = str(wanted).strip()
    if names is not None:
        for same in (str, str.casefold):
            found = [at for at, name in enumerate(names) if same(name.strip()) == same(text)]
            if len(found) > 1:
                raise DataError(f"{where}: {len(found)} columns are named {text!r}; give the number of the one to use")
            if found:
                return found[0]
    if re.fullmatch(r"-?\d{1,9}", text) and (1 <= int(text) <= count or -count <= int(text) <= -1):
        return int(text) - 1 if int(text) > 0 else count + int(text)
    if names is None:
        raise DataError(
            f"{where}: expected a label column from 1 to {count} (the file has no column names), found {text!r:.40}"
        )
    known = names if len(names) <= 30 else [name for name in names if not _PIXEL.fullmatch(name.casefold())][:30]
    raise DataError(f"{where}: no column is named {text!r:.40}{did_you_mean(text, known)}")


def unused_columns(names: Sequence[str] | None, columns: Sequence[int]) -> str:
    """Return a list of unused columns for messages; empty if there are none.

    >>> unused_columns(["", "split", "p1"], [0, 1]), unused_columns(None, [0])
    ("column 1, column 2 ('split')", 'column 1')
    """
    return named([f"column {at + 1}" + (f" ({names[at]!r:.40})" if names and names[at] else "") for at in columns])


def named_label(names: Sequence[str] | None) -> int | None:
    """Return the position of the column that has a label's name in the header, if there is one.

    >>> named_label(["id", "p1", "Class"]), named_label(["a", "b"])
    (2, None)
    """
    lower = [name.strip().casefold() for name in names or ()]
    return next((lower.index(name) for name in LABELS if name in lower), None)


def square_image(pixels: int) -> tuple[int, int, int] | None:
    """Return (H, W, C) of an image with this many values: squares are gray, squares times 3 are RGB.

    >>> square_image(784), square_image(3072), square_image(785)
    ((28, 28, 1), (32, 32, 3), None)
    """
    for channels in (1, 3):
        side = math.isqrt(pixels // channels)
        if pixels and side * side * channels == pixels:
            return side, side, channels
    return None


def number(field: str) -> float | None:
    """Return the value of a field, or None if it is not a number.

    >>> number(" 7.0 "), number("1_000"), number("cat")
    (7.0, None, None)
    """
    try:
        return float(field) if "_" not in field and field.isascii() else None
    except ValueError:
        return None


def is_header(fields: Sequence[str]) -> bool:
    """Return whether a first line holds column names: none is a number, or the numbers among them merely count up.

    A first line of `cat,0,0,12` is therefore not a header, and its image is not lost.

    >>> is_header(["label", "p1", "p2"]), is_header(["", "y", "0", "1", "2", "3"]), is_header(["cat", "0", "0", "12"])
    (True, True, False)
    """
    numbers = [number(field) for field in fields]
    values = [value for value in numbers if value is not None]
    if not values or _is_mangled(fields):
        return True
    counted = any(values == list(range(start, start + len(values))) for start in (0, 1))
    # pandas numbers unnamed columns 0, 1, 2, ...; but a short line of such numbers may be an image.
    return counted and 2 * len(values) > len(numbers) and len(values) > (3 if len(values) < len(numbers) else 16)


def _is_mangled(fields: Sequence[str]) -> bool:
    """Return whether pandas took an image for column names and numbered duplicates: `0,0.1,0.2,255,0.3,255.1`."""
    seen: dict[str, int] = {}
    for field in fields:
        base, _, again = field.strip().partition(".")
        if again != (str(seen[base]) if base in seen else ""):
            return False
        seen[base] = seen.get(base, 0) + 1
    return len(fields) > 16 and 2 * len(seen) < len(fields)


def _index_columns(names: Sequence[str] | None, sample: Sequence[Sequence[str]], count: int) -> set[int]:
    """Return the positions of columns that merely number the rows."""
    if names is not None:
        lower = [name.casefold() for name in names]
        return {at for at, name in enumerate(lower) if name in INDICES or _UNNAMED.fullmatch(name)}
    first = [number(row[0]) for row in sample]
    counts = len(first) > 1 and any(first == list(range(start, start + len(first))) for start in (0, 1))
    return {0} if counts and square_image(count - 1) is None and square_image(count - 2) else set()


def _likely_label(names: Sequence[str] | None, sample: Sequence[Sequence[str]], columns: Sequence[int]) -> int:
    """Return the column most likely to be the label: the only one not named like a pixel, or judged by the values."""
    if not columns:
        return 0
    if names is not None:
        unlike = [at for at in columns if not _PIXEL.fullmatch(names[at].casefold())]
        if len(unlike) == 1:
            return unlike[0]
    ends = list(dict.fromkeys((columns[0], columns[-1])))
    return max(ends, key=lambda at: _likeness([row[at] for row in sample]))  # the first of equals


def _likeness(fields: Sequence[str]) -> int:
    """Score how much a column's values look like labels: 3 for text, 0 for a constant, fractions, or all different."""
    values = [number(field) for field in fields]
    if any(value is None for value in values):
        return 3 if any(field.strip() for field in fields) else 0
    whole = {value for value in values if value is not None and value.is_integer()}
    if 2 * len(whole) <= len(set(values)) or len(whole) < 2 or len(whole) == len(values) > 10:
        return 0
    # Labels repeat, and count from 0 or 1 without gaps.
    return 1 + (max(whole) - min(whole) + 1 == len(whole) and min(whole) <= 1 and 2 * len(whole) <= len(values))


def _no_square(where: str, names: Sequence[str] | None, pixels: int, count: int, certain: bool) -> str:
    rule = f"{where}: expected a label and the pixels of a square image (784 for 28x28, 3072 for 32x32 in color)"
    if count == 1:
        return f"{rule}, found 1 column; separate columns by commas, semicolons, tabs or spaces"
    found = f"{rule}, found {count} columns, {pixels} of them besides label and index"
    if not certain and (square_image(count) or (0,))[0] > 1:
        return f"{found}; is the label missing?"
    if names is not None:
        shown = ", ".join(name[:20] or "(empty)" for name in [*names[:3], "...", *names[-2:]][:6])
        found = f"{rule}, found {count} columns ({shown}), {pixels} of them besides label and index"
    if certain:
        return f"{found}; remove columns that do not hold pixels"
    return f"{found}; remove columns that do not hold pixels, or give the label's with --label-column"
