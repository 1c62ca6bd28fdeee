r"""Piecewise activations: straight pieces, and in one case an exponential piece.

    f             y                              f'                                        from
    relu6         min(max(0, x), 6)              1 where 0 < y < 6, else 0                 y
    hard_sigmoid  min(max(0, x + 3), 6) / 6      1/6 where 0 < y < 1, else 0               y
    hard_swish    x * hard_sigmoid(x)            0 | (2x + 3)/6 | 1, split at -3 and 3     x
    elu           x or alpha*(exp(x) - 1)        1 where x > 0, else alpha*exp(x)          x
    prelu         x or slope*x, slope learned    1 where x > 0, else slope                 x

At the ends of a piece the derivative does not exist; that of the flat side is used, as for ReLU. relu6, hard_sigmoid
and hard_swish need no exponentials, which suits small devices.
"""

from __future__ import annotations

import math

import numpy as np

from rot180.errors import ArgumentError
from rot180.ops.gate import check_shape, through
from rot180.ops.recorder import record
from rot180.ops.sums import sum_over
from rot180.ops.types import Array

__all__ = [
    "elu",
    "elu_backward",
    "hard_sigmoid",
    "hard_sigmoid_backward",
    "hard_swish",
    "hard_swish_backward",
    "prelu",
    "prelu_backward",
    "relu6",
    "relu6_backward",
]


def relu6(x: Array) -> Array:
    r"""Rectify and clip: y = min(max(0, x), 6).

    Parameters
    ----------
    x : array of float32 or float64, any shape

    Returns
    -------
    y : array of x's shape and type

    References
    ----------
    Krizhevsky (2010), Convolutional deep belief networks on CIFAR-10.

    Examples
    --------
    >>> relu6(np.array([-1.0, 2.0, 9.0]))
    array([0., 2., 6.])
    """
    y: Array = np.clip(x, 0, 6)
    record("y", y)
    return y


def relu6_backward(dy: Array, y: Array) -> Array:
    r"""Pass delta through between the two limits: dx = dy * [0 < y < 6].

    Parameters
    ----------
    dy, y : arrays of one shape
        dL/dy, and the output of `relu6`.

    Returns
    -------
    dx : array of the same shape

    Examples
    --------
    >>> relu6_backward(np.array([5.0, 5.0, 5.0]), np.array([0.0, 2.0, 6.0]))
    array([0., 5., 0.])
    """
    return _through(dy, (y > 0) & (y < 6), y, "relu6_backward")


def hard_sigmoid(x: Array) -> Array:
    r"""Squash into [0, 1] with a straight line: y = min(max(0, x + 3), 6) / 6.

    Parameters
    ----------
    x : array of float32 or float64, any shape

    Returns
    -------
    y : array of x's shape and type

    References
    ----------
    Howard et al. (2019), arXiv:1905.02244.

    Examples
    --------
    >>> hard_sigmoid(np.array([-4.0, 0.0, 1.5, 4.0]))
    array([0.  , 0.5 , 0.75, 1.  ])
    """
    y: Array = np.clip(x + 3, 0, 6) / 6
    record("y", y)
    return y


def hard_sigmoid_backward(dy: Array, y: Array) -> Array:
    r"""Scale delta by the slope: dx = dy / 6 where 0 < y < 1, else 0.

    Parameters
    ----------
    dy, y : arrays of one shape
        dL/dy, and the output of `hard_sigmoid`.

    Returns
    -------
    dx : array of the same shape

    Examples
    --------
    >>> hard_sigmoid_backward(np.array([6.0, 6.0]), np.array([0.0, 0.5]))
    array([0., 1.])
    """
    return _through(dy / 6, (y > 0) & (y < 1), y, "hard_sigmoid_backward")


def hard_swish(x: Array) -> Array:
    r"""Gate x with a piecewise linear function: y = x * hard_sigmoid(x).

    Parameters
    ----------
    x : array of float32 or float64, any shape

    Returns
    -------
    y : array of x's shape and type

    References
    ----------
    Howard et al. (2019), arXiv:1905.02244.

    Examples
    --------
    >>> hard_swish(np.array([-4.0, -1.5, 3.0]))
    array([-0.   , -0.375,  3.   ])
    """
    y: Array = x * (np.clip(x + 3, 0, 6) / 6)
    record("y", y)
    return y


