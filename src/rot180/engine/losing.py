"""The loss of a batch on compiled kernels, where there is one for it."""

from __future__ import annotations

import numpy as np

from rot180.engine.interface import StepResult
from rot180.engine.reference import correct_count
from rot180.kernels.loss import (
    cross_entropy_of_labels,
    mean_loss,
    squared_error_of_labels,
)
from rot180.nn.loss import CrossEntropyLoss, Loss, SquaredErrorLoss
from rot180.ops.loss import _check_labels
from rot180.ops.types import Array


class BatchLoss:
    """Writes the gradient of the outputs and returns loss and hits; one for each batch size."""

    def __init__(self, loss: Loss, count: int) -> None:
        self._loss, self._count = loss, count
        self._labels = np.zeros(count, np.int64)
        self._losses = np.zeros(count, np.float64)
        self._hits = np.zeros(count, np.int64)

    def __call__(self, outputs: Array, target: Array, dy: Array) -> StepResult:
        """Fill dy (N, K) from outputs (N, K) and labels (N,) or target rows."""
        if target.ndim != 1 or type(self._loss) not in (CrossEntropyLoss, SquaredErrorLoss):
            loss, saved = self._loss.forward(outputs, target)
            np.copyto(dy, self._loss.backward(saved))
            return StepResult(loss, correct_count(outputs, target))
        _check_labels(outputs, target, self._loss.name)
        np.copyto(self._labels, target, casting="same_kind")
        if isinstance(self._loss, CrossEntropyLoss):
            smoothing = self._loss.label_smoothing
            cross_entropy_of_labels(outputs, self._labels, smoothing, self._count, dy, self._losses, self._hits)
        else:
            squared_error_of_labels(outputs, self._labels, self._count, dy, self._losses, self._hits)
        return StepResult(*mean_loss(self._losses, self._hits, self._count))
