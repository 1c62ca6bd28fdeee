r"""Operations across channels: local response normalization, channel shuffling and channel slices.

**Local response normalization.** A channel is divided by a quantity that depends on its neighbors. Over a window of
`size` channels around c, written W(c),

    q_c = k + (alpha / size) * sum_{c' in W(c)} x_c'^2          y_c = x_c * q_c^(-beta)

x_c affects y in two ways: as the numerator of its own y_c, and through the q of every channel whose window contains it:

    dx_c = dy_c * q_c^(-beta)
           + sum_{c' : c in W(c')} dy_c' * x_c' * (-beta) * q_c'^(-beta - 1) * (alpha / size) * 2 x_c

The second sum runs over the mirrored window. If the size is even, a window reaches one channel further to the left, so
its mirror image reaches one further to the right.

**Shuffling.** The channels, arranged in `groups` rows, are read column by column, so that each group of the next
grouped convolution sees channels of all previous groups. Values are only moved, so backward moves them back: the same
operation with C / groups rows.

**Slicing.** Some neighboring channels are kept: y_k = x_{start + k}. The others do not reach y, so their dx is zero.
"""

from __future__ import annotations

import numpy as np

from rot180.errors import ArgumentError, ShapeError
from rot180.ops.recorder import record
from rot180.ops.types import Array

__all__ = [
    "channel_shuffle",
    "channel_shuffle_backward",
    "channel_slice",
    "channel_slice_backward",
    "local_response_norm",
    "local_response_norm_backward",
]


