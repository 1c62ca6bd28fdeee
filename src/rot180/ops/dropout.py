r"""Dropout: units are switched off at random during training.

A unit is kept with probability q = 1 - rate, and kept values are scaled by 1/q, so that the expected value of y stays x
(q * x/q + rate * 0 = x) and nothing needs to change at inference:

    y = x * mask,     mask = 1/q with probability q, else 0

The mask does not depend on x, so dx = dy * mask. It is drawn outside the operation, by a generator that the caller
passes; the operation itself is a pure function of its arguments.

A mask with one value per image, (N, 1, 1, 1) or (N, 1), switches off whole images, which skips a branch of a network
for some images of a batch: "drop path" or stochastic depth (Huang et al., 2016, arXiv:1603.09382).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.errors import ArgumentError, ShapeError
from rot180.ops.recorder import record
from rot180.ops.types import Array

__all__ = ["dropout", "dropout_backward", "dropout_mask"]


def dropout_mask(shape: tuple[int, ...], rate: float, generator: np.random.Generator, dtype: Any = np.float32) -> Array:
    r"""Draw a mask: 0 with probability `rate`, else 1 / (1 - rate).

    Parameters
    ----------
    shape : tuple of int
        The shape of the array to be masked.
    rate : float
        The fraction of units to switch off, at least 0 and below 1.
    generator : numpy.random.Generator
        Used to draw float32 numbers whatever `dtype` is, so a seed switches off the same units in either type.
    dtype : float32 or float64
        The type of the mask.

    Returns
    -------
    mask : array of that shape and type

    Raises
    ------
    ArgumentError
        The rate is out of range.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov (2014), Dropout: a simple way to prevent neural networks
    from overfitting.

    Examples
    --------
    >>> dropout_mask((6,), 0.5, np.random.default_rng(0))
    array([2., 2., 2., 0., 0., 0.], dtype=float32)
    """
    if not 0 <= rate < 1:
        raise ArgumentError(f"dropout: rate must be at least 0 and below 1; it is {rate!r}; 0.5 switches half off")
    kept = generator.random(shape, dtype=np.float32) >= rate
    mask: Array = kept.astype(dtype)
    mask /= 1 - rate
    record("mask", mask)
    return mask


def dropout(x: Array, mask: Array) -> Array:
    r"""Switch units off: y = x * mask.

    Parameters
    ----------
    x : array
    mask : array of x's shape, or with one value per image
        From `dropout_mask`.

    Returns
    -------
    y : array of the same shape

    Raises
    ------
    ShapeError
        The shapes differ.

    Examples
    --------
    >>> dropout(np.array([1.0, 2.0]), np.array([2.0, 0.0]))
    array([2., 0.])
    """
    _check(x, mask, "dropout", "x")
    y: Array = x * mask
    record("y", y)
    return y


def dropout_backward(dy: Array, mask: Array) -> Array:
    r"""Pass delta through where units were kept: dx = dy * mask, because dy/dx is the mask itself.

    Parameters
    ----------
    dy : array
        dL/dy.
    mask : array of dy's shape, or with one value per image
        The mask of the forward pass.

    Returns
    -------
    dx : array of the same shape
        dL/dx.

    Raises
    ------
    ShapeError
        The shapes differ.

    Examples
    --------
    >>> dropout_backward(np.array([3.0, 3.0]), np.array([2.0, 0.0]))
    array([6., 0.])
    """
    _check(dy, mask, "dropout_backward", "dy")
    dx: Array = dy * mask
    record("dx", dx)
    return dx


def _check(array: Array, mask: Array, name: str, what: str) -> None:
    if mask.shape not in (array.shape, (*array.shape[:1], *(1,) * (array.ndim - 1))):
        raise ShapeError(
            f"{name}: mask must have the shape of {what}, {array.shape}; it is {mask.shape}; draw it with dropout_mask"
        )
