"""EMNIST: images that are stored transposed, and labels that number characters.

Cohen, Afshar, Tapson and van Schaik (2017), arXiv:1702.05373. Six sets, named in their files, as IDX and CSV:
`emnist-letters-train-images-idx3-ubyte.gz`, `emnist-letters-train.csv`.
"""

from __future__ import annotations

import string
from pathlib import Path

import numpy as np

from rot180.data.parts import words
from rot180.errors import DataError
from rot180.ops.types import Array

NOTE = "EMNIST stores its images transposed; they are turned upright; if yours are upright already, rename the files"

_DIGITS = dict(enumerate(string.digits))
_ALL = dict(enumerate(string.digits + string.ascii_uppercase + string.ascii_lowercase))
_MERGED = dict(enumerate(string.digits + string.ascii_uppercase + "abdefghnqrt"))  # the others look like capitals

CHARACTERS = {
    "letters": dict(enumerate(string.ascii_lowercase, 1)),
    "balanced": _MERGED,
    "bymerge": _MERGED,
    "byclass": _ALL,
    "digits": _DIGITS,
    "mnist": _DIGITS,
}
"""The character of each label, for each set."""


def emnist_set(name: str) -> str | None:
    """Return which EMNIST set a file name denotes, or None.

    >>> emnist_set("emnist-letters-train-images-idx3-ubyte.gz"), emnist_set("train-images-idx3-ubyte")
    ('letters', None)
    """
    found = words(name)
    return next((word for word in found if word in CHARACTERS), None) if "emnist" in found else None


def upright(images: Array) -> Array:
    """Return the transpose of images (N, H, W) or (N, H, W, C), which turns them upright."""
    return np.ascontiguousarray(images.swapaxes(1, 2))


def characters(where: Path, which: str, labels: Array) -> Array:
    """Return the characters for the labels of one set.

    Raises
    ------
    DataError
        A label is out of range.
    """
    known = CHARACTERS[which]
    numbers = [int(label) for label in np.unique(labels)]
    if unknown := [number for number in numbers if number not in known]:
        raise DataError(
            f"{where}: the labels of EMNIST {which} are {min(known)} to {max(known)}; found {unknown[0]}; rename the "
            "files if they are something else"
        )
    table = np.array([known.get(number, "") for number in range(max(numbers, default=0) + 1)])
    return table[labels]
