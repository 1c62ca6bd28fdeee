r"""The fully connected layer, forward and backward.

Forward, for image n and unit k:

    y[n, k] = b[k] + sum_i x[n, i] * w[i, k]                                                    (1)

Backward: L depends on x, w and b only through y, so each gradient is a sum over every y[n, k] that the number
contributes to, of delta, dy[n, k] = dL/dy[n, k], times the factor that multiplies the number in (1).

    x[n, i] contributes to all units k of its own image, with the factor w[i, k]:
    dx[n, i] = sum_k dy[n, k] * w[i, k],      so  dx = dy @ w.T                                 (2)

    w[i, k] contributes to its own unit k for all images n, with the factor x[n, i]:
    dw[i, k] = sum_n x[n, i] * dy[n, k],      so  dw = x.T @ dy                                 (3)

    b[k] contributes to its own unit k for all images n, with the factor 1:
    db[k] = sum_n dy[n, k],                   so  db = dy.sum(axis=0)                           (4)
"""

from __future__ import annotations

from collections.abc import Collection

from rot180.errors import ArgumentError, ShapeError
from rot180.memory import require
from rot180.ops.recorder import record
from rot180.ops.sums import sum_over
from rot180.ops.types import Array

__all__ = ["linear", "linear_backward"]


def linear(x: Array, w: Array, b: Array | None = None) -> Array:
    r"""Compute each unit's weighted sum of the inputs.

    y[n, k] = b[k] + sum_i x[n, i] * w[i, k]

    Parameters
    ----------
    x : (N, n_in) float32 or float64
        One row per image.
    w : (n_in, n_out)
        Weights.
    b : (n_out,), optional
        Biases.

    Returns
    -------
    y : (N, n_out)

    Raises
    ------
    ShapeError
        The arrays do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0, 0.0, 1.0], [4.0, 1.0, 0.0]]), np.array([0.5, 0.0, 0.0]))
    array([[11.5,  2. ,  1. ]])
    """
    _check(x, w, "linear")
    y: Array = x @ w
    if b is not None:
        if b.shape != (w.shape[1],):
            raise ShapeError(
                f"linear: b must have one bias per unit, ({w.shape[1]},); it is {b.shape}; see w {w.shape}"
            )
        record("x_w", y)
        y = y + b
    record("y", y)
    return y


def linear_backward(
    dy: Array, x: Array, w: Array, *, needs: Collection[str] = ("x", "w", "b")
) -> tuple[Array | None, Array | None, Array | None]:
    r"""Return the gradients of input, weights and biases, derived in the module's docstring.

    dx = dy @ w.T,     dw = x.T @ dy,     db = sum_n dy[n]

    Parameters
    ----------
    dy : (N, n_out)
        dL/dy.
    x : (N, n_in)
    w : (n_in, n_out)
    needs : collection of "x", "w", "b"
        Which gradients to compute.

    Returns
    -------
    dx : (N, n_in) or None
    dw : (n_in, n_out) or None
    db : (n_out,) or None
        None for what is not needed.

    Raises
    ------
    ShapeError
        The arrays do not fit together.
    ArgumentError
        `needs` names something else.

    Examples
    --------
    >>> import numpy as np
    >>> dx, dw, db = linear_backward(np.array([[1.0, 0, 2]]), np.array([[1.0, 2]]), np.ones((2, 3)))
    >>> dx, db
    (array([[3., 3.]]), array([1., 0., 2.]))
    >>> dw
    array([[1., 0., 2.],
           [2., 0., 4.]])
    """
    _check(x, w, "linear_backward")
    if dy.shape != (x.shape[0], w.shape[1]):
        raise ShapeError(
            f"linear_backward: dy must have the shape of y, {(x.shape[0], w.shape[1])}; it is {dy.shape}; "
            f"give the x and w of the forward pass"
        )
    if not set(needs) <= {"x", "w", "b"}:
        raise ArgumentError(f"linear_backward: needs may hold 'x', 'w' and 'b'; it is {needs!r}; leave out the others")
    dx = dw = db = None
    if "x" in needs:
        dx = dy @ w.T  # (2)
        record("dx", dx)
    if "w" in needs:
        dw = x.T @ dy  # (3)
        record("dw", dw)
    if "b" in needs:
        db = sum_over(dy, 0)  # (4)
        record("db", db)
    return dx, dw, db


def _check(x: Array, w: Array, name: str) -> None:
    if x.ndim != 2 or w.ndim != 2:
        raise ShapeError(
            f"{name}: x must be (N, n_in) and w (n_in, n_out); they are {x.shape} and {w.shape}; "
            f"flatten feature maps with x.reshape(len(x), -1)"
        )
    if x.shape[1] != w.shape[0]:
        raise ShapeError(
            f"{name}: x has {x.shape[1]} inputs but w expects {w.shape[0]} (x {x.shape}, w {w.shape}); "
            f"give a w of ({x.shape[1]}, {w.shape[1]})"
        )
    require(x.shape[0] * w.shape[1] * max(x.itemsize, w.itemsize), name)
