"""Counting right and wrong."""

from __future__ import annotations

import numpy as np
import pytest

from rot180.errors import ArgumentError, ShapeError
from rot180.training import accuracy, confusion_matrix


def test_rows_are_true_and_columns_predicted() -> None:
    labels, predicted = np.array([2, 2, 0, 1, 2]), np.array([0, 2, 0, 1, 0])
    matrix = confusion_matrix(labels, predicted, 3)
    assert matrix.tolist() == [[1, 0, 0], [0, 1, 0], [2, 0, 1]]
    assert matrix.dtype == np.int64
    assert accuracy(labels, predicted) == np.trace(matrix) / matrix.sum()


def test_small_label_types_do_not_overflow() -> None:
    labels = np.full(3, 99, np.uint8)
    assert confusion_matrix(labels, labels, 100)[99, 99] == 3


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (np.array([0, 1]), ShapeError, r"3 images, labels of shape \(2,\)"),
        (np.array([0.0, 1.0, 1.0]), ArgumentError, "labels must be integers; they are float64"),
        (np.array([0, 1, 3]), ArgumentError, "from 0 to 2, one for each output of the network; they range from 0 to 3"),
        (np.array([0, 1, -1]), ArgumentError, "they range from -1 to 1"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, error, message) -> None:
    with pytest.raises(error, match=message):
        confusion_matrix(labels, np.zeros(3, int), 3)
