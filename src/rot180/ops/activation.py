r"""Activations, each next to its derivative.

An activation acts on each number independently, y = f(x), so the Jacobian is diagonal and the chain rule reduces to an
elementwise product: dx = dy * f'(x). The activations differ in f'(x), and in what it is cheapest to compute it from:

    f            y                        f'                          from
    relu         max(0, x)                1 where y > 0, else 0       y
    noisy_relu   max(0, x + noise)        1 where y > 0, else 0       y
    leaky_relu   x or slope*x             1 where x > 0, else slope   x
    sigmoid      1 / (1 + exp(-x))        y * (1 - y)                 y
    tanh         tanh(x)                  1 - y^2                     y

Where f' is computed from y, the backward pass needs no second forward pass, and x need not be kept. Every function of
two arrays raises ShapeError if their shapes differ.
"""

from __future__ import annotations

import numpy as np

from rot180.ops.gate import check_shape
from rot180.ops.recorder import record
from rot180.ops.types import Array

__all__ = [
    "leaky_relu",
    "leaky_relu_backward",
    "noisy_relu",
    "noisy_relu_backward",
    "relu",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "tanh",
    "tanh_backward",
]


def relu(x: Array) -> Array:
    r"""Rectify: y = max(0, x).

    Parameters
    ----------
    x : array of float32 or float64, any shape
        Any unit; it is carried into y.

    Returns
    -------
    y : array of x's shape and type
        NaN stays NaN.

    References
    ----------
    Nair and Hinton (2010), Rectified linear units improve restricted Boltzmann machines.

    Examples
    --------
    >>> relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    y: Array = np.maximum(x, 0)
    record("y", y)
    return y


def relu_backward(dy: Array, y: Array) -> Array:
    r"""Pass delta through where the unit was active: dx = dy * [y > 0].

    y > 0 exactly where x > 0, and there y = x has the derivative 1; where x < 0, y is the constant 0. At x = 0 the
    derivative does not exist, and 0 is used.

    Parameters
    ----------
    dy, y : arrays of one shape
        dL/dy, and the output of `relu`.

    Returns
    -------
    dx : array of the same shape
        dL/dx.

    Examples
    --------
    >>> relu_backward(np.array([5.0, 5.0, 5.0]), relu(np.array([-1.0, 0.0, 2.0])))
    array([0., 0., 5.])
    """
    return _through_gate(dy, y, "relu_backward")


def noisy_relu(x: Array, noise: Array) -> Array:
    r"""Rectify an input with added noise: y = max(0, x + noise).

    Parameters
    ----------
    x : array of float32 or float64, any shape
    noise : array of x's shape
        Drawn beforehand, so that the same arguments always give the same y.

    Returns
    -------
    y : array of x's shape

    References
    ----------
    Nair and Hinton (2010), Rectified linear units improve restricted Boltzmann machines.

    Examples
    --------
    >>> noisy_relu(np.array([-1.0, 1.0]), np.array([1.5, 0.5]))
    array([0.5, 1.5])
    """
    check_shape("noisy_relu", noise, x, "noise", "x")
    return relu(x + noise)


def noisy_relu_backward(dy: Array, y: Array) -> Array:
    r"""Pass delta through where the noisy unit was active: dx = dy * [y > 0].

    With z = x + noise, dz/dx = 1, so dx = dz, and dz is the gradient of `relu` at z.

    Parameters
    ----------
    dy, y : arrays of one shape
        dL/dy, and the output of `noisy_relu`.

    Returns
    -------
    dx : array of the same shape
        dL/dx.

    Examples
    --------
    >>> noisy_relu_backward(np.array([3.0, 3.0]), np.array([0.5, 0.0]))
    array([3., 0.])
    """
    return _through_gate(dy, y, "noisy_relu_backward")


def leaky_relu(x: Array, slope: float = 0.01) -> Array:
    r"""Rectify with a leak: y = x where x > 0, else slope * x.

    Parameters
    ----------
    x : array of float32 or float64, any shape
    slope : float
        The derivative below zero.

    Returns
    -------
    y : array of x's shape and type

    References
    ----------
    Maas, Hannun and Ng (2013), Rectifier nonlinearities improve neural network acoustic models.

    Examples
    --------
    >>> leaky_relu(np.array([-2.0, 2.0]), 0.5)
    array([-1.,  2.])
    """
    y: Array = x * _slopes(x, slope)
    record("y", y)
    return y


def leaky_relu_backward(dy: Array, x: Array, slope: float = 0.01) -> Array:
    r"""Scale delta by the slope at the input: dx = dy where x > 0, else slope * dy.

    Parameters
    ----------
    dy, x : arrays of one shape
        dL/dy, and the input of `leaky_relu` (its output hides the sign of x if the slope is not positive).
    slope : float
        As in `leaky_relu`.

    Returns
    -------
    dx : array of the same shape
        dL/dx.

    Examples
    --------
    >>> leaky_relu_backward(np.array([3.0, 3.0]), np.array([-2.0, 2.0]), 0.5)
    array([1.5, 3. ])
    """
    check_shape("leaky_relu_backward", dy, x, "dy", "x")
    gate = _slopes(x, slope)
    record("gate", gate)
    dx: Array = dy * gate
    record("dx", dx)
    return dx


def sigmoid(x: Array) -> Array:
    r"""Squash into (0, 1): y = 1 / (1 + exp(-x)).

    exp(-x) overflows for large negative x. With e = exp(-|x|), which is never above 1,

        x >= 0:  y = 1 / (1 + e)
        x <  0:  y = exp(x) / (exp(x) + 1) = e / (1 + e)

    and nothing can overflow or cancel.

    Parameters
    ----------
    x : array of float32 or float64, any shape

    Returns
    -------
    y : array of x's shape and type

    Examples
    --------
    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    e = np.exp(-np.abs(x))
    y: Array = np.where(x >= 0, 1, e) / (1 + e)
    record("y", y)
    return y


