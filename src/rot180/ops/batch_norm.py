"""Batch normalization, in training, backward and in inference; `normalization` derives it."""

from __future__ import annotations

import math

import numpy as np

from rot180.errors import ArgumentError, ShapeError
from rot180.ops.normalization import (
    Gradients,
    backward,
    check_delta,
    check_maps,
    check_parameters,
    moments,
    parameter_gradients,
    scaled,
)
from rot180.ops.recorder import record
from rot180.ops.types import Array

__all__ = [
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_inference",
    "batch_norm_inference_backward",
    "moving_average",
]


def batch_norm(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> tuple[Array, Array, Array]:
    r"""Normalize each channel over a batch, as in training.

    mean[c] = mean_{n, i, j} x[n, i, j, c],     var[c] = mean_{n, i, j} (x[n, i, j, c] - mean[c])^2
    y = gamma * (x - mean) / sqrt(var + eps) + beta

    Parameters
    ----------
    x : (N, H, W, C) or (N, C), float32 or float64
        Feature maps or vectors; at least two values per channel.
    gamma, beta : (C,)
        Scale and shift of each channel.
    eps : float
        Added to the variance, inside the square root.

    Returns
    -------
    y : array of x's shape and type
    mean, var : (C,)
        Of this batch; the biased variance, divided by the number of values. `moving_average` accumulates them.

    Raises
    ------
    ShapeError
        x has the wrong number of axes, gamma or beta is not (C,), or a channel has a single value.
    ArgumentError
        x is not float32 or float64, or eps is not positive.

    References
    ----------
    Ioffe and Szegedy (2015), arXiv:1502.03167.

    Examples
    --------
    >>> x = np.array([[1.0, 10.0], [3.0, 30.0]])
    >>> y, mean, var = batch_norm(x, np.ones(2), np.zeros(2), eps=1e-12)
    >>> y.round(6), mean, var
    (array([[-1., -1.],
           [ 1.,  1.]]), array([ 2., 20.]), array([  1., 100.]))
    """
    check_maps("batch_norm", x, eps)
    check_parameters("batch_norm", x, (x.shape[-1],), gamma=gamma, beta=beta)
    axes = tuple(range(x.ndim - 1))
    check_count(x.shape)
    mean, var = moments(x, axes)
    xhat = (x - mean) / np.sqrt(var + x.dtype.type(eps))
    record("xhat", xhat)
    y = scaled(xhat, gamma, beta)
    return y, mean.reshape(-1), var.reshape(-1)


def batch_norm_backward(dy: Array, x: Array, gamma: Array, mean: Array, var: Array, *, eps: float = 1e-5) -> Gradients:
    r"""Propagate delta back through `batch_norm`, whose mean and variance depend on x as well.

    dx = gamma * r * ( dy - mean(dy) - xhat * mean(dy * xhat) ),     r = 1 / sqrt(var + eps),     means over N, H, W

    Parameters
    ----------
    dy, x : arrays of one shape
        dL/dy, and the input of `batch_norm`.
    gamma, mean, var : (C,)
        As passed to and returned by `batch_norm`.
    eps : float

    Returns
    -------
    dx : array of x's shape
    dgamma, dbeta : (C,)

    Raises
    ------
    ShapeError
        The shapes differ.

    Examples
    --------
    >>> x = np.array([[1.0], [3.0], [8.0]])
    >>> y, mean, var = batch_norm(x, np.ones(1), np.zeros(1))
    >>> dx, dgamma, dbeta = batch_norm_backward(np.array([[1.0], [0.0], [0.0]]), x, np.ones(1), mean, var)
    >>> bool(abs(dx.sum()) < 1e-12), dbeta
    (True, array([1.]))
    """
    check_maps("batch_norm_backward", x, eps)
    check_delta("batch_norm_backward", dy, x)
    check_parameters("batch_norm_backward", x, (x.shape[-1],), gamma=gamma, mean=mean, var=var)
    axes = tuple(range(x.ndim - 1))
    r = 1 / np.sqrt(var + x.dtype.type(eps))
    return backward(dy, (x - mean) * r, r, gamma, axes, axes)


def batch_norm_inference(x: Array, gamma: Array, beta: Array, mean: Array, var: Array, *, eps: float = 1e-5) -> Array:
    r"""Normalize each channel with given statistics, as at inference.

    y = gamma * (x - mean) / sqrt(var + eps) + beta, which is x * scale + shift with
    scale = gamma / sqrt(var + eps) and shift = beta - mean * scale: no image depends on the others, and a preceding
    convolution can absorb scale and shift into its weights and bias.

    Parameters
    ----------
    x : (..., C) float32 or float64
    gamma, beta, mean, var : (C,)
    eps : float

    Returns
    -------
    y : array of x's shape and type

    Raises
    ------
    ShapeError, ArgumentError
        As in `batch_norm`.

    Examples
    --------
    >>> gamma, beta, mean, var = np.array([2.0]), np.array([1.0]), np.array([3.0]), np.array([4.0])
    >>> batch_norm_inference(np.array([[5.0]]), gamma, beta, mean, var, eps=1e-12)
    array([[3.]])
    """
    check_maps("batch_norm_inference", x, eps)
    check_parameters("batch_norm_inference", x, (x.shape[-1],), gamma=gamma, beta=beta, mean=mean, var=var)
    scale = (gamma / np.sqrt(var + x.dtype.type(eps))).astype(x.dtype, copy=False)
    shift = (beta - mean * scale).astype(x.dtype, copy=False)
    record("scale", scale)
    record("shift", shift)
    y: Array = x * scale + shift
    record("y", y)
    return y


def batch_norm_inference_backward(
    dy: Array, x: Array, gamma: Array, mean: Array, var: Array, *, eps: float = 1e-5
) -> Gradients:
    r"""Propagate delta back through `batch_norm_inference`, whose mean and variance do not depend on x.

    dx = dy * gamma * r,     r = 1 / sqrt(var + eps):     of the three terms of `batch_norm_backward` only the first.

    Parameters
    ----------
    dy, x : arrays of one shape
        dL/dy, and the input of `batch_norm_inference`.
    gamma, mean, var : (C,)
        As passed to it.
    eps : float

    Returns
    -------
    dx : array of x's shape
    dgamma, dbeta : (C,)

    Raises
    ------
    ShapeError
        The shapes differ.

    Examples
    --------
    >>> one = np.ones(1)
    >>> batch_norm_inference_backward(np.array([[3.0]]), np.array([[2.0]]), one, one, 4 * one, eps=1e-12)
    (array([[1.5]]), array([1.5]), array([3.]))
    """
    check_maps("batch_norm_inference_backward", x, eps)
    check_delta("batch_norm_inference_backward", dy, x)
    check_parameters("batch_norm_inference_backward", x, (x.shape[-1],), gamma=gamma, mean=mean, var=var)
    r = 1 / np.sqrt(var + x.dtype.type(eps))
    dx: Array = dy * (gamma * r).astype(x.dtype, copy=False)
    dgamma, dbeta = parameter_gradients(dy, (x - mean) * r, tuple(range(x.ndim - 1)))
    record("dx", dx)
    return dx, dgamma, dbeta


def moving_average(
    average: tuple[Array, Array], batch: tuple[Array, Array], count: int, momentum: float = 0.1
) -> tuple[Array, Array]:
    r"""Update the statistics for inference with those of a batch.

    mean <- (1 - momentum) * mean + momentum * batch mean
    var  <- (1 - momentum) * var  + momentum * batch variance * count / (count - 1)

    The variance of a batch around its own mean is too small by the factor (count - 1)/count on average; the average
    kept is the unbiased one.

    Parameters
    ----------
    average, batch : ((C,), (C,))
        Mean and variance: the averages so far, and those of `batch_norm`.
    count : int
        Values per channel in the batch, N*H*W, at least 2.
    momentum : float
        The weight of the batch, from 0 to 1.

    Returns
    -------
    mean, var : (C,)
        New arrays.

    Examples
    --------
    >>> moving_average((np.zeros(1), np.ones(1)), (np.ones(1), np.ones(1)), count=2, momentum=0.5)
    (array([0.5]), array([1.5]))
    """
    if count < 2:
        raise ArgumentError(f"moving_average: count must be at least 2; it is {count}; a single value has no variance")
    share = average[0].dtype.type(momentum)
    unbiased = batch[1] * average[1].dtype.type(count / (count - 1))
    return average[0] + share * (batch[0] - average[0]), average[1] + share * (unbiased - average[1])


def check_count(shape: tuple[int, ...]) -> None:
    """Raise ShapeError if a channel of an array of this shape has a single value, or none."""
    if math.prod(shape[:-1]) < 2 or not shape[-1]:
        raise ShapeError(
            f"batch_norm: a channel needs at least two values to have a variance; x has shape {shape}; "
            "give a larger batch"
        )