def local_response_norm(x: Array, size: int, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Array:
    r"""Divide each channel by a power of the mean square of its neighbors.

    Parameters
    ----------
    x : (..., C) float32 or float64
    size : int
        Channels in a window: size // 2 before the channel, the channel itself, (size - 1) // 2 after it.
    alpha, beta, k : float
        As in the module's equation.

    Returns
    -------
    y : array of x's shape and type

    Raises
    ------
    ArgumentError
        The size is below 1.

    References
    ----------
    Krizhevsky, Sutskever and Hinton (2012), ImageNet classification with deep convolutional neural networks.

    Examples
    --------
    >>> local_response_norm(np.array([[3.0, 4.0]]), 1, alpha=1.0, beta=0.5, k=0.0)  # x / |x|
    array([[1., 1.]])
    """
    q = _denominator(x, size, alpha, k)
    record("q", q)
    y: Array = x * q ** x.dtype.type(-beta)
    record("y", y)
    return y


def local_response_norm_backward(
    dy: Array, x: Array, size: int, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    r"""Propagate delta back to each channel and to its neighbors; derived in the module's docstring.

    Parameters
    ----------
    dy, x : arrays of one shape
        dL/dy, and the input of `local_response_norm`.
    size, alpha, beta, k
        As in `local_response_norm`.

    Returns
    -------
    dx : array of the same shape

    Raises
    ------
    ShapeError
        The shapes differ.

    Examples
    --------
    >>> local_response_norm_backward(np.array([[2.0]]), np.array([[3.0]]), 1, alpha=0.0, k=1.0)  # nothing is divided
    array([[2.]])
    """
    if dy.shape != x.shape:
        raise ShapeError(f"local_response_norm_backward: dy must have the shape of x, {x.shape}; it is {dy.shape}")
    number = x.dtype.type
    q = _denominator(x, size, alpha, k)
    power = q ** number(-beta)
    through_q = dy * x * power / q
    direct = dy * power
    neighbors = _window_sums(through_q, (size - 1) // 2, size // 2)  # the window mirrored
    dx: Array = direct - number(2 * beta * alpha / size) * x * neighbors
    record("dx", dx)
    return dx


def channel_shuffle(x: Array, groups: int) -> Array:
    r"""Interleave the channels of `groups` groups: arrange them in rows and read column by column.

    y[..., k*groups + g] = x[..., g*(C/groups) + k]

    Parameters
    ----------
    x : (..., C)
    groups : int
        Divides C.

    Returns
    -------
    y : array of x's shape, a copy

    Raises
    ------
    ShapeError
        The groups do not divide the channels.

    References
    ----------
    Zhang, Zhou, Lin and Sun (2018), arXiv:1707.01083.

    Examples
    --------
    >>> channel_shuffle(np.array([0, 1, 2, 3, 4, 5]), 2)
    array([0, 3, 1, 4, 2, 5])
    """
    c = x.shape[-1]
    if groups < 1 or c % groups:
        raise ShapeError(f"channel_shuffle: groups must divide the channels; x has {c} channels, groups={groups}")
    dealt = x.reshape(*x.shape[:-1], groups, c // groups).swapaxes(-1, -2)
    y = np.ascontiguousarray(dealt).reshape(x.shape)
    record("y", y)
    return y


def channel_shuffle_backward(dy: Array, groups: int) -> Array:
    r"""Move delta back to the channels it came from: `channel_shuffle` with C / groups rows.

    >>> channel_shuffle_backward(channel_shuffle(np.arange(6), 2), 2)
    array([0, 1, 2, 3, 4, 5])
    """
    c = dy.shape[-1]
    if groups < 1 or c % groups:
        raise ShapeError(f"channel_shuffle_backward: groups must divide the channels; dy has {c}, groups={groups}")
    return channel_shuffle(dy, c // groups)


def channel_slice(x: Array, count: int, start: int = 0) -> Array:
    r"""Keep `count` channels from `start` on.

    y[..., k] = x[..., start + k]

    Parameters
    ----------
    x : (..., C)
    count : int
        At least 1.
    start : int
        At least 0; start + count is at most C.

    Returns
    -------
    y : (..., count), a copy

    Raises
    ------
    ShapeError
        x does not have these channels.

    Examples
    --------
    >>> channel_slice(np.array([0, 1, 2, 3, 4, 5]), 2, start=3)
    array([3, 4])
    """
    if count < 1 or start < 0 or start + count > x.shape[-1]:
        raise ShapeError(
            f"channel_slice: the slice must lie inside the channels; x has {x.shape[-1]}, start={start}, count={count}"
        )
    y = x[..., start : start + count].copy()
    record("y", y)
    return y


def channel_slice_backward(dy: Array, channels: int, start: int = 0) -> Array:
    r"""Return delta in its place among zeros: dx[..., start + k] = dy[..., k].

    Parameters
    ----------
    dy : (..., count)
    channels : int
        C, the number of channels of x.
    start : int
        As in `channel_slice`.

    Returns
    -------
    dx : (..., C)

    Raises
    ------
    ShapeError
        So many channels do not hold the slice.

    Examples
    --------
    >>> channel_slice_backward(np.array([3, 4]), 6, start=3)
    array([0, 0, 0, 3, 4, 0])
    """
    if start < 0 or start + dy.shape[-1] > channels:
        raise ShapeError(
            f"channel_slice_backward: the slice must lie inside the channels, {channels}; start={start}, dy has "
            f"{dy.shape[-1]}"
        )
    dx = np.zeros((*dy.shape[:-1], channels), dy.dtype)
    dx[..., start : start + dy.shape[-1]] = dy
    record("dx", dx)
    return dx


def _denominator(x: Array, size: int, alpha: float, k: float) -> Array:
    if size < 1:
        raise ArgumentError(f"local_response_norm: size must be at least 1; it is {size}")
    number = x.dtype.type
    q: Array = number(k) + number(alpha / size) * _window_sums(x * x, size // 2, (size - 1) // 2)
    return q


def _window_sums(a: Array, before: int, behind: int) -> Array:
    """Sum over each channel and its neighbors, `before` to the left and `behind` to the right, cut off at the ends."""
    total = np.zeros_like(a)
    c = a.shape[-1]
    for shift in range(-min(before, c - 1), min(behind, c - 1) + 1):
        total[..., max(-shift, 0) : c - max(shift, 0)] += a[..., max(shift, 0) : c - max(-shift, 0)]
    return total
