"""A wrong gradient, and everything a diagnosis may look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from rot180.ops.types import Array

CLOSE = 1e-5
"""Two arrays are the same mistake up to this share of their size: a layer may compute in float32."""


@dataclass(frozen=True)
class Mistake:
    """A known mistake.

    Attributes
    ----------
    name : str
        In a few words: `kernel not rotated`.
    advice : str
        What to do instead.
    where : str
        The term of the formula in which it arises; empty where there is no one formula.
    """

    name: str
    advice: str
    where: str = ""

    def __str__(self) -> str:
        """Name and advice in one line."""
        return f"{self.name}; {self.advice}"


Candidates = Iterator[tuple[Mistake, Array]]
"""Known mistakes and the gradient that each would give here."""


@dataclass(frozen=True)
class Case:
    """One wrong gradient of one layer.

    Attributes
    ----------
    name : str
        `x`, or the name of a parameter.
    claimed : array
        What the layer's backward returned.
    x, y, dy : array
        Input, output, and delta, float64, with the batch in front.
    parameters : dict of str to array
    measure : callable
        `measure(dy) -> gradient` of the array by differences; None where there are too many entries.
    """

    name: str
    claimed: Array
    x: Array
    y: Array
    dy: Array
    parameters: dict[str, Array]
    measure: Callable[[Array], Array] | None

    @property
    def array(self) -> Array:
        """The array whose gradient it is."""
        return self.x if self.name == "x" else self.parameters[self.name]


def is_same(claimed: Array, other: Array, close: float = CLOSE) -> bool:
    """Return whether two gradients are one up to rounding."""
    if claimed.shape != other.shape or not np.all(np.isfinite(other)):
        return False
    size = float(np.linalg.norm(claimed))
    return bool(np.linalg.norm(claimed - other) <= close * size) if size else not np.any(other)


def without_an_end(array: Array, axes: Iterable[int], what: Iterable[str]) -> Candidates:
    """Give the array with zeros in the first or last place of an axis: what a loop that ends too early leaves out."""
    for axis, place in zip(axes, what, strict=True):
        if array.shape[axis] < 2:
            continue
        for which, index in (("last", -1), ("first", 0)):
            fewer = array.copy()
            np.moveaxis(fewer, axis, 0)[index] = 0
            name, advice = (
                f"{which} {place} forgotten",
                f"it stays zero: see where the loop or slice over each {place} ends",
            )
            yield Mistake(name, advice, f"the range of the sum over each {place}"), fewer