def hard_swish_backward(dy: Array, x: Array) -> Array:
    r"""Scale delta by the derivative of the piece that x falls in.

    Between -3 and 3, y = x*(x + 3)/6, so dy/dx = (2x + 3)/6; below, y = 0; above, y = x.

    Parameters
    ----------
    dy, x : arrays of one shape
        dL/dy, and the input of `hard_swish` (x cannot be recovered from the output: the curve falls before it rises).

    Returns
    -------
    dx : array of the same shape

    Examples
    --------
    >>> hard_swish_backward(np.ones(4), np.array([-4.0, -1.5, 0.0, 4.0]))
    array([0. , 0. , 0.5, 1. ])
    """
    check_shape("hard_swish_backward", dy, x)
    gate = np.where(x <= -3, x.dtype.type(0), np.where(x >= 3, x.dtype.type(1), (2 * x + 3) / 6))
    return through(dy, gate)


def elu(x: Array, alpha: float = 1.0) -> Array:
    r"""Rectify with an exponential tail: y = x where x > 0, else alpha * (exp(x) - 1).

    Parameters
    ----------
    x : array of float32 or float64, any shape
    alpha : float
        The value for large negative x is -alpha.

    Returns
    -------
    y : array of x's shape and type

    References
    ----------
    Clevert, Unterthiner and Hochreiter (2015), arXiv:1511.07289.

    Examples
    --------
    >>> elu(np.array([-1000.0, 0.0, 2.0]))
    array([-1.,  0.,  2.])
    """
    y: Array = np.where(x > 0, x, x.dtype.type(alpha) * np.expm1(np.minimum(x, 0)))
    record("y", y)
    return y


def elu_backward(dy: Array, x: Array, alpha: float = 1.0) -> Array:
    r"""Scale delta by the derivative: dx = dy where x > 0, else dy * alpha * exp(x).

    Parameters
    ----------
    dy, x : arrays of one shape
        dL/dy, and the input of `elu`.
    alpha : float
        As in `elu`.

    Returns
    -------
    dx : array of the same shape

    Examples
    --------
    >>> elu_backward(np.array([2.0, 2.0]), np.array([0.0, 3.0]), alpha=0.5)
    array([1., 2.])
    """
    check_shape("elu_backward", dy, x)
    gate = np.where(x > 0, x.dtype.type(1), x.dtype.type(alpha) * np.exp(np.minimum(x, 0)))
    return through(dy, gate)


def prelu(x: Array, slope: Array) -> Array:
    r"""Rectify with a learned leak: y = x where x > 0, else slope[c] * x.

    Parameters
    ----------
    x : (..., C) float32 or float64
    slope : (C,) or (1,)
        One for each channel, or one for all.

    Returns
    -------
    y : array of x's shape

    Raises
    ------
    ShapeError
        The number of slopes is neither 1 nor C.

    References
    ----------
    He, Zhang, Ren and Sun (2015), arXiv:1502.01852.

    Examples
    --------
    >>> prelu(np.array([[-2.0, -2.0], [2.0, 2.0]]), np.array([0.5, 0.0]))
    array([[-1., -0.],
           [ 2.,  2.]])
    """
    _check_slope(x, slope, "prelu")
    y: Array = np.where(x > 0, x, x * slope)
    record("y", y)
    return y


def prelu_backward(dy: Array, x: Array, slope: Array) -> tuple[Array, Array]:
    r"""Propagate delta back to the input and to the slopes.

    dx = dy where x > 0, else slope * dy. The slope of a channel multiplies each of its negative inputs, so

        dslope[c] = sum over all positions of dy * min(0, x)

    and a single slope for all channels receives the sum over all of them.

    Parameters
    ----------
    dy, x : arrays of one shape
        dL/dy, and the input of `prelu`.
    slope : (C,) or (1,)

    Returns
    -------
    dx : array of x's shape
    dslope : array of slope's shape

    Examples
    --------
    >>> prelu_backward(np.array([[1.0, 1.0]]), np.array([[-2.0, 3.0]]), np.array([0.5, 0.5]))
    (array([[0.5, 1. ]]), array([-2.,  0.]))
    """
    check_shape("prelu_backward", dy, x)
    _check_slope(x, slope, "prelu_backward")
    shares = dy * np.minimum(x, 0)
    dslope = sum_over(shares.reshape(math.prod(x.shape[:-1]), x.shape[-1]), 0)
    if slope.shape != dslope.shape:
        dslope = sum_over(dslope, 0, keepdims=True)
    record("dslope", dslope)
    return through(dy, np.where(x > 0, x.dtype.type(1), slope.astype(x.dtype, copy=False))), dslope


def _through(dy: Array, gate: Array, y: Array, name: str) -> Array:
    check_shape(name, dy, y, whose="y")
    return through(dy, gate)


def _check_slope(x: Array, slope: Array, name: str) -> None:
    if x.ndim < 1 or slope.shape not in ((1,), x.shape[-1:]):
        raise ArgumentError(
            f"{name}: slope holds one value, or one per channel of x {x.shape}; its shape is {slope.shape}"
        )
