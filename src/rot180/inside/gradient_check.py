r"""Check gradients against finite differences of the function.

One checker serves every operation, layer and network. It is given a scalar function f of named float64 arrays and
the gradients claimed for them, and compares slopes:

- at some random coordinates, the slope of f along coordinate i with gradient[i];
- along random directions v, the slope of f along v with <gradient, v>: every entry contributes, so an error in one of a
  million entries shows with few evaluations.

**The slope.** With the central difference D(h) = (f(x + hv) - f(x - hv)) / 2h, whose error is c*h*h + O(h^4), the
combination (4 D(h/2) - D(h)) / 3 cancels the first term. Rounding costs about eps*|f|/h. The two balance near
h = eps^(1/5), about 1e-3, with an error near 1e-12.

**Kinks.** Where ReLU or max pooling switch within [x - hv, x + hv], f has no slope, and differences are meaningless.
Two statistics vanish for smooth f but not at a kink: D(h) - D(h/2), and 2 S(h/2) - S(h) with S(h) = (f(x + hv) - 2 f(x)
+ f(x - hv)) / h. A kink of jump J at distance t < h/2 gives J*t/2h in the first and J*(1 - 3t/h) in the second, never
both small; one further away hardly changes the result. If they are not small, shorter steps are tried, and finally the
point is skipped and counted.

**Ties.** Where several entries of a max-pooling window are equal, f has a kink along nearly every direction. So in half
of the directions equal values move together: ties stay ties, f is smooth, and delta sent to every tied maximum shows as
twice the right gradient.

**The error** is relative, |claimed - measured| / max(|claimed|, |measured|, typical, noise / tolerance). `typical` is
the root mean square of the array's gradient (or of the slopes along directions), so that an entry that is nearly zero
compared with the others is not held to a precision it does not have; `noise` is the error from rounding of f alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, NonFiniteError, ShapeError
from rot180.ops.types import Array

__all__ = ["GradientCheck", "check_gradient", "check_gradients", "check_operation"]

STEPS = (1e-3, 1e-4, 1e-5, 1e-6)
"""Step sizes, tried in this order, in units of the values that are moved."""


@dataclass(frozen=True)
class GradientCheck:
    """The result of comparing claimed gradients with finite differences."""

    tolerance: float
    """The largest relative error allowed."""
    max_error: float
    """The largest relative error found; infinite if a claimed gradient is NaN or infinite."""
    worst_name: str
    """The array where it was found; empty if nothing could be compared."""
    worst_index: tuple[int, ...] | None
    """The entry where it was found; None for a direction through the whole array."""
    claimed: float
    """The slope according to the gradients there."""
    measured: float
    """The slope measured by differences there."""
    checked: int
    """The number of coordinates and directions compared."""
    skipped: int
    """The number of coordinates and directions skipped at a kink, where there is no slope to compare with."""
    unchecked: tuple[str, ...]
    """The arrays in which every point was skipped."""

    @property
    def passed(self) -> bool:
        """Whether every array could be checked and no error is above the tolerance."""
        return self.checked > 0 and not self.unchecked and self.max_error <= self.tolerance

    def __str__(self) -> str:
        """Return one line: the verdict, the worst place, and how much was compared."""
        if not self.checked:
            return f"nothing could be checked: {self.skipped} points skipped at kinks"
        index = "" if self.worst_index is None else f"[{', '.join(map(str, self.worst_index))}]"
        place = f"{self.worst_name}{index}" if self.worst_index is not None else f"{self.worst_name} along a direction"
        unchecked = f", nothing checked in {', '.join(self.unchecked)}" if self.unchecked else ""
        return (
            f"{'right' if self.passed else 'WRONG'}: largest relative error {self.max_error:.1e} at {place} "
            f"(claimed {self.claimed:.9g}, measured {self.measured:.9g}), "
            f"{self.checked} checked, {self.skipped} skipped at kinks{unchecked}"
        )


def check_gradients(
    f: Callable[[dict[str, Array]], float],
    arrays: Mapping[str, Array],
    gradients: Mapping[str, Array],
    *,
    tolerance: float = 1e-6,
    coordinates: int = 20,
    directions: int = 4,
    seed: int = 0,
) -> GradientCheck:
    """Compare the gradients of a scalar function of named arrays with finite differences.

    Parameters
    ----------
    f : callable
        A function of a dict with the names of `arrays`, one of them moved, to a number. It must be the same function
        in each call (draw noise and dropout masks once, outside) and compute in float64.
    arrays : mapping of str to float64 array
        The point to check at. The arrays are not changed.
    gradients : mapping of str to array
        The claimed df/d(array), of the array's shape. Arrays without a gradient are not checked.
    tolerance : float
        The largest relative error allowed.
    coordinates : int
        Number of entries drawn from each array, at most all of them. Each takes four calls of f, more near kinks.
    directions : int
        Number of directions drawn for each array, at the same cost.
    seed : int
        Seed of the draws.

    Returns
    -------
    GradientCheck

    Raises
    ------
    ArgumentError
        An array is not float64, or a gradient has no array.
    ShapeError
        A gradient does not have its array's shape.
    NonFiniteError
        f is not finite at `arrays`.

    References
    ----------
    Bengio (2012), Practical recommendations for gradient-based training of deep architectures, section 4.1.
    Richardson (1911), The approximate arithmetical solution by finite differences.

    Examples
    --------
    >>> w = np.array([1.0, 2.0, 3.0])
    >>> check_gradients(lambda a: np.sum(a["w"] ** 3), {"w": w}, {"w": 3 * w**2}).passed
    True
    >>> check_gradients(lambda a: np.sum(a["w"] ** 3), {"w": w}, {"w": 2 * w**2}).passed
    False
    """
    arrays = dict(arrays)
    _check_arguments(arrays, gradients)
    here = float(f(dict(arrays)))
    if not np.isfinite(here):
        raise NonFiniteError(f"check_gradients: the function is {here} at the given arrays; start from finite values")
    generator = np.random.default_rng(seed)
    # The terms of f may be larger than f: a sum with cancellation carries the rounding errors of its terms.
    terms = sum(float(np.abs(arrays[name] * gradient).sum()) for name, gradient in gradients.items())
    noise = 16 * np.finfo(np.float64).eps * max(abs(here), terms if np.isfinite(terms) else 0.0)

    found: list[tuple[float, str, tuple[int, ...] | None, float, float]] = []
    skipped = 0
    unchecked = []
    for name, gradient in gradients.items():
        before = len(found)
        for index, direction in _probes(arrays[name], generator, coordinates, directions):
            claimed = float(np.vdot(gradient, direction))
            if not np.isfinite(claimed):
                found.append((np.inf, name, index, claimed, np.nan))
                continue
            typical = float(np.linalg.norm(gradient) * np.linalg.norm(direction) / np.sqrt(gradient.size))
            line = _Line(f, arrays, name, direction, here)
            answer = _slope(line, max(abs(claimed), typical), noise, tolerance)
            if answer is None:
                skipped += 1
                continue
            measured, floor = answer
            scale = max(abs(claimed), abs(measured), typical, floor)
            error = abs(claimed - measured) / scale if scale > 0 else 0.0
            found.append((error, name, index, claimed, measured))
        if len(found) == before and gradient.size:
            unchecked.append(name)
    if not found:
        return GradientCheck(tolerance, 0.0, "", None, 0.0, 0.0, 0, skipped, tuple(unchecked))
    worst = max(found, key=lambda entry: entry[0])
    return GradientCheck(tolerance, *worst, checked=len(found), skipped=skipped, unchecked=tuple(unchecked))


def check_gradient(f: Callable[[Array], float], x: Array, dx: Array, **options: Any) -> GradientCheck:
    """Compare the gradient of a scalar function of one array with finite differences; options as in `check_gradients`.

    >>> x = np.array([0.5, -0.5])
    >>> check_gradient(lambda x: np.sum(np.sin(x)), x, np.cos(x)).passed
    True
    """
    return check_gradients(lambda arrays: f(arrays["x"]), {"x": x}, {"x": dx}, **options)


def check_operation(
    forward: Callable[..., Array],
    backward: Callable[..., Mapping[str, Array]],
    arrays: Mapping[str, Array],
    *,
    seed: int = 0,
    **options: Any,
) -> GradientCheck:
    """Compare the backward of an operation that returns an array with finite differences.

    The output is reduced to a number by a random delta, f = sum(delta * forward(...)), whose gradients are what
    backward returns for that delta.

    Parameters
    ----------
    forward : callable
        `forward(**arrays) -> y`.
    backward : callable
        `backward(dy, **arrays) -> {name: gradient}`, for the arrays to be checked.
    arrays : mapping of str to float64 array
    seed : int
        Seed of delta and the draws.
    **options
        As in `check_gradients`.

    Returns
    -------
    GradientCheck

    Examples
    --------
    >>> check_operation(lambda x: x**2, lambda dy, x: {"x": 2 * x * dy}, {"x": np.arange(3.0)}).passed
    True
    """
    y = forward(**arrays)
    dy = np.random.default_rng([seed, 1]).normal(size=y.shape)
    gradients = backward(dy.copy(), **arrays)
    return check_gradients(lambda moved: float(np.sum(dy * forward(**moved))), arrays, gradients, seed=seed, **options)


@dataclass(frozen=True)
class _Line:
    """f along a line through the arrays: one array moves, the others stay fixed."""

    f: Callable[[dict[str, Array]], float]
    arrays: dict[str, Array]
    name: str
    direction: Array
    here: float

    def __call__(self, t: float) -> float:
        return float(self.f({**self.arrays, self.name: self.arrays[self.name] + t * self.direction}))


def _slope(line: _Line, expected: float, noise: float, tolerance: float) -> tuple[float, float] | None:
    """Measure the slope of f along a line; return it and the smallest resolvable difference, or None at a kink."""
    for h in STEPS:
        left, right, near_left, near_right = line(-h), line(h), line(-h / 2), line(h / 2)
        coarse, fine = (right - left) / (2 * h), (near_right - near_left) / h
        bend = (right - 2 * line.here + left) / h
        near_bend = (near_right - 2 * line.here + near_left) / (h / 2)
        scale = max(expected, abs(fine))
        # A tenth of the tolerance: a kink that passes both tests moves the slope by less than five times this.
        smooth = max(0.1 * tolerance * scale, noise / h)
        if abs(coarse - fine) <= smooth and abs(2 * near_bend - bend) <= 2 * smooth:
            return (4 * fine - coarse) / 3, noise / h / tolerance
    return None


def _probes(
    x: Array, generator: np.random.Generator, coordinates: int, directions: int
) -> Iterator[tuple[tuple[int, ...] | None, Array]]:
    """Draw the points to compare at: (index, unit array) for coordinates, (None, direction) for directions."""
    if not x.size:
        return
    typical = float(np.sqrt(np.mean(x * x))) or 1.0
    for flat in generator.choice(x.size, size=min(coordinates, x.size), replace=False):
        unit = np.zeros(x.shape)
        unit.flat[flat] = max(abs(float(x.flat[flat])), typical)
        yield tuple(int(i) for i in np.unravel_index(flat, x.shape)), unit
    values, inverse = np.unique(x, return_inverse=True)
    for k in range(directions):
        if k % 2 and values.size < x.size:
            yield None, typical * generator.normal(size=values.size)[inverse.reshape(x.shape)]
        else:
            yield None, typical * generator.normal(size=x.shape)


def _check_arguments(arrays: Mapping[str, Array], gradients: Mapping[str, Array]) -> None:
    for name, gradient in gradients.items():
        if name not in arrays:
            raise ArgumentError(f"check_gradients: there is a gradient for {name!r}, but no array of that name")
        x = arrays[name]
        if getattr(x, "dtype", None) != np.float64:
            raise ArgumentError(
                f"check_gradients: {name} must be a float64 array, as differences need the precision; "
                f"it is {getattr(x, 'dtype', type(x).__name__)}; convert it with astype(np.float64)"
            )
        if np.shape(gradient) != x.shape:
            raise ShapeError(
                f"check_gradients: the gradient of {name} must have its shape {x.shape}; it has {np.shape(gradient)}"
            )
