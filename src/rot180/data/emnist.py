"""EMNIST: its images are stored transposed, and its labels are numbers of letters.

Cohen, Afshar, Tapson and van Schaik (2017), arXiv:1702.05373. Six sets, whose files carry their names, in IDX and CSV:
`emnist-letters-train-images-idx3-ubyte.gz`, `emnist-letters-train.csv`.
"""

from __future__ import annotations

import string
from pathlib import Path

import numpy as np

from rot180.data.parts import words
from rot180.errors import DataError
from rot180.ops.types import Array

NOTE = "EMNIST stores its images transposed: they are turned upright"

_DIGITS = dict(enumerate(string.digits))
_ALL = dict(enumerate(string.digits + string.ascii_uppercase + string.ascii_lowercase))
_MERGED = dict(enumerate(string.digits + string.ascii_uppercase + "abdefghnqrt"))  # the others look like their capitals

CHARACTERS = {
    "letters": dict(enumerate(string.ascii_lowercase, 1)),
    "balanced": _MERGED,
    "bymerge": _MERGED,
    "byclass": _ALL,
    "digits": _DIGITS,
    "mnist": _DIGITS,
}
"""What the labels of each set stand for."""


def emnist_set(name: str) -> str | None:
    """Return which of EMNIST's sets a file's name stands for, or None.

    >>> emnist_set("emnist-letters-train-images-idx3-ubyte.gz"), emnist_set("train-images-idx3-ubyte")
    ('letters', None)
    """
    found = words(name)
    return next((word for word in found if word in CHARACTERS), None) if "emnist" in found else None


def upright(images: Array) -> Array:
    """Return transposed images (N, H, W) or (N, H, W, C) as they were written."""
    return np.ascontiguousarray(images.swapaxes(1, 2))


def characters(where: Path, which: str, labels: Array) -> Array:
    """Return the characters that the labels of one set stand for.

    Raises
    ------
    DataError
        A label stands for none.
    """
    known = CHARACTERS[which]
    numbers = [int(label) for label in np.unique(labels)]
    if unknown := [number for number in numbers if number not in known]:
        raise DataError(
            f"{where}: the labels of EMNIST's {which} are {min(known)} to {max(known)}; found {unknown[0]}; rename the "
            "files if they are something else"
        )
    table = np.array([known.get(number, "") for number in range(max(numbers, default=0) + 1)])
    return table[labels]
