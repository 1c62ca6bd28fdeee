"""From the labels in the data to classes: the labels that occur, numbered from 0, with their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rot180.data.visible import named
from rot180.errors import DataError
from rot180.ops.types import Array

MAX_CLASSES = 100_000
"""More classes are considered a mistake: the largest public data sets have a fifth of that."""

FEW = 20
"""Up to this many images may each have their own class; if more do, the labels are probably row numbers or names."""


class Classes(NamedTuple):
    """The classes of a data set.

    Attributes
    ----------
    names : tuple of str
    labels : dict of part to (N,) int64
        Positions in `names`.
    notes : tuple of str
        Remarks for the user: names without images, a single class.
    """

    names: tuple[str, ...]
    labels: dict[str, Array]
    notes: tuple[str, ...]


def number_classes(where: object, labels: Mapping[str, Array], names: Sequence[str] | None = None) -> Classes:
    """Number the labels that occur in the training images, in sorted order.

    Parameters
    ----------
    where : object
        What to call the data in errors.
    labels : mapping of part to (N,) integers or text
        Text that consists of digits is sorted by value.
    names : sequence of str, optional
        Names of the classes 0, 1, ...; a name without training images is left out, with a note. By default, the labels
        themselves are the names.

    Raises
    ------
    DataError
        Validation or test images have a label that no training image has; a label is negative or has no name; there
        are more than 100,000 classes; every image has a different label.

    Examples
    --------
    >>> found = number_classes("data", {"train": np.array([7, 50_000, 7]), "test": np.array([7])})
    >>> found.names, found.labels["train"], found.labels["test"]
    (('7', '50000'), array([0, 1, 0]), array([0]))
    >>> number_classes("data", {"train": np.array([2, 0])}, ("cat", "dog", "fox")).notes
    ('no images of the class dog, which is left out',)
    """
    train = labels.get("train", np.empty(0, np.int64))
    known = np.unique(train if len(train) else np.concatenate(list(labels.values())))
    if len(known) > MAX_CLASSES:
        raise DataError(f"{where}: expected at most {MAX_CLASSES} classes, found {len(known)} different labels")
    if len(known) == len(train) > FEW:
        raise DataError(
            f"{where}: each of the {len(train)} images has a different label, such as "
            f"{_name(where, known[0], names):.40}; expected several images per class; are these labels row numbers or "
            "file names?"
        )
    if known.dtype.kind == "i" and len(known) and known[0] < 0 and known.tolist() != [-1, 1]:
        raise DataError(
            f"{where}: labels must be whole numbers from 0, or -1 and 1; got {known[0]}; if it marks images without a "
            "label, remove them"
        )
    for part, some in labels.items():
        others = np.setdiff1d(some, known)
        if len(others):
            shown = named([_name(where, label, names) for label in others])
            raise DataError(
                f"{where}: the {part} images have classes that no training image has: {shown}; add training images of "
                "these classes, or remove them from that part"
            )
    own = [_name(where, label, names) for label in known]
    order = np.argsort([int(name) for name in own]) if names is None and _are_numbers(own) else np.arange(len(own))
    position = np.empty(len(own), np.int64)
    position[order] = np.arange(len(own))
    numbered = {part: position[np.searchsorted(known, some)] for part, some in labels.items()}
    notes = _empty(known, names)
    if len(own) == 1 and len(train) > 1:
        notes += (_one_class(own[0]),)
    return Classes(tuple(own[index] for index in order), numbered, notes)


def _one_class(name: str) -> str:
    return (
        f"all images are of one class, {name}: a network will learn to predict it for any image; "
        "give data of two classes or more"
    )


def empty_note(missing: Sequence[str]) -> tuple[str, ...]:
    """Return a note on classes without images; empty if there are none.

    >>> empty_note(["ape", "fox"])
    ('no images of the classes ape, fox, which are left out',)
    """
    if not missing:
        return ()
    if len(missing) == 1:
        return (f"no images of the class {missing[0]}, which is left out",)
    return (f"no images of the classes {named(list(missing))}, which are left out",)


def is_numbered(names: Sequence[str]) -> bool:
    """Return whether class names are the labels themselves: whole numbers from 0.

    >>> is_numbered(("0", "1", "7")), is_numbered(("cat", "1"))
    (True, False)
    """
    return all(name.isascii() and name.isdigit() and str(int(name)) == name for name in names)


def _are_numbers(names: Sequence[str]) -> bool:
    return all(name.removeprefix("-").isdecimal() and name.isascii() and len(name) < 20 for name in names)


def _name(where: object, label: object, names: Sequence[str] | None) -> str:
    if names is None:
        return str(label)
    number = int(str(label))
    if not 0 <= number < len(names):
        raise DataError(
            f"{where}: expected labels from 0 to {len(names) - 1}, one for each class name, found {number}; add class "
            "names or correct the label"
        )
    return names[number]


def _empty(known: Array, names: Sequence[str] | None) -> tuple[str, ...]:
    if names is None or len(known) == len(names):
        return ()
    there = set(known.tolist())
    return empty_note([name for number, name in enumerate(names) if number not in there])
