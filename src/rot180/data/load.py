"""From what the user names to a data set: the one place that knows which formats there are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rot180.data.csv_dataset import is_csv_file, is_csv_folder, read_csv_file, read_csv_folder
from rot180.data.dataset import Dataset
from rot180.data.digits import load_digits
from rot180.data.idx import is_idx_folder, read_idx_folder
from rot180.errors import DataError, did_you_mean


class Format(NamedTuple):
    """A form of data: what to call it in a message, how to know it from its path, how to read it."""

    description: str
    recognizes: Callable[[Path], bool]
    read: Callable[[Path], Dataset]


NAMED: dict[str, Callable[[], Dataset]] = {"digits": load_digits}
"""Data sets that go by a name."""

FORMATS = (
    Format("a folder with the four IDX files of MNIST", is_idx_folder, read_idx_folder),
    Format("a CSV file (label first, gzipped or not)", is_csv_file, read_csv_file),
    Format("a folder with a train and a test CSV file", is_csv_folder, read_csv_folder),
)
"""The forms of data, asked in this order; the first that recognizes a path reads it."""


def load_data(source: str | Path | None = None) -> Dataset:
    """Load a data set by name or from a path.

    Parameters
    ----------
    source : str, Path or None, default None
        A name ("digits", which None stands for as well) or a path: a folder with the four IDX files of MNIST, a CSV
        file, a folder with two CSV files. A name goes before a path; write `./digits` for a folder of that name.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        There is nothing of this name, the path holds none of the known forms, or its files are damaged.

    Examples
    --------
    >>> load_data("digits")
    Dataset('digits', 1,435 training and 362 test images of 8x8x1, 10 classes)
    >>> load_data("digit")
    Traceback (most recent call last):
    rot180.errors.DataError: there is no data set or path 'digit'; did you mean 'digits'?
    """
    if source is None:
        return load_digits()
    if isinstance(source, str) and source in NAMED:
        return NAMED[source]()
    path = Path(source)
    try:
        if not path.exists():
            raise DataError(f"there is no data set or path {str(source)!r}{_suggestion(str(source))}")
        for form in FORMATS:
            if form.recognizes(path):
                return form.read(path)
    except (OSError, ValueError) as error:  # no right to look into a folder; a null byte in the path
        raise DataError(f"{str(source)!r} cannot be read ({error}); check the path and its rights") from None
    forms = "; ".join(form.description for form in FORMATS)
    raise DataError(f"{path}: expected one of these: {forms}; found {_what_is_there(path)}")


def _suggestion(word: str) -> str:
    """Return a hint for a source that does not exist: a name for a bare word, the known forms for a path."""
    if Path(word).name == word and not Path(word).suffix:
        return did_you_mean(word, NAMED)
    return "; give a path that exists, or a name: " + ", ".join(NAMED)


def _what_is_there(path: Path) -> str:
    """Describe a path of no known form in a few words."""
    if not path.is_dir():
        return f"a file named {path.name}"
    names = sorted(entry.name for entry in path.iterdir())
    if not names:
        return "an empty folder"
    return "a folder with " + ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
