"""Loading a data set by name or path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rot180.data.dataset import Dataset
from rot180.data.digits import load_digits
from rot180.data.formats import FORMATS, find_format
from rot180.data.image_opening import SUFFIXES
from rot180.data.named import NAMES, REMOTE, load_named
from rot180.data.options import BadFiles, ImageOptions
from rot180.data.visible import named
from rot180.errors import DataError, Rot180Error, did_you_mean
from rot180.nn.keywords import answering_call

PACKED = (".zip", ".tar", ".tgz", ".gz", ".xz", ".bz2", ".7z", ".rar", ".zst")
"""Suffixes of archives and of compressed files."""


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
        A name ("digits", the default; "mnist", "fashion-mnist", "kmnist", "cifar10", which are downloaded once) or a
        path: a folder of images, the IDX files of MNIST and its relatives, CSV, `.npz`, `.npy`, Parquet, or the binary
        archive of CIFAR-10; docs/data.md lists the layouts. "digits" takes precedence over a path of that name, a path
        over a name that would be downloaded.
    options : ImageOptions, optional
        How image files are read.
    bad : BadFiles, optional
        Collects bad image files; by default they are handled as `options` says.
    label_column : str or int, optional
        The column of a table that holds the labels, by name or by number counted from 1.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        There is no data set or path of this name, the path holds no known format or several data sets, or its files
        are damaged.

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
        if found := find_format(path):
            dataset = found.form.read(found.path, options, bad)
            return replace(dataset, name=_name(path, found.path, dataset.name), notes=(*found.notes, *dataset.notes))
    except (OSError, ValueError) as error:  # a folder that may not be read; a null byte in the path
        if isinstance(error, Rot180Error):
            raise
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{str(source)!r} cannot be read ({reason}); check the path and its permissions") from None
    found_instead, advice = _what_is_there(path)
    if advice:
        raise DataError(f"{path}: found {found_instead}; {advice}")
    forms = "; ".join(form.description for form in FORMATS)
    raise DataError(f"{path}: found {found_instead}; expected one of these: {forms}")


def _name(path: Path, found: Path, name: str) -> str:
    """Return the name of a data set: if subfolders were searched, the first of them, not the last, such as `raw`."""
    return name if found == path else found.relative_to(path).parts[0]


def _suggestion(word: str) -> str:
    """Return a hint for a source that does not exist: a similar name for a bare word, the known names for a path."""
    if Path(word).name == word and not Path(word).suffix:
        return did_you_mean(word, NAMES)
    return f"; give a path that exists, or a name: {', '.join(NAMES)}"


def _what_is_there(path: Path) -> tuple[str, str]:
    """Describe a path in an unknown format in a few words, and say what to do if it is a usual mistake."""
    inside = sorted(path.iterdir()) if path.is_dir() else [path]
    names = [entry.name for entry in inside]
    packed = [name for name in names if name.lower().endswith(PACKED)]
    advice = f"unpack {named(packed, 2)} first" if packed else ""
    if not path.is_dir():
        if path.suffix.lower() in SUFFIXES:
            return f"a single image, {path.name}", "give the folder that holds the folders of all classes"
        return f"a file named {path.name}", advice
    if not names:
        return "an empty folder", advice
    if all(entry.is_dir() and not any(entry.iterdir()) for entry in inside):
        return f"a folder with nothing but empty folders: {named(names, 4)}", advice
    return f"a folder that contains {named(names, 4)}", advice
