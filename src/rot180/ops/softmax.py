r"""Softmax and its logarithm, forward and backward.

    y_k = exp(x_k) / sum_j exp(x_j)                                                             (1)

**Stability.** A constant c subtracted from all x_k cancels in (1): exp(x_k - c) = exp(x_k) exp(-c) in numerator and
denominator. With c = max_j x_j every exponent is at most 0 and one is exactly 0, so nothing overflows and the sum is at
least 1.

**The logarithm** follows from (1) without ever forming y, so a probability that underflows to zero does no harm:

    l_k = log y_k = (x_k - c) - log sum_j exp(x_j - c)                                          (2)

**Derivative.** Differentiate (2):

    dl_k/dx_i = [k = i] - exp(x_i) / sum_j exp(x_j) = [k = i] - y_i                             (3)

and because y_k = exp(l_k):

    dy_k/dx_i = y_k * dl_k/dx_i = y_k * ([k = i] - y_i)                                         (4)

The chain rule, summed over all k:

    log_softmax:  dx_i = sum_k dl_k * ([k = i] - y_i)   = dl_i - y_i * sum_k dl_k               (5)
    softmax:      dx_i = sum_k dy_k * y_k * ([k = i] - y_i) = y_i * (dy_i - sum_k dy_k * y_k)   (6)
"""

from __future__ import annotations

import numpy as np

from rot180.errors import ShapeError
from rot180.ops.recorder import record
from rot180.ops.types import Array

__all__ = ["log_softmax", "log_softmax_backward", "softmax", "softmax_backward"]


def softmax(x: Array, axis: int = -1) -> Array:
    r"""Turn scores into probabilities: y_k = exp(x_k) / sum_j exp(x_j).

    Parameters
    ----------
    x : array of float32 or float64, any shape
        Scores (logits), in natural-logarithm units.
    axis : int
        The axis that sums to one.

    Returns
    -------
    y : array of x's shape and type
        Probabilities.

    Examples
    --------
    >>> softmax(np.array([[0.0, 0.0], [1e4, 0.0]]))
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    _check_axis(x, axis, "softmax")
    y: Array = np.exp(x - x.max(axis=axis, keepdims=True))
    y /= y.sum(axis=axis, keepdims=True)
    record("probabilities", y)
    return y


def softmax_backward(dy: Array, y: Array, axis: int = -1) -> Array:
    r"""Return dx = y * (dy - sum_k dy_k y_k), equation (6) of the module's docstring.

    Parameters
    ----------
    dy, y : arrays of one shape
        dL/dy, and the output of `softmax`.
    axis : int
        As in `softmax`.

    Returns
    -------
    dx : array of the same shape
        dL/dx; it sums to zero along the axis, because shifting all scores by a constant changes nothing.

    Raises
    ------
    ShapeError
        The shapes differ, or the axis is empty.

    Examples
    --------
    >>> softmax_backward(np.array([[4.0, 0.0]]), np.array([[0.5, 0.5]]))
    array([[ 1., -1.]])
    """
    _check(dy, y, "softmax_backward")
    _check_axis(y, axis, "softmax_backward")
    dx: Array = y * (dy - (dy * y).sum(axis=axis, keepdims=True))
    record("dx", dx)
    return dx


def log_softmax(x: Array, axis: int = -1) -> Array:
    r"""Return the logarithms of the probabilities: l_k = x_k - c - log sum_j exp(x_j - c), c = max_j x_j.

    Parameters
    ----------
    x : array of float32 or float64, any shape
        Scores (logits), in natural-logarithm units.
    axis : int
        The axis along which the probabilities sum to one.

    Returns
    -------
    y : array of x's shape and type
        Natural logarithms of probabilities, at most 0 and finite for finite x.

    Examples
    --------
    >>> log_softmax(np.array([[1e4, 0.0]]))
    array([[     0., -10000.]])
    """
    _check_axis(x, axis, "log_softmax")
    z = x - x.max(axis=axis, keepdims=True)
    y: Array = z - np.log(np.exp(z).sum(axis=axis, keepdims=True))
    record("log_probabilities", y)
    return y


def log_softmax_backward(dy: Array, y: Array, axis: int = -1) -> Array:
    r"""Return dx = dy - exp(y) * sum_k dy_k, equation (5) of the module's docstring.

    Parameters
    ----------
    dy, y : arrays of one shape
        dL/dy, and the output of `log_softmax`.
    axis : int
        As in `log_softmax`.

    Returns
    -------
    dx : array of the same shape
        dL/dx; it sums to zero along the axis.

    Raises
    ------
    ShapeError
        The shapes differ, or the axis is empty.

    Examples
    --------
    >>> log_softmax_backward(np.array([[4.0, 0.0]]), np.log(np.array([[0.5, 0.5]])))
    array([[ 2., -2.]])
    """
    _check(dy, y, "log_softmax_backward")
    _check_axis(y, axis, "log_softmax_backward")
    dx: Array = dy - np.exp(y) * dy.sum(axis=axis, keepdims=True)
    record("dx", dx)
    return dx


def _check_axis(x: Array, axis: int, name: str) -> None:
    if not -x.ndim <= axis < x.ndim or x.shape[axis] == 0:
        raise ShapeError(
            f"{name}: the axis must hold at least one number; it is axis {axis!r} of the shape {x.shape}; "
            f"give at least one class"
        )


def _check(dy: Array, y: Array, name: str) -> None:
    if dy.shape != y.shape:
        raise ShapeError(
            f"{name}: dy must have the shape of y, {y.shape}; it is {dy.shape}; give the y of the forward pass"
        )
