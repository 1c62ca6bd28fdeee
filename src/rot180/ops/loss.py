r"""Losses on a batch: cross-entropy on logits, and squared error.

**Cross-entropy.** Image n has logits x_n, probabilities p_n = softmax(x_n) and target probabilities t_n, which sum to
one (an integer label a stands for t_k = [k = a]). The loss is the mean over the batch of

    L_n = -sum_k t_nk * log p_nk                                                                (1)

Backward, one image at a time, by the chain rule through log p (ops/softmax.py derives d log p_k/dx_i = [k = i] - p_i):

    dL_n/dx_i = -sum_k t_k * ([k = i] - p_i)
              = -t_i + p_i * sum_k t_k                 the bracket picks k = i out of the first sum
              = p_i - t_i                              the target sums to one                   (2)

and the mean divides it by N: dlogits = (p - t) / N. No exponential and no logarithm is left: loss and softmax together
are simpler, and safer, than either alone.

**Label smoothing** replaces t by (1 - eps)*t + eps/K, which sums to one again, so (1) and (2) stay as they are.

**Squared error.** The mean over the batch of L_n = 1/2 * sum_k (y_nk - t_nk)^2, so dL/dy = (y - t) / N. Behind a
sigmoid, y = sigmoid(z), this becomes dL/dz = y (1 - y) (y - t) / N; the classic delta y (1 - y) (t - y) is its
negative, the direction of descent.
"""

from __future__ import annotations

import numpy as np

from rot180.errors import ArgumentError, ShapeError
from rot180.ops.recorder import record
from rot180.ops.softmax import log_softmax
from rot180.ops.types import Array

__all__ = ["cross_entropy", "cross_entropy_backward", "squared_error", "squared_error_backward"]


