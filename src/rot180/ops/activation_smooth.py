r"""Smooth gated activations: x times a function that rises from 0 to 1.

    f       y                                    f'
    silu    x * s(x),     s the sigmoid          s * (1 + x * (1 - s))
    gelu    x * Phi(x),   Phi the normal         Phi + x * phi,   phi the normal density
            distribution function

By the product rule, f' = gate + x * gate'. The curves fall a little below zero before they rise, so x cannot be
recovered from the output, and backward takes x.
"""

from __future__ import annotations

import math

import numpy as np

from rot180.errors import ArgumentError, did_you_mean
from rot180.ops.error_function import normal_distribution
from rot180.ops.gate import check_shape, through
from rot180.ops.recorder import record
from rot180.ops.types import Array

__all__ = ["gelu", "gelu_backward", "silu", "silu_backward"]

APPROXIMATIONS = ("none", "tanh")
"""How `gelu` computes the normal distribution function."""

_SLOPE = math.sqrt(2 / math.pi)
_CUBIC = 0.044715


def silu(x: Array) -> Array:
    r"""Gate x by its sigmoid, also called swish: y = x * sigmoid(x).

    Parameters
    ----------
    x : array of float32 or float64, any shape

    Returns
    -------
    y : array of x's shape and type

    References
    ----------
    Ramachandran, Zoph and Le (2017), arXiv:1710.05941.

    Examples
    --------
    >>> silu(np.array([-1000.0, 0.0, 1000.0]))
    array([  -0.,    0., 1000.])
    """
    gate = _sigmoid(x)
    record("sigmoid", gate)
    y: Array = x * gate
    record("y", y)
    return y


def silu_backward(dy: Array, x: Array) -> Array:
    r"""Return dx = dy * s * (1 + x * (1 - s)), s = sigmoid(x).

    dy/dx = s + x * ds/dx and ds/dx = s * (1 - s).

    Parameters
    ----------
    dy, x : arrays of one shape
        dL/dy, and the input of `silu`.

    Returns
    -------
    dx : array of the same shape

    Examples
    --------
    >>> silu_backward(np.array([4.0]), np.array([0.0]))
    array([2.])
    """
    check_shape("silu_backward", dy, x)
    s = _sigmoid(x)
    gate = s * (1 + x * (1 - s))
    return through(dy, gate)


def gelu(x: Array, approximate: str = "none") -> Array:
    r"""Gate x by the probability that a standard normal variable is below it: y = x * Phi(x).

    Phi(x) = (1 + erf(x / sqrt(2))) / 2. The usual approximation, "tanh", is

        Phi(x) = (1 + tanh( sqrt(2/pi) * (x + 0.044715 x^3) )) / 2

    Parameters
    ----------
    x : array of float32 or float64, any shape
    approximate : {"none", "tanh"}

    Returns
    -------
    y : array of x's shape and type

    Raises
    ------
    ArgumentError
        `approximate` is not one of the above.

    References
    ----------
    Hendrycks and Gimpel (2016), arXiv:1606.08415.

    Examples
    --------
    >>> gelu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.1587,  0.    ,  0.8413])
    >>> gelu(np.array([1.0]), "tanh").round(4)
    array([0.8412])
    """
    gate = _distribution(x, approximate)
    record("phi", gate)
    y: Array = x * gate
    record("y", y)
    return y


def gelu_backward(dy: Array, x: Array, approximate: str = "none") -> Array:
    r"""Return dx = dy * (Phi(x) + x * Phi'(x)).

    Phi' is the normal density, exp(-x^2/2) / sqrt(2 pi). For the approximation, with u = sqrt(2/pi)*(x + 0.044715 x^3)
    and t = tanh(u), it is (1 - t^2)/2 * du/dx, du/dx = sqrt(2/pi)*(1 + 3*0.044715 x^2): the gradient of what was
    computed, not of the function it approximates.

    Parameters
    ----------
    dy, x : arrays of one shape
        dL/dy, and the input of `gelu`.
    approximate : {"none", "tanh"}
        As in `gelu`.

    Returns
    -------
    dx : array of the same shape

    Examples
    --------
    >>> gelu_backward(np.array([2.0]), np.array([0.0]))
    array([1.])
    """
    check_shape("gelu_backward", dy, x)
    distribution = _distribution(x, approximate)
    if approximate == "tanh":
        t = 2 * distribution - 1
        density = (1 - t * t) / 2 * (_SLOPE * (1 + 3 * _CUBIC * x * x))
    else:
        density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return through(dy, (distribution + x * density).astype(x.dtype, copy=False))


def _sigmoid(x: Array) -> Array:
    """Return the sigmoid without overflow; `activation.sigmoid` derives it."""
    e = np.exp(-np.abs(x))
    s: Array = np.where(x >= 0, 1, e) / (1 + e)
    return s


def _distribution(x: Array, approximate: str) -> Array:
    if approximate == "tanh":
        smooth: Array = (1 + np.tanh(_SLOPE * (x + _CUBIC * x * x * x))) / 2
        return smooth.astype(x.dtype, copy=False)
    if approximate != "none":
        raise ArgumentError(f"gelu: unknown approximation {approximate!r}{did_you_mean(approximate, APPROXIMATIONS)}")
    return normal_distribution(x)
