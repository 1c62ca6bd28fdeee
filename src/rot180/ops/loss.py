r"""Losses on a batch: cross-entropy on logits, and squared error.

**Cross-entropy.** Image n has logits x_n, probabilities p_n = softmax(x_n) and target probabilities t_n, which sum to
one (an integer label a stands for t_k = [k = a]). The loss is the mean over the batch of

    L_n = -sum_k t_nk * log p_nk                                                                (1)

The gradient of one image, by the chain rule through log p (ops/softmax.py derives d log p_k/dx_i = [k = i] - p_i):

    dL_n/dx_i = -sum_k t_k * ([k = i] - p_i)
              = -t_i + p_i * sum_k t_k                 the bracket picks k = i out of the first sum
              = p_i - t_i                              the target sums to one                   (2)

and the mean divides it by N: dlogits = (p - t) / N. No exponential or logarithm is left: loss and softmax combined are
simpler, and numerically safer, than either alone.

**Label smoothing** replaces t by (1 - eps)*t + eps/K, which sums to one again, so (1) and (2) are unchanged.

**Squared error.** The mean over the batch of L_n = 1/2 * sum_k (y_nk - t_nk)^2, so dL/dy = (y - t) / N. After a
sigmoid, y = sigmoid(z), this becomes dL/dz = y (1 - y) (y - t) / N; the classic delta y (1 - y) (t - y) is its
negative, the direction of descent.

**Class weights** make rare classes count more. With a weight w_k >= 0 for each class, image n has the weight

    s_n = sum_k w_k * t_nk                                  w_a for an integer label a             (3)

(t before smoothing), and the loss is the mean over the batch of s_n * L_n. The weight does not depend on the outputs,
so each image's gradient is the one above times s_n: dlogits_n = s_n * (p_n - t_n) / N. The sum is divided by N, as in
Keras, and not by the sum of the s_n, as in PyTorch: only then is the gradient of a large batch the mean of those of its
parts. With weights whose mean over the training images is 1, as balanced ones are, the two agree on average.

**Sample weights** say how much each image counts by itself: s_n is multiplied by the image's own weight v_n >= 0.
"""

from __future__ import annotations

import numpy as np

from rot180.errors import ArgumentError, ShapeError
from rot180.ops.recorder import record
from rot180.ops.softmax import log_softmax
from rot180.ops.types import Array

__all__ = ["cross_entropy", "cross_entropy_backward", "squared_error", "squared_error_backward"]


def cross_entropy(
    logits: Array,
    target: Array,
    *,
    label_smoothing: float = 0.0,
    class_weights: Array | None = None,
    sample_weights: Array | None = None,
) -> tuple[float, Array]:
    r"""Return the mean of -sum_k t_k log p_k over the batch, and the probabilities p = softmax(logits).

    Parameters
    ----------
    logits : (N, K) float32 or float64
        Scores in natural-logarithm units, of any magnitude: the logarithm of a probability is never taken.
    target : (N,) integers, or (N, K) probabilities
        Labels from 0 to K - 1, or rows that sum to one.
    label_smoothing : float
        The fraction eps of the target, from 0 to 1, that is spread over all classes.
    class_weights : (K,) float, optional
        How much an image of each class counts, at least 0; equation (3) of the module's docstring.
    sample_weights : (N,) float, optional
        How much each image counts, at least 0.

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
        A label is not a class, a row is not a distribution, or label_smoothing is outside [0, 1].

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
    per_image = (1 - label_smoothing) * per_image.astype(np.float64)
    if label_smoothing:
        per_image -= label_smoothing / k * log_p.sum(axis=1, dtype=np.float64)
    weights = image_weights(logits, target, class_weights, "cross_entropy", sample_weights)
    loss = float((per_image if weights is None else weights * per_image).mean())
    record("probabilities", probabilities)
    return loss, probabilities


def cross_entropy_backward(
    probabilities: Array,
    target: Array,
    *,
    label_smoothing: float = 0.0,
    class_weights: Array | None = None,
    sample_weights: Array | None = None,
) -> Array:
    r"""Return dlogits = s * (p - t) / N, equations (2) and (3) of the module's docstring; s is 1 without weights.

    Parameters
    ----------
    probabilities : (N, K)
        From `cross_entropy`.
    target, label_smoothing, class_weights, sample_weights
        As in `cross_entropy`.

    Returns
    -------
    dlogits : (N, K), of the probabilities' type
        dL/dlogits.

    Raises
    ------
    ShapeError, ArgumentError
        As in `cross_entropy`.

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
    weights = image_weights(probabilities, target, class_weights, "cross_entropy_backward", sample_weights)
    if weights is not None:
        dlogits *= weights[:, np.newaxis]
    record("dlogits", dlogits)
    return dlogits


