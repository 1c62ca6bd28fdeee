"""Classes in the names of image files, where there are no folders for them: `cat.0.jpg`, `12_american_bulldog.png`."""

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
"""Words that cameras, programs and people number files with."""


def classes_in_names(names: Sequence[str]) -> dict[str, str] | None:
    """Return the class that each file's name holds, or None where the names do not tell without doubt.

    They do where every name is a word or some and a number, or the other way around; there are at least two such words,
    none of which cameras and programs use, and each has two files.

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
    """Return what stands before the number at the end of a file's name, or behind that at its beginning; else None."""
    match = _NAME.fullmatch(os.path.splitext(name)[0])  # noqa: PTH122, called for each of a million files
    return match["before"] or match["behind"] if match else None
