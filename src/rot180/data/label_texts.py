"""Labels as written in a table, whole numbers or words, stored with one entry per distinct label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from rot180.data.classes import MAX_CLASSES
from rot180.data.columns import number
from rot180.data.growing import Growing
from rot180.errors import DataError
from rot180.ops.types import Array

MAX_NAME = 200
"""Maximum number of characters in a class name."""


MAX_VALUE = 2**31
"""Numeric labels must be smaller in magnitude."""


class Labels(NamedTuple):
    """Labels of a part: numbers as in the file, or positions in the names."""

    values: Array
    """(N,) int64."""
    names: tuple[str, ...] | None
    """Sorted; None if the labels are numbers."""


class LabelTexts:
    """Collects labels as text with their rows; they become numbers or names when all are known.

    >>> labels = LabelTexts("a.csv", "column 1")
    >>> labels.add(["cat", "dog", "cat"], [2, 3, 4])
    [0, 1, 0]
    >>> labels.finish()
    Labels(values=array([0, 1, 0]), names=('cat', 'dog'))
    """

    def __init__(self, where: object, column: str) -> None:
        self._where, self._column = where, column
        self._known: dict[str, int] = {}
        self._first_rows: list[int] = []
        self._numbers = Growing((), np.int32)
        self.table = np.empty(0, np.int64)
        """Once finished: the label, or its position in the names, for each number that `add` returned."""

    def add(self, texts: Iterable[str], rows: Iterable[int]) -> list[int]:
        """Add labels and the rows of the file that hold them; return a number for each, the same for equal labels.

        Raises
        ------
        DataError
            A label is empty or too long, or there are too many different labels.
        """
        known, found = self._known, []
        for text, row in zip(texts, rows, strict=True):
            place = known.get(text)
            if place is None:
                if not text or len(text) > MAX_NAME:
                    raise self._fault(row, f"a label of 1 to {MAX_NAME} characters", text)
                if len(known) >= MAX_CLASSES:
                    raise DataError(
                        f"{self._where}: row {row}, {self._column}: expected at most {MAX_CLASSES} different labels, "
                        "found more; is this the label column? choose another with --label-column"
                    )
                place = known[text] = len(known)
                self._first_rows.append(row)
            found.append(place)
        self._numbers.add(np.array(found, np.int32))
        return found

    def __len__(self) -> int:
        return self._numbers.count

    def finish(self) -> Labels:
        """Return the labels.

        Raises
        ------
        DataError
            A label is a fraction or too large a number, or exactly one label is not a number.
        """
        places = self._numbers.finish()
        table, names = self._table(places)
        self.table = table
        return Labels(table[places], names)

    def _table(self, places: Array) -> tuple[Array, tuple[str, ...] | None]:
        """Return the label or position for each number that `add` returned, and the names."""
        values = {text: number(text) for text in self._known}
        words = [text for text, value in values.items() if value is None]
        if len(words) == 1 and len(words) < len(values) and np.sum(places == self._known[words[0]]) == 1:
            raise self._fault(self._row(words[0]), "a label, a whole number as in all other rows", words[0])
        if words:
            names = tuple(sorted(self._known))
            position = {name: place for place, name in enumerate(names)}
            return np.array([position[text] for text in self._known], np.int64), names
        for text, value in values.items():
            if value is None or not value.is_integer() or not abs(value) < MAX_VALUE:
                raise self._fault(self._row(text), "a label, a whole number or a word", text)
        return np.array([int(value or 0) for value in values.values()], np.int64), None

    def _row(self, text: str) -> int:
        return self._first_rows[self._known[text]]

    def _fault(self, row: int, rule: str, text: str) -> DataError:
        return DataError(
            f"{self._where}: row {row}, {self._column}: expected {rule}, found {text[:20]!a}; "
            "correct or remove the row, or choose another column with --label-column"
        )


def same_names(parts: Mapping[str, Labels]) -> tuple[dict[str, Array], tuple[str, ...] | None]:
    """Return the labels of each part as positions in a common list of names, and the names; None if all are numbers.

    >>> same_names({"train": Labels(np.array([0, 1]), ("cat", "dog")), "test": Labels(np.array([0]), ("dog",))})
    ({'train': array([0, 1]), 'test': array([1])}, ('cat', 'dog'))
    """
    if all(labels.names is None for labels in parts.values()):
        return {part: labels.values for part, labels in parts.items()}, None
    texts = {part: _as_words(labels) for part, labels in parts.items()}
    names = tuple(sorted({name for labels in texts.values() for name in labels.names or ()}))
    position = {name: place for place, name in enumerate(names)}
    return {
        part: np.array([position[name] for name in labels.names or ()], np.int64)[labels.values]
        for part, labels in texts.items()
    }, names


def _as_words(labels: Labels) -> Labels:
    if labels.names is not None:
        return labels
    known, places = np.unique(labels.values, return_inverse=True)
    return Labels(places, tuple(map(str, known)))