def squared_error(
    y: Array, target: Array, *, class_weights: Array | None = None, sample_weights: Array | None = None
) -> float:
    r"""Return half the squared distance to the target, 1/2 * sum_k (y_k - t_k)^2, averaged over the batch.

    Parameters
    ----------
    y : (N, K) float32 or float64, or (N, ...)
        Outputs, in any unit.
    target : array of y's shape, or (N,) integers
        The desired outputs, in the same unit; labels stand for rows with a one at the label.
    class_weights : (K,) float, optional
        As in `cross_entropy`; each row of target then holds the shares of the classes, at least 0.
    sample_weights : (N,) float, optional
        As in `cross_entropy`.

    Returns
    -------
    loss : float
        In the square of y's unit, per image, summed in float64.

    Raises
    ------
    ShapeError
        The shapes do not fit together, or the batch is empty.
    ArgumentError
        A label is not a class.

    Examples
    --------
    >>> y = np.array([[1.0, 2.0]])
    >>> squared_error(y, np.array([[0.0, 0.0]])), squared_error(y, np.array([0]))
    (2.5, 2.0)
    """
    difference = y - _values(y, target, "squared_error")
    weights = image_weights(y, target, class_weights, "squared_error", sample_weights)
    squares = np.square(difference)
    if weights is not None:
        squares *= per_image(weights, y)
    return 0.5 * float(squares.sum(dtype=np.float64)) / len(y)


def squared_error_backward(
    y: Array, target: Array, *, class_weights: Array | None = None, sample_weights: Array | None = None
) -> Array:
    r"""Return dy = s * (y - t) / N; s is 1 without weights.

    Parameters
    ----------
    y, target, class_weights, sample_weights
        As in `squared_error`.

    Returns
    -------
    dy : array of y's shape and type
        dL/dy.

    Raises
    ------
    ShapeError, ArgumentError
        As in `squared_error`.

    Examples
    --------
    >>> squared_error_backward(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0, 1]))
    array([[0. , 1. ],
           [1.5, 1.5]])
    """
    dy: Array = (y - _values(y, target, "squared_error_backward")) / len(y)
    weights = image_weights(y, target, class_weights, "squared_error_backward", sample_weights)
    if weights is not None:
        dy *= per_image(weights, y)
    record("dy", dy)
    return dy


def image_weights(
    scores: Array, target: Array, class_weights: Array | None, name: str, sample_weights: Array | None = None
) -> Array | None:
    """Return each image's weight (N,), that of its class times its own; None without weights. The target is checked."""
    if sample_weights is not None:
        own = np.asarray(sample_weights, scores.dtype)
        if own.shape != scores.shape[:1] or not np.isfinite(own).all() or (own < 0).any():
            raise ShapeError(
                f"{name}: sample_weights must hold one number for each of the {len(scores)} images, finite and at "
                f"least 0; they are {own.shape}{f', the smallest {own.min():g}' if own.size else ''}"
            )
        of_classes = image_weights(scores, target, class_weights, name)
        return own if of_classes is None else own * of_classes
    if class_weights is None:
        return None
    if scores.ndim != 2 or np.shape(class_weights) != scores.shape[1:]:
        raise ShapeError(
            f"{name}: class_weights must hold one weight for each of the classes {scores.shape[1:]}; their shape is "
            f"{np.shape(class_weights)}"
        )
    weights = np.asarray(class_weights, scores.dtype)
    of_images: Array = weights[target] if target.ndim == 1 else target.astype(scores.dtype, copy=False) @ weights
    if not (np.isfinite(weights).all() and (weights >= 0).all() and (of_images >= 0).all()):
        raise ArgumentError(
            f"{name}: with class_weights, weights and target must be finite and at least 0; the smallest are "
            f"{weights.min():g} and {target.min():g}"
        )
    return of_images


def per_image(weights: Array, scores: Array) -> Array:
    """Return weights (N,) in a form that multiplies scores (N, ...)."""
    return weights.reshape(-1, *(1,) * (scores.ndim - 1))


def _check_target(scores: Array, target: Array, label_smoothing: float, name: str) -> None:
    if scores.ndim != 2 or 0 in scores.shape:
        raise ShapeError(
            f"{name}: the scores must be (N, K), one row per image, and not empty; they are {scores.shape}; "
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
            f"give one target per image"
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
        raise ShapeError(f"{name}: {n} images need {n} labels; got {len(labels)}; give one label per image")
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
            f"give one target per image"
        )
    _check_labels(y, target, name)
    one_hot = np.zeros(y.shape, y.dtype)
    one_hot[np.arange(len(y)), target] = 1
    return one_hot