def sigmoid_backward(dy: Array, y: Array) -> Array:
    r"""Return dx = dy * y * (1 - y), where y is the output of the sigmoid, not its input.

    With y = 1 / q and q = 1 + exp(-x):

        dy/dx = -1/q^2 * dq/dx
              = exp(-x) / q^2                 because dq/dx = -exp(-x)
              = 1/q * (q - 1)/q               because exp(-x) = q - 1
              = y * (1 - y)                   because 1/q = y

    Parameters
    ----------
    dy, y : arrays of one shape
        dL/dy, and the output of `sigmoid`.

    Returns
    -------
    dx : array of the same shape
        dL/dx.

    Examples
    --------
    >>> sigmoid_backward(np.array([8.0]), sigmoid(np.array([0.0])))
    array([2.])
    """
    check_shape("sigmoid_backward", dy, y, "dy", "y")
    gate = y * (1 - y)
    record("gate", gate)
    dx: Array = dy * gate
    record("dx", dx)
    return dx


def tanh(x: Array) -> Array:
    r"""Squash into (-1, 1): y = tanh(x) = 2 * sigmoid(2x) - 1.

    Parameters
    ----------
    x : array of float32 or float64, any shape

    Returns
    -------
    y : array of x's shape and type

    Examples
    --------
    >>> tanh(np.array([-100.0, 0.0, 100.0]))
    array([-1.,  0.,  1.])
    """
    y: Array = np.tanh(x)
    record("y", y)
    return y


def tanh_backward(dy: Array, y: Array) -> Array:
    r"""Return dx = dy * (1 - y^2), where y is the output of tanh.

    With t = sigmoid(2x), y = 2t - 1, that is, t = (1 + y)/2:

        dy/dx = 2 * dt/dx = 2 * 2 t (1 - t) = 4 * (1 + y)/2 * (1 - y)/2 = 1 - y^2

    Parameters
    ----------
    dy, y : arrays of one shape
        dL/dy, and the output of `tanh`.

    Returns
    -------
    dx : array of the same shape
        dL/dx.

    Examples
    --------
    >>> tanh_backward(np.array([8.0]), np.array([0.5]))
    array([6.])
    """
    check_shape("tanh_backward", dy, y, "dy", "y")
    gate = 1 - y * y
    record("gate", gate)
    dx: Array = dy * gate
    record("dx", dx)
    return dx


def _through_gate(dy: Array, y: Array, name: str) -> Array:
    check_shape(name, dy, y, "dy", "y")
    gate = y > 0
    record("gate", gate)
    dx: Array = dy * gate  # a product with booleans is vectorized; np.where took 18 times as long
    record("dx", dx)
    return dx


def _slopes(x: Array, slope: float) -> Array:
    slopes: Array = np.where(x > 0, x.dtype.type(1), x.dtype.type(slope))
    return slopes