def cross_entropy(logits: Array, target: Array, *, label_smoothing: float = 0.0) -> tuple[float, Array]:
    r"""Return the mean of -sum_k t_k log p_k over the batch, and the probabilities p = softmax(logits).

    Parameters
    ----------
    logits : (N, K) float32 or float64
        Scores in natural-logarithm units; of any size, the logarithm of a probability is never taken.
    target : (N,) integers, or (N, K) probabilities
        Labels from 0 to K - 1, or rows that sum to one.
    label_smoothing : float
        The share eps of the target, from 0 to 1, that is spread over all classes.

    Returns
    -------
    loss : float
        In nats per image, summed in float64.
    probabilities : (N, K), of the logits' type

    Raises
    ------
    ShapeError
        The shapes do not fit together, or the batch is empty.
    ArgumentError
        A label is no class, a row is no distribution, or label_smoothing is outside [0, 1].

    Examples
    --------
    >>> loss, probabilities = cross_entropy(np.array([[0.0, 0.0], [1e4, 0.0]]), np.array([0, 1]))
    >>> round(loss, 4)                                                  # (log 2 + 10000) / 2
    5000.3466
    >>> probabilities
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    _check_target(logits, target, label_smoothing, "cross_entropy")
    log_p = log_softmax(logits)
    probabilities = np.exp(log_p)
    n, k = logits.shape
    per_image: Array
    if target.ndim == 1:
        per_image = -log_p[np.arange(n), target]
    else:
        per_image = -(target * log_p).sum(axis=1)
    loss = (1 - label_smoothing) * float(per_image.mean(dtype=np.float64))
    if label_smoothing:
        loss -= label_smoothing / (n * k) * float(log_p.sum(dtype=np.float64))
    record("probabilities", probabilities)
    return loss, probabilities


def cross_entropy_backward(probabilities: Array, target: Array, *, label_smoothing: float = 0.0) -> Array:
    r"""Return dlogits = (p - t) / N, equation (2) of the module's text.

    Parameters
    ----------
    probabilities : (N, K)
        From `cross_entropy`.
    target, label_smoothing
        As in `cross_entropy`.

    Returns
    -------
    dlogits : (N, K), of the probabilities' type
        dL/dlogits.

    Raises
    ------
    ShapeError, ArgumentError
        As `cross_entropy`.

    Examples
    --------
    >>> cross_entropy_backward(np.array([[0.25, 0.75], [0.5, 0.5]]), np.array([0, 1]))
    array([[-0.375,  0.375],
           [ 0.25 , -0.25 ]])
    """
    _check_target(probabilities, target, label_smoothing, "cross_entropy_backward")
    n, k = probabilities.shape
    dlogits: Array = probabilities - probabilities.dtype.type(label_smoothing / k)
    if target.ndim == 1:
        dlogits[np.arange(n), target] -= 1 - label_smoothing
    else:
        dlogits -= (1 - label_smoothing) * target
    dlogits /= n
    record("dlogits", dlogits)
    return dlogits


def squared_error(y: Array, target: Array) -> float:
    r"""Return half the squared distance to the target, 1/2 * sum_k (y_k - t_k)^2, in the mean over the batch.

    Parameters
    ----------
    y : (N, K) float32 or float64, or (N, ...)
        Outputs, in any unit.
    target : array of y's shape, or (N,) integers
        What y should be, in the same unit; labels stand for rows with a one at the label.

    Returns
    -------
    loss : float
        In the square of y's unit, per image, summed in float64.

    Raises
    ------
    ShapeError
        The shapes do not fit together, or the batch is empty.
    ArgumentError
        A label is no class.

    Examples
    --------
    >>> y = np.array([[1.0, 2.0]])
    >>> squared_error(y, np.array([[0.0, 0.0]])), squared_error(y, np.array([0]))
    (2.5, 2.0)
    """
    difference = y - _values(y, target, "squared_error")
    return 0.5 * float(np.square(difference).sum(dtype=np.float64)) / len(y)


def squared_error_backward(y: Array, target: Array) -> Array:
    r"""Return dy = (y - t) / N.

    Parameters
    ----------
    y, target
        As in `squared_error`.

    Returns
    -------
    dy : array of y's shape and type
        dL/dy.

    Raises
    ------
    ShapeError, ArgumentError
        As `squared_error`.

    Examples
    --------
    >>> squared_error_backward(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0, 1]))
    array([[0. , 1. ],
           [1.5, 1.5]])
    """
    dy: Array = (y - _values(y, target, "squared_error_backward")) / len(y)
    record("dy", dy)
    return dy


def _check_target(scores: Array, target: Array, label_smoothing: float, name: str) -> None:
    if scores.ndim != 2 or 0 in scores.shape:
        raise ShapeError(
            f"{name}: the scores must be (N, K), one row an image, neither empty; they are {scores.shape}; "
            f"let the network end in a fully connected layer"
        )
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"{name}: label_smoothing must be from 0 to 1; it is {label_smoothing!r}; 0.1 is usual")
    if target.ndim == 1:
        _check_labels(scores, target, name)
        return
    if target.shape != scores.shape:
        raise ShapeError(
            f"{name}: target must be labels ({len(scores)},) or probabilities {scores.shape}; it is {target.shape}; "
            f"give one target an image"
        )
    if not (np.all(target >= 0) and np.allclose(target.sum(axis=1), 1, rtol=0, atol=1e-3)):
        raise ArgumentError(
            f"{name}: each row of target must be a distribution, of numbers at least 0 that sum to 1; "
            f"the sums are from {target.sum(axis=1).min():g} to {target.sum(axis=1).max():g}, "
            f"the smallest number is {target.min():g}; divide each row by its sum"
        )


def _check_labels(scores: Array, labels: Array, name: str) -> None:
    n, k = scores.shape
    if labels.dtype.kind not in "iu":
        raise ArgumentError(f"{name}: labels must be integers; they are {labels.dtype}; convert them with astype(int)")
    if labels.shape != (n,):
        raise ShapeError(f"{name}: {n} images need {n} labels; there are {len(labels)}; give one label an image")
    if labels.min() < 0 or labels.max() >= k:
        wrong = labels[(labels < 0) | (labels >= k)][0]
        raise ArgumentError(
            f"{name}: labels must be from 0 to {k - 1}, the network has {k} outputs; one is {wrong}; "
            f"give the network as many outputs as there are classes"
        )


def _values(y: Array, target: Array, name: str) -> Array:
    if y.ndim == 0 or y.size == 0:
        raise ShapeError(f"{name}: y must be (N, ...) and not empty; it is {y.shape}; give at least one image")
    if target.shape == y.shape:
        return target.astype(y.dtype, copy=False)
    if target.ndim != 1 or y.ndim != 2:
        raise ShapeError(
            f"{name}: target must have y's shape {y.shape} or be labels ({len(y)},); it is {target.shape}; "
            f"give one target an image"
        )
    _check_labels(y, target, name)
    one_hot = np.zeros(y.shape, y.dtype)
    one_hot[np.arange(len(y)), target] = 1
    return one_hot
