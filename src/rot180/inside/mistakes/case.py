"""A wrong gradient, and everything a diagnosis may look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    """

    name: str
    advice: str

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
        `measure(dy) -> gradient` of the array by differences, entry by entry; None where there are too many entries.
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
