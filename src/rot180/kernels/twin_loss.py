"""The compiled twins of `rot180.ops.softmax` and `rot180.ops.loss`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rot180.kernels import loss as kernels
from rot180.kernels import softmax_rows as rows
from rot180.kernels.operands import contiguous, float_type
from rot180.ops.loss import _check_target, _values, image_weights
from rot180.ops.softmax import _check, _check_axis
from rot180.ops.types import Array


def softmax(x: Array, axis: int = -1) -> Array:
    """Compiled twin of `rot180.ops.softmax`."""
    return _along("softmax", axis, rows.softmax_rows, x=x)


def softmax_backward(dy: Array, y: Array, axis: int = -1) -> Array:
    """Compiled twin of `rot180.ops.softmax_backward`."""
    _check(dy, y, "softmax_backward")
    return _along("softmax_backward", axis, rows.softmax_backward_rows, dy=dy, y=y)


def log_softmax(x: Array, axis: int = -1) -> Array:
    """Compiled twin of `rot180.ops.log_softmax`."""
    return _along("log_softmax", axis, lambda x, y: rows.log_softmax_rows(x, y, np.empty_like(y)), x=x)


def log_softmax_backward(dy: Array, y: Array, axis: int = -1) -> Array:
    """Compiled twin of `rot180.ops.log_softmax_backward`."""
    _check(dy, y, "log_softmax_backward")
    return _along("log_softmax_backward", axis, rows.log_softmax_backward_rows, dy=dy, y=y)


def cross_entropy(
    logits: Array,
    target: Array,
    *,
    label_smoothing: float = 0.0,
    class_weights: Array | None = None,
    sample_weights: Array | None = None,
) -> tuple[float, Array]:
    """Compiled twin of `rot180.ops.cross_entropy`."""
    _check_target(logits, target, label_smoothing, "cross_entropy")
    dtype = float_type("cross_entropy", logits=logits)
    logits = contiguous(logits, dtype)
    probabilities, losses, hits = np.empty_like(logits), np.empty(len(logits)), np.empty(len(logits), np.int64)
    count = float(len(logits))
    if target.ndim == 1:
        labels = contiguous(target, np.int64)
        kernels.cross_entropy_of_labels(logits, labels, float(label_smoothing), count, probabilities, losses, hits)
    else:
        wanted = contiguous(target, dtype)
        kernels.cross_entropy_of_probabilities(
            logits, wanted, float(label_smoothing), count, probabilities, losses, hits
        )
    rows.softmax_rows(logits, probabilities)
    weights = image_weights(logits, target, class_weights, "cross_entropy", sample_weights)
    if weights is not None:
        losses *= weights
    return _mean(losses, hits), probabilities


def cross_entropy_backward(
    probabilities: Array,
    target: Array,
    *,
    label_smoothing: float = 0.0,
    class_weights: Array | None = None,
    sample_weights: Array | None = None,
) -> Array:
    """Compiled twin of `rot180.ops.cross_entropy_backward`."""
    _check_target(probabilities, target, label_smoothing, "cross_entropy_backward")
    dtype = float_type("cross_entropy_backward", probabilities=probabilities)
    weights = image_weights(probabilities, target, class_weights, "cross_entropy_backward", sample_weights)
    if target.ndim == 1:
        target = np.eye(probabilities.shape[1], dtype=dtype)[target]
    dlogits = np.empty(probabilities.shape, dtype)
    kernels.delta_of_probabilities(
        contiguous(probabilities, dtype), contiguous(target, dtype), float(label_smoothing), dlogits
    )
    return dlogits if weights is None else dlogits * weights[:, np.newaxis]


def squared_error(
    y: Array, target: Array, *, class_weights: Array | None = None, sample_weights: Array | None = None
) -> float:
    """Compiled twin of `rot180.ops.squared_error`."""
    loss, _ = _squared_error("squared_error", y, target, class_weights, sample_weights)
    return loss


def squared_error_backward(
    y: Array, target: Array, *, class_weights: Array | None = None, sample_weights: Array | None = None
) -> Array:
    """Compiled twin of `rot180.ops.squared_error_backward`."""
    _, dy = _squared_error("squared_error_backward", y, target, class_weights, sample_weights)
    return dy


def _squared_error(
    name: str, y: Array, target: Array, class_weights: Array | None, sample_weights: Array | None
) -> tuple[float, Array]:
    values = _values(y, target, name)
    weights = image_weights(y, target, class_weights, name, sample_weights)
    dtype = float_type(name, y=y)
    flat = contiguous(y, dtype).reshape(len(y), -1)
    dy, losses, hits = np.empty_like(flat), np.empty(len(y)), np.empty(len(y), np.int64)
    count = float(len(y))
    kernels.squared_error_of_values(flat, contiguous(values, dtype).reshape(flat.shape), count, dy, losses, hits)
    if weights is not None:
        losses *= weights
        dy *= weights[:, np.newaxis]
    return _mean(losses, hits), dy.reshape(y.shape)


def _mean(losses: Array, hits: Array) -> float:
    sums = np.empty(2)
    kernels.sum_up(losses, hits, sums)
    return float(sums[0] / len(losses))


def _along(name: str, axis: int, kernel: Callable[..., Any], **operands: Array) -> Array:
    """Move the axis to the end, apply to rows, and move it back."""
    dtype = float_type(name, **operands)
    for array in operands.values():
        _check_axis(array, axis, name)
    turned = [np.moveaxis(array, axis, -1) for array in operands.values()]
    shape = turned[0].shape
    out = np.empty((turned[0].size // shape[-1], shape[-1]), dtype)
    kernel(*(contiguous(array, dtype).reshape(out.shape) for array in turned), out)
    return np.ascontiguousarray(np.moveaxis(out.reshape(shape), -1, axis))
