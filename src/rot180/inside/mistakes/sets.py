"""The numbers that a normalization takes together, found from its output, and the form of its deviation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rot180.ops.types import Array


@dataclass(frozen=True)
class Form:
    """How a deviation is computed: sqrt(var + eps), or sqrt(var) + eps, of the biased or unbiased variance."""

    eps: float
    outside: bool = False
    unbiased: bool = False

    def deviation(self, var: Array, size: int) -> Array:
        """Return the deviation for the biased variance of a set of this size."""
        if self.unbiased:
            var = var * (size / (size - 1))
        return np.asarray(np.sqrt(var) + self.eps if self.outside else np.sqrt(var + self.eps))

    def through_variance(self, r: Array, size: int) -> Any:
        """Return the factor of the term through the variance: 1 for the usual form."""
        factor: Any = size / (size - 1) if self.unbiased else 1.0
        return factor / (1 - self.eps * r) if self.outside else factor


def forms(eps: float) -> list[Form]:
    """Return all forms with this epsilon, the usual one first."""
    return [Form(eps, outside, unbiased) for outside in (False, True) for unbiased in (False, True)]


@dataclass(frozen=True)
class Together:
    """Which numbers form a set: the axes that it extends over, once the channels are divided into groups.

    Attributes
    ----------
    shape : tuple of int
        Of x.
    axes : tuple of int
        Axes of x with its channels as two axes, (groups, channels of a group).
    groups : int
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    groups: int = field(default=1)

    @property
    def _wide(self) -> tuple[int, ...]:
        return (*self.shape[:-1], self.groups, self.shape[-1] // self.groups)

    @property
    def size(self) -> int:
        """The number of numbers in a set."""
        return math.prod(self._wide[axis] for axis in self.axes)

    def arranged(self, a: Array) -> Array:
        """Return an array with its channels in groups."""
        return np.broadcast_to(a, self.shape).reshape(self._wide)

    def restored(self, a: Array) -> Array:
        """Return an array with its channels side by side again."""
        return np.broadcast_to(a, self._wide).reshape(self.shape)

    def mean(self, a: Array) -> Array:
        """Return the mean of each set of an arranged array."""
        return np.asarray(a.mean(self.axes, keepdims=True))

    def statistics(self, x: Array, form: Form) -> tuple[Array, Array]:
        """Return mean and one over the deviation of each set of x."""
        a = self.arranged(x)
        mean = self.mean(a)
        with np.errstate(divide="ignore"):
            r = 1 / form.deviation(self.mean(np.square(a - mean)), self.size)
        return mean, r

    def alternatives(self) -> Iterator[Together]:
        """Yield all sets that a normalization of this shape may use."""
        yield from all_sets(self.shape)


def all_sets(shape: tuple[int, ...], first: int = 0) -> Iterator[Together]:
    """Yield the sets of the usual normalizations, and of some unusual ones; `first` is a number of groups to try first.

    In a (N, H, W, C) array with channels in groups the axes are 0: images, 1, 2: pixels, 3: groups, 4: their channels.
    """
    last = len(shape)  # the axis of the channels of a group
    pixels = tuple(range(1, last - 1))
    # batch, layer over channels, layer over the image, batch without pixels, images and channels together
    for axes in ((0, *pixels), (last,), (*pixels, last), (0,), (0, *pixels, last)):
        groups = shape[-1] if last not in axes else 1
        if math.prod(shape[axis] if axis < last else shape[-1] for axis in axes) > 1:
            yield Together(shape, axes, groups)
    numbers = [g for g in (first, *range(2, shape[-1] + 1)) if g > 1 and shape[-1] % g == 0]
    for groups in numbers:
        sets = Together(shape, (*pixels, last), groups)
        if sets.size > 1:
            yield sets


def find_sets(x: Array, xhat: Array, epsilons: list[float], first: int) -> tuple[Together, Form] | None:
    """Return the sets and the form of the deviation with which x becomes xhat; the closest of those that fit."""
    best: tuple[float, Together, Form] | None = None
    for together in all_sets(x.shape, first):
        mean, r = together.statistics(x, Form(0.0))
        wanted = together.arranged(xhat)
        off = together.arranged(x) - mean
        # The deviation that xhat was divided by, from which epsilon follows.
        with np.errstate(all="ignore"):
            size = together.mean(off * off)
            divided = size / together.mean(off * wanted)
            guesses = [
                float(np.median(divided**2 - size)),
                float(np.median(divided**2 - size * together.size / max(together.size - 1, 1))),
                float(np.median(divided - np.sqrt(size))),
                float(np.median(divided - np.sqrt(size * together.size / max(together.size - 1, 1)))),
            ]
        if not np.allclose(off / divided, wanted, rtol=1e-4, atol=1e-6):
            continue
        for place, guess in enumerate(guesses):
            for eps in (*epsilons, guess):
                if not 0 <= eps < 1:
                    continue
                form = Form(eps, outside=place >= 2, unbiased=bool(place % 2))
                mean, r = together.statistics(x, form)
                error = float(np.abs((together.arranged(x) - mean) * r - wanted).max())
                if error < 1e-5 and (best is None or error < best[0] / 10):
                    best = (error, together, form)
    return None if best is None else best[1:]
