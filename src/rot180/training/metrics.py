"""Accuracy, the confusion matrix, and the check of labels."""

from __future__ import annotations

import numpy as np

from rot180.errors import ArgumentError, ShapeError
from rot180.ops.types import Array


def confusion_matrix(labels: Array, predicted: Array, classes: int) -> Array:
    """Count how often each class was predicted as each other class.

    Parameters
    ----------
    labels, predicted : (N,) integer
        Classes 0 to classes - 1.
    classes : int

    Returns
    -------
    (classes, classes) int64
        Rows are the true classes, columns the predicted ones.

    Examples
    --------
    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    array([[1, 1],
           [0, 1]])
    """
    check_labels(labels, len(predicted), classes)
    pairs = labels.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def accuracy(labels: Array, predicted: Array) -> float:
    """Return the share of correct predictions, in [0, 1].

    >>> accuracy(np.array([0, 1, 1, 1]), np.array([0, 1, 1, 0]))
    0.75
    """
    check_labels(labels, len(predicted))
    return float(np.mean(labels == predicted))


def class_count(output_shape: tuple[int, ...]) -> int:
    """Return the number of classes of a network with this output; raise ShapeError if it is not a vector.

    >>> class_count((10,))
    10
    """
    if len(output_shape) != 1:
        raise ShapeError(f"a classifier's output is a vector; this network's is {output_shape}; end it in fc")
    return output_shape[0]


def check_labels(labels: Array, count: int, classes: int | None = None) -> None:
    """Raise unless there are `count` (at least 1) integer labels from 0 to classes - 1.

    Raises
    ------
    ShapeError, ArgumentError
    """
    if labels.ndim != 1 or len(labels) != count or count == 0:
        raise ShapeError(
            f"there must be one label per image and at least one image; {count} images, labels of shape {labels.shape}"
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise ArgumentError(f"labels must be integers; they are {labels.dtype}; convert them with labels.astype(int)")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or (classes is not None and high >= classes):
        limit = "" if classes is None else f" to {classes - 1}, one for each output of the network"
        raise ArgumentError(f"labels must be from 0{limit}; they range from {low} to {high}")
