"""CSV files as a data set: one file, of which a part is held out, or a folder with a file for each part."""

from __future__ import annotations

import re
from pathlib import Path

from rot180.data.csv_images import read_csv
from rot180.data.dataset import Dataset, number_names
from rot180.data.split import hold_out
from rot180.errors import DataError

_SUFFIX = re.compile(r"\.csv(\.gz)?$", re.IGNORECASE)


def is_csv_file(path: Path) -> bool:
    """Say whether a path is a file named `.csv` or `.csv.gz`."""
    return bool(_SUFFIX.search(path.name)) and path.is_file()


def is_csv_folder(path: Path) -> bool:
    """Say whether a folder holds CSV files."""
    return path.is_dir() and any(map(is_csv_file, path.iterdir()))


def read_csv_file(path: Path) -> Dataset:
    """Read one CSV file; every fifth image of each class becomes the test set.

    Raises
    ------
    DataError
        The file is not what `read_csv` expects.
    """
    images, labels = read_csv(path)
    test = hold_out(labels)
    return Dataset(
        name=_SUFFIX.sub("", path.name) or "csv",
        train_images=images[~test],
        train_labels=labels[~test],
        test_images=images[test],
        test_labels=labels[test],
        class_names=number_names(labels),
        description=f"{path}, where every fifth of each class is held out for testing",
        divided=True,
    )


def read_csv_folder(path: Path) -> Dataset:
    """Read a folder with one CSV file named `...train...` and one named `...test...`, or with a single CSV file.

    Raises
    ------
    DataError
        There are other files than these, or the files are not what `read_csv` expects.
    """
    found = sorted(entry for entry in path.iterdir() if is_csv_file(entry))
    train = [entry for entry in found if "train" in entry.name.lower()]
    test = [entry for entry in found if "test" in entry.name.lower()]
    if len(found) == 1:
        return read_csv_file(found[0])
    if not (len(train) == len(test) == 1 and train != test):
        names = ", ".join(entry.name for entry in found[:6]) + (", ..." if len(found) > 6 else "")
        raise DataError(
            f"{path}: expected one CSV file with 'train' in its name and one with 'test', found {names}; "
            "name them so, or give the one file to use"
        )
    train_images, train_labels = read_csv(train[0])
    test_images, test_labels = read_csv(test[0])
    return Dataset(
        name=path.resolve().name or "csv",
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        class_names=number_names(train_labels, test_labels),
        description=f"{train[0].name} and {test[0].name} in {path}",
    )
