"""Classes from the names of image files, if there are no class folders: `cat.0.jpg`, `12_american_bulldog.png`."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence

from rot180.data.parts import words

_WORD = r"[^\W\d_](?:[^\d]*[^\W\d_])?"
_NAME = re.compile(rf"(?P<before>{_WORD})[\s._-]*\(?\d+\)?|\d+[\s._-]+(?P<behind>{_WORD})")

_NO_CLASS = set(
    "img image images photo photos pic pics picture pictures dsc dscn dscf pxl mvimg vid screenshot screen shot scan "
    "frame file sample data digit new untitled unnamed download copy whatsapp capture camera page fig figure id no nr "
    "train training val valid validation test testing dev eval".split()
)
"""Words that cameras, programs and people use to number files."""


def classes_in_names(names: Sequence[str]) -> dict[str, str] | None:
    """Return the class named in each file name, or None unless the names are unambiguous.

    They are if every name consists of words followed or preceded by a number, there are at least two different
    classes, none of which is a word that cameras and programs use, and each has at least two files.

    >>> classes_in_names(["cat.0.jpg", "cat.1.jpg", "red fox_7.png", "red fox_8.png"])["red fox_7.png"]
    'red fox'
    >>> classes_in_names(["IMG_1.jpg", "IMG_2.jpg", "DSC_1.jpg", "DSC_2.jpg"]), classes_in_names(["1.png", "2.png"])
    (None, None)
    """
    found = {name: class_of(name) for name in names}
    counts = Counter(found.values())
    if len(counts) < 2 or None in counts or min(counts.values()) < 2:
        return None
    if any(_NO_CLASS.issuperset(words(class_name)) for class_name in counts if class_name):
        return None
    return {name: class_name for name, class_name in found.items() if class_name is not None}


def class_of(name: str) -> str | None:
    """Return the text before the number at the end of a file name, or after the number at its beginning; else None."""
    match = _NAME.fullmatch(os.path.splitext(name)[0])  # noqa: PTH122, called for each of a million files
    return match["before"] or match["behind"] if match else None
