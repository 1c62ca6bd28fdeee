r"""Muon: momentum whose matrix is made orthogonal before it becomes a step.

The weight of a convolution maps the C*KH*KW numbers under the window to F outputs: as a matrix it has one row for each
of those numbers, and one column for each output. The mean m of its gradients (see `rot180.ops.update`) is dominated by
few directions, its largest singular values: the other directions hardly learn. With m = U S V' in singular values,
Muon's step is along U V', where all directions count alike. It is the orthogonal matrix that is closest to m.

**Orthogonal by products alone.** An odd polynomial of a matrix acts on its singular values and leaves U and V alone:

    x = U S V'     =>     a x + b x (x'x) + c x (x'x)^2 = U (a S + b S^3 + c S^5) V'

Divided by its Frobenius norm, m has no singular value above 1. The polynomial 3.4445 s - 4.775 s^3 + 2.0315 s^5 is
steep at 0, and so moves even small s quickly to where it then stays, between about 0.7 and 1.2: not exactly 1, which a
step does not need. It is applied five times.

**On the small side.** The polynomial is x q with the symmetric q = a + b g + c g^2, g = x'x, which has as many rows as
x has columns. The next g is (x q)'(x q) = q g q, and does not need the next x. So five small matrices q are multiplied,
and x by their product P at the end: 2 R C^2 + 20 C^3 multiply-adds instead of 10 R C^2 + 5 C^3. Each number of the
result is a mixture of the numbers in its row of x.

**The length of the step.** A matrix of that kind with the larger side n has the root mean square 1 / sqrt(n). Times
0.2 sqrt(n) it becomes 0.2, about that of Adam's steps, so that a learning rate suits both. Weight decay is AdamW's:

    m = beta * m + (1 - beta) * dw,     g = beta * m + (1 - beta) * dw           (Nesterov's look ahead)
    w -= lr * weight_decay * w,         w -= lr * 0.2 sqrt(n) * orthogonal(g)
"""

from __future__ import annotations

import math

import numpy as np

from rot180.errors import ArgumentError, ShapeError
from rot180.ops.recorder import is_listening, record
from rot180.ops.types import Array

__all__ = ["muon_update", "orthogonalize"]

COEFFICIENTS = 3.4445, -4.775, 2.0315
"""Of s, s^3 and s^5 in the polynomial."""

STEPS = 5
"""How often the polynomial is applied."""

LENGTH = 0.2
"""The root mean square of a step, in units of the learning rate."""


def orthogonalize(matrix: Array) -> Array:
    r"""Return about the orthogonal matrix that is closest to a given one: U V' if it is U S V' in singular values.

    Parameters
    ----------
    matrix : (R, C) array of float32 or float64

    Returns
    -------
    (R, C) array
        Singular values that are not tiny beside the largest become 0.7 to 1.2. Zeros stay zeros.

    Raises
    ------
    ShapeError
        It is not a matrix.

    References
    ----------
    Jordan et al. (2024), Muon: an optimizer for hidden layers in neural networks.

    Examples
    --------
    >>> matrix = np.array([[9.0, 1.0], [0.0, 2.0], [3.0, 1.0]])
    >>> np.linalg.svd(matrix)[1].round(2), np.linalg.svd(orthogonalize(matrix))[1].round(2)
    (array([9.58, 2.08]), array([0.73, 0.68]))
    """
    if matrix.ndim != 2:
        raise ShapeError(f"orthogonalize: expected a matrix; it is {matrix.shape}; reshape it to two axes")
    if matrix.shape[0] < matrix.shape[1]:  # x'x would be the larger product
        return np.ascontiguousarray(orthogonalize(matrix.T).T)
    if not matrix.any():
        return np.zeros_like(matrix)
    x, mixing = factors(matrix)
    return np.asarray(x @ mixing)


def factors(matrix: Array) -> tuple[Array, Array]:
    r"""Return the two matrices whose product is orthogonal.

    Parameters
    ----------
    matrix : (R, C) array of float32 or float64
        R at least C, and not only zeros.

    Returns
    -------
    x : (R, C) array
        The matrix divided by its Frobenius norm.
    mixing : (C, C) array
        The product of the polynomials, which is symmetric: how much of each column of x goes into each of the result.
    """
    x = matrix / np.abs(matrix).max()  # its squares neither overflow nor vanish
    x /= np.linalg.norm(x)
    a, b, c = COEFFICIENTS
    one = np.eye(x.shape[1], dtype=x.dtype)
    gram, mixing = x.T @ x, one
    for _ in range(STEPS):
        q = a * one + b * gram + c * (gram @ gram)
        gram = q @ gram @ q
        mixing = mixing @ q
    return x, mixing


def muon_update(w: Array, dw: Array, m: Array, *, lr: float, beta: float = 0.9, weight_decay: float = 0.0) -> None:
    r"""Take one step of Muon.

    m = beta*m + (1 - beta)*dw,   g = beta*m + (1 - beta)*dw,   w -= lr * (weight_decay*w + 0.2 sqrt(n)*orthogonal(g))

    Parameters
    ----------
    w : array of float32 or float64, at least two axes
        Weights; changed in place. All axes but the last, the outputs, count as the rows of a matrix; n is its larger
        side.
    dw : array of w's shape
        dL/dw; not changed.
    m : array of w's shape
        Running mean of the gradient; zero before the first step; changed in place.
    lr : float
        Learning rate, in units of w.
    beta : float
        The fraction of the running mean that is kept from step to step.
    weight_decay : float
        The shrinking rate, as in AdamW.

    Raises
    ------
    ShapeError
        The shapes differ, or w has a single axis.

    References
    ----------
    Jordan et al. (2024), Muon: an optimizer for hidden layers in neural networks. The length of the step: Liu et al.
    (2025), arXiv:2502.16982.

    Examples
    --------
    Both directions of the gradient count about alike, although one is ten times as large:

    >>> w = np.zeros((2, 2))
    >>> muon_update(w, np.array([[10.0, 0.0], [0.0, 1.0]]), np.zeros((2, 2)), lr=0.5)
    >>> w.round(2)
    array([[-0.1,  0. ],
           [ 0. , -0.1]])
    """
    check(w, dw, m, beta)
    before = w.copy() if is_listening() else None
    share: Array = (1 - beta) * dw
    m *= beta
    m += share
    g = (beta * m + share).reshape(-1, w.shape[-1])
    direction = length(g.shape) * orthogonalize(g)
    w *= 1 - lr * weight_decay
    w -= lr * direction.reshape(w.shape)
    if before is not None:
        record("m", m)
        direction = direction.reshape(w.shape)
        record("direction", direction)
        update = w - before
        record("update", update)


def length(shape: tuple[int, ...]) -> float:
    """Return what an orthogonal matrix is multiplied by to have the root mean square of a step.

    >>> length((25, 4))
    1.0
    """
    return LENGTH * math.sqrt(max(shape))


def check(w: Array, dw: Array, m: Array, beta: float) -> None:
    """Refuse what `muon_update` refuses."""
    for name, array in (("dw", dw), ("m", m)):
        if array.shape != w.shape:
            raise ShapeError(
                f"muon_update: {name} must have the shape of w, {w.shape}; it is {array.shape}; give the arrays of "
                f"one layer"
            )
    if w.ndim < 2:
        raise ShapeError(f"muon_update: w must have at least two axes; it is {w.shape}; use adam_update for it")
    if not 0 <= beta < 1:
        raise ArgumentError(f"muon_update: beta must be at least 0 and below 1; it is {beta!r}; give 0.9")
