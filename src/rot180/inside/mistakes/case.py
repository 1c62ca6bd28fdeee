"""A wrong gradient, and all that its diagnosis may use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from rot180.ops.types import Array

CLOSE = 1e-5
"""The relative difference up to which two arrays count as the same: a layer may compute in float32."""

EXACT = 1e-9
"""The relative difference up to which two arrays count as the same if both are computed in float64."""


@dataclass(frozen=True)
class Mistake:
    """A known mistake.

    Attributes
    ----------
    name : str
        A few words, such as `kernel not rotated`.
    advice : str
        What to do instead.
    where : str
        The term of the formula where it occurs; empty if there is no single formula.
    """

    name: str
    advice: str
    where: str = ""

    def __str__(self) -> str:
        """Name and advice in one line."""
        return f"{self.name}; {self.advice}"


Candidates = Iterator[tuple[Mistake, Array]]
"""Known mistakes, each with the gradient it would give in this case."""


@dataclass(frozen=True)
class Case:
    """One wrong gradient of one layer.

    Attributes
    ----------
    name : str
        `x`, `x1`, `x2`, ... for the inputs of a join, or the name of a parameter.
    claimed : array
        What the layer's backward returned.
    x, y, dy : array
        Input, output, and delta, float64, with the batch in front. Of a join's inputs, x is the one named, or
        the first.
    parameters : dict of str to array
    measure : callable
        `measure(dy) -> gradient` of the array by finite differences; None if there are too many entries.
    inputs : tuple of array
        All inputs of a join.
    """

    name: str
    claimed: Array
    x: Array
    y: Array
    dy: Array
    parameters: dict[str, Array]
    measure: Callable[[Array], Array] | None
    inputs: tuple[Array, ...] = ()

    def with_shape(self, name: str, shape: tuple[int, ...]) -> Case:
        """Return the case with a parameter in another shape; a gradient of another shape stays as it is."""
        parameters = {**self.parameters, name: self.parameters[name].reshape(shape)}
        if self.name != name:
            return replace(self, parameters=parameters)
        claimed = self.claimed
        if claimed.shape == self.array.shape:
            claimed = claimed.reshape(shape)
        return replace(self, parameters=parameters, claimed=claimed, measure=None)

    @property
    def of_input(self) -> bool:
        """Whether the gradient is that of an input, and not of a parameter."""
        return self.name not in self.parameters

    @property
    def slot(self) -> int:
        """Which of a join's inputs the gradient belongs to, from 0."""
        return int(self.name[1:] or 1) - 1

    @property
    def array(self) -> Array:
        """The array that the gradient belongs to."""
        return self.x if self.of_input else self.parameters[self.name]


def is_same(claimed: Array, other: Array, close: float = CLOSE) -> bool:
    """Return whether two gradients agree up to rounding."""
    if claimed.shape != other.shape or not np.all(np.isfinite(other)):
        return False
    size = float(np.linalg.norm(claimed))
    return bool(np.linalg.norm(claimed - other) <= close * size) if size else not np.any(other)


def without_an_end(array: Array, axes: Iterable[int], what: Iterable[str]) -> Candidates:
    """Yield the array with zeros at either end of an axis, as left by a loop that starts too late or ends too early."""
    for axis, place in zip(axes, what, strict=True):
        if array.shape[axis] < 2:
            continue
        for which, index in (("last", -1), ("first", 0)):
            fewer = array.copy()
            np.moveaxis(fewer, axis, 0)[index] = 0
            name, advice = (
                f"{which} {place} forgotten",
                f"it stays zero: check where the loop or slice over each {place} ends",
            )
            yield Mistake(name, advice, f"the range of the sum over each {place}"), fewer
