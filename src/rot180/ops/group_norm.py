"""Normalization within one image: layer, group and instance normalization; `normalization` derives them."""

from __future__ import annotations

import math

import numpy as np

from rot180.errors import ArgumentError, ShapeError
from rot180.ops.normalization import (
    Gradients,
    backward,
    check_delta,
    check_float,
    check_maps,
    check_parameters,
    moments,
    parameter_gradients,
    scaled,
    three_terms,
)
from rot180.ops.recorder import record
from rot180.ops.types import Array

__all__ = [
    "group_norm",
    "group_norm_backward",
    "instance_norm",
    "instance_norm_backward",
    "layer_norm",
    "layer_norm_backward",
]


def layer_norm(x: Array, gamma: Array, beta: Array, *, axes: int = 1, eps: float = 1e-5) -> Array:
    r"""Normalize the last axes of an array: with one axis, the channels of each pixel; with three, each image.

    Parameters
    ----------
    x : array of float32 or float64, at least `axes` + 1 axes
    gamma, beta : arrays of the shape of x's last axes
    axes : int
        How many of the last axes form a set.
    eps : float

    Returns
    -------
    y : array of x's shape and type

    Raises
    ------
    ShapeError, ArgumentError
        The shapes do not fit, or a number is out of range.

    References
    ----------
    Ba, Kiros and Hinton (2016), arXiv:1607.06450.

    Examples
    --------
    >>> layer_norm(np.array([[1.0, 3.0], [10.0, 30.0]]), np.ones(2), np.zeros(2), eps=1e-12).round(6)
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    of = _last_axes("layer_norm", x, axes, eps)
    check_parameters("layer_norm", x, x.shape[-axes:], gamma=gamma, beta=beta)
    mean, var = moments(x, of)
    xhat = (x - mean) / np.sqrt(var + x.dtype.type(eps))
    record("xhat", xhat)
    return scaled(xhat, gamma, beta)


def layer_norm_backward(dy: Array, x: Array, gamma: Array, *, axes: int = 1, eps: float = 1e-5) -> Gradients:
    r"""Propagate delta back through `layer_norm`: dx = r * ( g - mean(g) - xhat * mean(g * xhat) ), g = gamma * dy.

    Parameters
    ----------
    dy, x : arrays of one shape
        dL/dy, and the input of `layer_norm`.
    gamma, axes, eps
        As in `layer_norm`.

    Returns
    -------
    dx : array of x's shape
    dgamma, dbeta : arrays of gamma's shape
        Summed over the other axes, along which the parameters are shared.

    Examples
    --------
    >>> dx, dgamma, dbeta = layer_norm_backward(np.array([[1.0, 0.0]]), np.array([[1.0, 3.0]]), np.ones(2))
    >>> bool(np.abs(dx).max() < 1e-4), dbeta  # two numbers always become -1 and 1, whatever they are
    (True, array([1., 0.]))
    """
    check_delta("layer_norm_backward", dy, x)
    of = _last_axes("layer_norm_backward", x, axes, eps)
    check_parameters("layer_norm_backward", x, x.shape[-axes:], gamma=gamma)
    mean, var = moments(x, of)
    r = 1 / np.sqrt(var + x.dtype.type(eps))
    return backward(dy, (x - mean) * r, r, gamma, of, tuple(range(x.ndim - axes)))


def group_norm(x: Array, gamma: Array, beta: Array, groups: int, *, eps: float = 1e-5) -> Array:
    r"""Normalize groups of channels over all pixels of one image.

    Parameters
    ----------
    x : (N, H, W, C) or (N, C), float32 or float64
    gamma, beta : (C,)
    groups : int
        Must divide C. One group normalizes the whole image; C groups are `instance_norm`.
    eps : float

    Returns
    -------
    y : array of x's shape and type

    Raises
    ------
    ShapeError, ArgumentError
        The shapes do not fit, or a number is out of range.

    References
    ----------
    Wu and He (2018), arXiv:1803.08494.

    Examples
    --------
    >>> group_norm(np.array([[1.0, 3.0, 10.0, 30.0]]), np.ones(4), np.zeros(4), groups=2, eps=1e-12).round(6)
    array([[-1.,  1., -1.,  1.]])
    """
    check_maps("group_norm", x, eps)
    check_parameters("group_norm", x, (x.shape[-1],), gamma=gamma, beta=beta)
    grouped = _grouped("group_norm", x, groups)
    mean, var = moments(grouped, (1, 3))
    xhat = ((grouped - mean) / np.sqrt(var + x.dtype.type(eps))).reshape(x.shape)
    record("xhat", xhat)
    return scaled(xhat, gamma, beta)


def group_norm_backward(dy: Array, x: Array, gamma: Array, groups: int, *, eps: float = 1e-5) -> Gradients:
    r"""Propagate delta back through `group_norm`: the three terms, with means over one group of one image.

    Parameters
    ----------
    dy, x : arrays of one shape
        dL/dy, and the input of `group_norm`.
    gamma, groups, eps
        As in `group_norm`.

    Returns
    -------
    dx : array of x's shape
    dgamma, dbeta : (C,)

    Examples
    --------
    >>> x = np.array([[1.0, 3.0, 10.0, 30.0]])
    >>> dx, dgamma, dbeta = group_norm_backward(np.ones((1, 4)), x, np.ones(4), groups=2)
    >>> bool(np.abs(dx).max() < 1e-12), dbeta  # the same delta everywhere: normalization removes it
    (True, array([1., 1., 1., 1.]))
    """
    check_maps("group_norm_backward", x, eps)
    check_delta("group_norm_backward", dy, x)
    check_parameters("group_norm_backward", x, (x.shape[-1],), gamma=gamma)
    grouped = _grouped("group_norm_backward", x, groups)
    mean, var = moments(grouped, (1, 3))
    r = 1 / np.sqrt(var + x.dtype.type(eps))
    xhat = (grouped - mean) * r
    g = _grouped("group_norm_backward", dy * gamma, groups)
    dx = three_terms(g, xhat, r, (1, 3)).reshape(x.shape)
    dgamma, dbeta = parameter_gradients(dy, xhat.reshape(x.shape), tuple(range(x.ndim - 1)))
    record("dx", dx)
    return dx, dgamma, dbeta


def instance_norm(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> Array:
    r"""Normalize each channel of each image over its pixels: `group_norm` with one channel per group.

    Parameters, returns and errors are those of `group_norm`.

    References
    ----------
    Ulyanov, Vedaldi and Lempitsky (2016), arXiv:1607.08022.

    Examples
    --------
    >>> x = np.array([1.0, 3.0]).reshape(1, 1, 2, 1)
    >>> instance_norm(x, np.ones(1), np.zeros(1), eps=1e-12).round(6).ravel()
    array([-1.,  1.])
    """
    return group_norm(x, gamma, beta, x.shape[-1], eps=eps)


def instance_norm_backward(dy: Array, x: Array, gamma: Array, *, eps: float = 1e-5) -> Gradients:
    """Propagate delta back through `instance_norm`: `group_norm_backward` with one channel per group.

    >>> x = np.array([1.0, 3.0]).reshape(1, 1, 2, 1)
    >>> instance_norm_backward(np.ones_like(x), x, np.ones(1))[2]
    array([2.])
    """
    return group_norm_backward(dy, x, gamma, x.shape[-1], eps=eps)


def _grouped(name: str, x: Array, groups: int) -> Array:
    """Return x as (N, pixels, groups, channels of a group)."""
    if isinstance(groups, bool) or not isinstance(groups, (int, np.integer)) or groups < 1:
        raise ArgumentError(f"{name}: groups must be an int, at least 1; it is {groups!r}")
    if x.shape[-1] % groups:
        raise ShapeError(f"{name}: groups must divide the channels; x has {x.shape[-1]} channels, groups={groups}")
    return x.reshape(x.shape[0], math.prod(x.shape[1:-1]), groups, x.shape[-1] // groups)


def _last_axes(name: str, x: Array, axes: int, eps: float) -> tuple[int, ...]:
    check_float(name, x, eps)
    if not 1 <= axes < x.ndim:
        raise ArgumentError(
            f"{name}: axes is the number of last axes, from 1 to {x.ndim - 1} for x of shape {x.shape}; it is {axes}"
        )
    return tuple(range(x.ndim - axes, x.ndim))
