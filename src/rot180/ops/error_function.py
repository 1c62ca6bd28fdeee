r"""The error function and the normal distribution function, which NumPy does not have.

    erf(x) = 2/sqrt(pi) * integral of exp(-t^2) from 0 to x,    Phi(x) = (1 + erf(x / sqrt(2))) / 2

Each is computed from one of three quotients of polynomials, which Cody fitted, by the size of z, the argument of erf:

    |z| <= 0.46875            erf(z) = z * R(z^2)
    0.46875 < |z| <= 4        1 - erf(|z|) = exp(-z^2) * S(|z|)
    4 < |z|                   1 - erf(|z|) = exp(-z^2) * (1/sqrt(pi) - T(1/z^2) / z^2) / |z|

The tail, 1 - erf, is computed as a product, so that it keeps its digits where erf is nearly one. An error of one unit
in z^2 would be one of z^2 units in the exponential; z is therefore split into c, its first bits, whose square is exact,
and the rest: z^2 = c^2 + (z - c)(z + c).

References
----------
Cody (1969), Rational Chebyshev approximations for the error function, Mathematics of Computation 23, 631-637.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rot180.ops.types import Array

__all__ = ["erf", "normal_distribution"]

# Powers in falling order, numerator and denominator.
_NEAR = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_MIDDLE = (
    (
        2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1,
        2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
        3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
    ),
)  # fmt: skip
_FAR = (
    (
        1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
        1.60837851487422766e-2, 6.58749161529837803e-4,
    ),
    (
        1.0, 2.56852019228982242, 1.87295284992346047, 5.27905102951428412e-1, 6.05183413124413191e-2,
        2.33520497626869185e-3,
    ),
)  # fmt: skip
_NEAREST, _FARTHEST = 0.46875, 4.0
"""The sizes of z at which one quotient takes over from another."""
_ZERO = 40.0
"""A number whose tail is zero, as erf's and as Phi's: exp(-40^2 / 2) is below the smallest number."""

BLOCK = 8192
"""Values computed at a time: what is in between stays in the processor's cache."""


def erf(x: Array) -> Array:
    r"""Return 2/sqrt(pi) * integral of exp(-t^2) from 0 to x, computed in float64.

    Parameters
    ----------
    x : array of float32 or float64, any shape

    Returns
    -------
    y : array of x's shape and type

    Examples
    --------
    >>> erf(np.array([-np.inf, 0.0, 0.5, 6.0])).round(4)
    array([-1.    ,  0.    ,  0.5205,  1.    ])
    """
    return _in_blocks(_erf, x)


def normal_distribution(x: Array) -> Array:
    r"""Return Phi(x), the probability that a standard normal variable is below x, computed in float64.

    Parameters and returns are those of `erf`.

    Examples
    --------
    >>> normal_distribution(np.array([-1.0, 0.0, 1.0])).round(4)
    array([0.1587, 0.5   , 0.8413])
    """
    return _in_blocks(_normal_distribution, x)


def _in_blocks(function: Callable[[Array], Array], x: Array) -> Array:
    y = np.empty(x.shape, x.dtype)
    source, target = x.reshape(-1), y.reshape(-1)
    with np.errstate(under="ignore"):  # the tail of a large number is zero
        for at in range(0, len(source), BLOCK):
            target[at : at + BLOCK] = function(source[at : at + BLOCK].astype(np.float64))
    return y


def _erf(x: Array) -> Array:
    z = np.minimum(np.abs(x), _ZERO)
    y = np.empty_like(z)
    near, others = _where(z <= _NEAREST)
    y[near] = _near(z[near])
    rest = z[others]
    y[others] = 1 - _tail(rest, rest, 1.0)
    return np.copysign(y, x)


def _normal_distribution(x: Array) -> Array:
    size = np.minimum(np.abs(x), _ZERO)
    z = size * math.sqrt(0.5)
    below = np.empty_like(z)  # Phi(-|x|)
    near, others = _where(z <= _NEAREST)
    below[near] = 0.5 - 0.5 * _near(z[near])
    below[others] = 0.5 * _tail(z[others], size[others], 0.5)
    return np.where(x > 0, 1 - below, below)


def _where(condition: Array) -> tuple[Array, Array]:
    """Return where a condition holds, and where it does not: an index is several times as fast as a mask."""
    return np.flatnonzero(condition), np.flatnonzero(~condition)


def _near(z: Array) -> Array:
    """Return erf(z) for z from 0 to 0.46875."""
    return z * _quotient(_NEAR, z * z)


def _tail(z: Array, root: Array, factor: float) -> Array:
    """Return 1 - erf(z) for z above 0.46875; z^2 is factor * root^2."""
    tail = _quotient(_MIDDLE, z)
    beyond = np.flatnonzero(z > _FARTHEST)
    if len(beyond):
        far = z[beyond]
        inverse = 1 / (far * far)
        tail[beyond] = (1 / math.sqrt(math.pi) - inverse * _quotient(_FAR, inverse)) / far
    first = np.floor(root * 16) / 16
    tail *= np.exp(-factor * first * first)
    tail *= np.exp(-factor * ((root - first) * (root + first)))
    return tail


def _quotient(powers: tuple[tuple[float, ...], tuple[float, ...]], x: Array) -> Array:
    """Return the quotient of two polynomials in x, by Horner's rule."""
    above, below = (_polynomial(each, x) for each in powers)
    above /= below
    return above


def _polynomial(powers: tuple[float, ...], x: Array) -> Array:
    y = powers[0] * x
    for power in powers[1:-1]:
        y += power
        y *= x
    y += powers[-1]
    return y
