"""Where a pass over a part of a batch halts, for whoever trains the other parts."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from rot180.nn.arena import Arena
from rot180.ops.types import Array


class Final(NamedTuple):
    """Stretches of the flat gradient, each from a start to a stop, that are complete: they may be sent meanwhile."""

    stretches: tuple[tuple[int, int], ...]

    @property
    def size(self) -> int:
        """How many numbers they have."""
        return sum(stop - start for start, stop in self.stretches)

    def taken_from(self, gradient: Array) -> Array:
        """Return these numbers of a flat gradient.

        >>> Final(((0, 2), (4, 5))).taken_from(np.arange(6))
        array([0, 1, 4])
        """
        return np.concatenate([gradient[start:stop] for start, stop in self.stretches])

    def put_into(self, gradient: Array, numbers: Array) -> None:
        """Put such numbers where they belong."""
        at = 0
        for start, stop in self.stretches:
            gradient[start:stop] = numbers[at : at + stop - start]
            at += stop - start


class Mean(NamedTuple):
    """Numbers (M,), float64, to be replaced by their mean over all parts, each weighted by its images."""

    array: Array


class Pause(NamedTuple):
    """Nothing is needed: whoever waits for the others may look whether something has come."""


Halt = Final | Mean | Pause


def cuts(
    completed: Iterable[tuple[int, list[str]]], gradients: Arena, least: int | None = None
) -> list[tuple[int, Final | Pause]]:
    """Cut a backward pass where gradients are complete: enough of them, or at least for a pause.

    Parameters
    ----------
    completed : iterable of (int, list of str)
        After how many steps the gradients of which parameters are complete, in order.
    gradients : Arena
        Where they are.
    least : int, optional
        How many numbers are enough; by default all.

    Returns
    -------
    list of (int, Final or Pause)
        After how many steps which stretches are complete; together, they are the whole array.

    Examples
    --------
    >>> arena = Arena({"a.w": (32,), "b.w": (32,), "a.b": (16,), "b.b": (16,)}, "f4")
    >>> for cut in cuts([(2, ["b.w", "b.b"]), (3, ["a.w"]), (5, ["a.b"])], arena, 48):
    ...     print(cut)
    (2, Final(stretches=((32, 64), (80, 96))))
    (3, Pause())
    (5, Final(stretches=((0, 32), (64, 80))))
    """
    places = dict(zip(gradients.starts, pairwise([*gradients.starts.values(), gradients.flat.size]), strict=True))
    found: list[tuple[int, Final | Pause]] = []
    complete: list[tuple[int, int]] = []
    steps = 0
    for steps, names in completed:
        complete += [places.pop(name) for name in names]
        final = Final(_joined(complete))
        if not places or least is None:
            continue
        if final.size >= least:
            found.append((steps, final))
            complete = []
        elif steps:
            found.append((steps, Pause()))
    complete += places.values()
    return [*found, (steps, Final(_joined(complete)))] if complete else found


def _joined(stretches: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return stretches in order, neighbors as one."""
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(stretches):
        if joined and joined[-1][1] == start:
            joined[-1] = joined[-1][0], stop
        else:
            joined.append((start, stop))
    return tuple(joined)
