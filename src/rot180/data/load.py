"""From what the user names to a data set: the one place that knows which formats there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rot180.data.cifar import is_cifar10, read_cifar10
from rot180.data.csv_dataset import is_csv_file, is_csv_folder, read_csv_file, read_csv_folder
from rot180.data.dataset import Dataset
from rot180.data.digits import load_digits
from rot180.data.folder import is_image_folder, read_image_folder
from rot180.data.idx import is_idx_folder, read_idx_folder
from rot180.data.named import NAMES, REMOTE, load_named
from rot180.data.npz import is_npz, read_npz
from rot180.data.options import BadFiles, ImageOptions
from rot180.data.parquet import is_parquet, read_parquet
from rot180.errors import DataError, Rot180Error, did_you_mean
from rot180.nn.keywords import answering_call

Reader = Callable[[Path], Dataset]
ImageReader = Callable[[Path, ImageOptions, BadFiles | None], Dataset]


class Format(NamedTuple):
    """A form of data: what to call it in a message, how to know it from its path, how to read it."""

    description: str
    recognizes: Callable[[Path], bool]
    read: Reader | None = None
    """For a form whose images have their size."""
    read_images: ImageReader | None = None
    """For a form that the options say something about: encoded images are brought to one size, a table has columns."""


FORMATS = (
    Format("a folder with the four IDX files of MNIST", is_idx_folder, read_idx_folder),
    Format("a CSV file (a label and pixels in each line, gzipped or not)", is_csv_file, read_images=read_csv_file),
    Format("a folder with a train and a test CSV file", is_csv_folder, read_images=read_csv_folder),
    Format("an .npz file (x_train, y_train, ... or images, labels)", is_npz, read_npz),
    Format("CIFAR-10's binary archive or its folder", is_cifar10, read_cifar10),
    Format("Parquet with encoded images", is_parquet, read_images=read_parquet),
    Format("a folder of images with a sub-folder for each class", is_image_folder, read_images=read_image_folder),
)
"""The forms of data, asked in this order; the first that recognizes a path reads it."""


@answering_call
def load_data(
    source: str | Path | None = None,
    options: ImageOptions | None = None,
    *,
    bad: BadFiles | None = None,
    label_column: str | int | None = None,
) -> Dataset:
    """Load a data set by name or from a path.

    Parameters
    ----------
    source : str, Path or None, default None
        A name ("digits", which None stands for as well; "mnist", "fashion-mnist", "kmnist", "cifar10", which are
        downloaded once) or a path: a folder of images with a sub-folder for each class, a folder with the four IDX
        files of MNIST, a CSV file, a folder with two CSV files, an `.npz` file, Parquet with encoded images, CIFAR-10's
        binary archive. "digits" goes before a path of that name, a path before a name that would be downloaded.
    options : ImageOptions, optional
        How image files are read.
    bad : BadFiles, optional
        Where bad image files are reported; by default as the options say.
    label_column : str or int, optional
        The column of a table that holds the labels, by its name or its number counted from 1.

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
    options = options or ImageOptions()
    if label_column is not None:
        options = replace(options, label_column=label_column)
    if source is None or source == "digits":
        return load_digits()
    path = Path(source)
    try:
        if source == "" or not path.exists():  # an empty path would be the current folder
            if isinstance(source, str) and source in REMOTE:
                return load_named(source, options)
            raise DataError(f"there is no data set or path {str(source)!r}{_suggestion(str(source))}")
        for form in FORMATS:
            if form.recognizes(path):
                return _read(form, path, options, bad)
    except (OSError, ValueError) as error:  # no right to look into a folder; a null byte in the path
        if isinstance(error, Rot180Error):
            raise
        raise DataError(f"{str(source)!r} cannot be read ({error}); check the path and its rights") from None
    forms = "; ".join(form.description for form in FORMATS)
    raise DataError(f"{path}: expected one of these: {forms}; found {_what_is_there(path)}")


def _read(form: Format, path: Path, options: ImageOptions, bad: BadFiles | None) -> Dataset:
    if form.read_images is not None:
        return form.read_images(path, options, bad)
    if form.read is None:
        raise DataError(f"{path}: {form.description} cannot be read")
    return form.read(path)


def _suggestion(word: str) -> str:
    """Return a hint for a source that does not exist: a name for a bare word, the known forms for a path."""
    if Path(word).name == word and not Path(word).suffix:
        return did_you_mean(word, NAMES)
    return "; give a path that exists, or a name: " + ", ".join(NAMES)


def _what_is_there(path: Path) -> str:
    """Describe a path of no known form in a few words."""
    if not path.is_dir():
        return f"a file named {path.name}"
    names = sorted(entry.name for entry in path.iterdir())
    if not names:
        return "an empty folder"
    return "a folder with " + ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
