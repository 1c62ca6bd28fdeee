r"""Joining the branches of a network: by a sum, a concatenation or a gate.

    add          y = x_1 + x_2 + ...            dx_k = dy
    concatenate  y = [x_1 | x_2 | ...]          dx_k = the channels of dy that came from x_k
    multiply     y = x * gate                   dx = dy * gate,   dgate = sum over the pixels of dy * x

In a sum, every branch receives all of delta, since each contributes with a factor of 1; giving it to one branch only,
or dividing it among them, are the mistakes to look for. Where a branch forks, the deltas that come back are added,
which is the same rule in reverse.
"""

from __future__ import annotations

import numpy as np

from rot180.errors import ShapeError
from rot180.memory import require
from rot180.ops.recorder import record
from rot180.ops.sums import sum_over
from rot180.ops.types import Array

__all__ = ["add", "add_backward", "concatenate", "concatenate_backward", "multiply", "multiply_backward"]


def add(*xs: Array) -> Array:
    r"""Add the outputs of branches: y = x_1 + x_2 + ...

    Parameters
    ----------
    *xs : arrays of one shape, at least one

    Returns
    -------
    y : array of the same shape
        Summed from left to right.

    Raises
    ------
    ShapeError
        The shapes differ: there is no broadcasting.

    Examples
    --------
    >>> add(np.array([1.0, 2.0]), np.array([10.0, 20.0]))
    array([11., 22.])
    """
    _check_branches("add", xs, of=slice(None))
    y: Array = xs[0].copy()
    for x in xs[1:]:
        y = y + x
    record("y", y)
    return y


def add_backward(dy: Array, count: int) -> tuple[Array, ...]:
    r"""Pass delta to every branch: dx_k = dy, because y changes by as much as any x_k does.

    Parameters
    ----------
    dy : array
        dL/dy.
    count : int
        Number of branches.

    Returns
    -------
    tuple of `count` arrays
        dy itself, not copies.

    Examples
    --------
    >>> add_backward(np.array([3.0]), 2)
    (array([3.]), array([3.]))
    """
    return (dy,) * count


def concatenate(*xs: Array) -> Array:
    r"""Concatenate the channels of branches.

    Parameters
    ----------
    *xs : (..., C_k), equal except for the last axis

    Returns
    -------
    y : (..., C_1 + C_2 + ...)

    Raises
    ------
    ShapeError
        They differ in more than the channels.
    TooLargeError
        The output needs more memory than is available.

    Examples
    --------
    >>> concatenate(np.array([[1.0]]), np.array([[2.0, 3.0]]))
    array([[1., 2., 3.]])
    """
    _check_branches("concatenate", xs, of=slice(-1))
    require(sum(x.nbytes for x in xs), "concatenate")
    y = np.concatenate(xs, axis=-1)
    record("y", y)
    return y


def concatenate_backward(dy: Array, channels: tuple[int, ...]) -> tuple[Array, ...]:
    r"""Pass to each branch the part of delta that belongs to its channels.

    Parameters
    ----------
    dy : (..., C_1 + C_2 + ...)
        dL/dy.
    channels : tuple of int
        C_1, C_2, ...

    Returns
    -------
    tuple of arrays (..., C_k)

    Raises
    ------
    ShapeError
        The channels do not add up to those of dy.

    Examples
    --------
    >>> concatenate_backward(np.array([[1.0, 2.0, 3.0]]), (1, 2))
    (array([[1.]]), array([[2., 3.]]))
    """
    if sum(channels) != dy.shape[-1]:
        raise ShapeError(f"concatenate_backward: dy has {dy.shape[-1]} channels, but the branches have {channels}")
    ends = np.cumsum(channels).tolist()
    return tuple(np.ascontiguousarray(dy[..., end - count : end]) for end, count in zip(ends, channels, strict=True))


def multiply(x: Array, gate: Array) -> Array:
    r"""Scale feature maps by a gate: y = x * gate.

    Parameters
    ----------
    x : (N, H, W, C) or (N, C)
    gate : array of x's shape, or (N, C) for maps: one value per image and channel
        As in squeeze-and-excitation.

    Returns
    -------
    y : array of x's shape

    Raises
    ------
    ShapeError
        The gate does not fit.

    References
    ----------
    Hu, Shen and Sun (2018), arXiv:1709.01507.

    Examples
    --------
    >>> multiply(np.ones((1, 1, 2, 2)), np.array([[1.0, 0.5]]))[0, 0]
    array([[1. , 0.5],
           [1. , 0.5]])
    """
    y: Array = x * _spread_gate("multiply", x, gate)
    record("y", y)
    return y


def multiply_backward(dy: Array, x: Array, gate: Array) -> tuple[Array, Array]:
    r"""Propagate delta back to both factors: for each, delta times the other factor.

    dx = dy * gate. A gate with one value per channel multiplies every pixel of its map, so its gradient is a sum:

        dgate[n, c] = sum_{i, j} dy[n, i, j, c] * x[n, i, j, c]

    Parameters
    ----------
    dy, x : arrays of one shape
    gate : array
        As in `multiply`.

    Returns
    -------
    dx : array of x's shape
    dgate : array of gate's shape

    Raises
    ------
    ShapeError
        The shapes do not fit.

    Examples
    --------
    >>> x, gate = np.array([2.0, 3.0]).reshape(1, 1, 2, 1), np.array([[0.5]])
    >>> dx, dgate = multiply_backward(np.ones((1, 1, 2, 1)), x, gate)
    >>> dx.ravel(), dgate
    (array([0.5, 0.5]), array([[5.]]))
    """
    if dy.shape != x.shape:
        raise ShapeError(f"multiply_backward: dy must have the shape of x, {x.shape}; it is {dy.shape}")
    dx: Array = dy * _spread_gate("multiply_backward", x, gate)
    shares = dy * x
    dgate: Array = shares if gate.shape == x.shape else sum_over(shares, (1, 2))
    record("dx", dx)
    record("dgate", dgate)
    return dx, dgate


def _spread_gate(name: str, x: Array, gate: Array) -> Array:
    if gate.shape == x.shape:
        return gate
    if x.ndim == 4 and gate.shape == (x.shape[0], x.shape[3]):
        return gate[:, None, None, :]
    raise ShapeError(f"{name}: the gate must have the shape of x, {x.shape}, or be (N, C); it is {gate.shape}")


def _check_branches(name: str, xs: tuple[Array, ...], of: slice) -> None:
    if not xs:
        raise ShapeError(f"{name}: needs at least one array, but got none")
    if any(x.ndim != xs[0].ndim or x.shape[of] != xs[0].shape[of] for x in xs):
        what = "one shape" if of == slice(None) else "one shape but for the channels"
        raise ShapeError(f"{name}: the branches must have {what}; they have {', '.join(str(x.shape) for x in xs)}")
