"""The loss of a batch on compiled kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.cached import cached_property
from rot180.engine.interface import StepResult
from rot180.engine.reference import correct_count
from rot180.kernels.ahead import task_of
from rot180.kernels.launching import Kernel, Launch
from rot180.kernels.loss import (
    cross_entropy_of_labels,
    cross_entropy_of_probabilities,
    squared_error_of_labels,
    squared_error_of_values,
    sum_up,
)
from rot180.nn.loss import CrossEntropyLoss, Loss, SquaredErrorLoss, weighted_forward
from rot180.ops.loss import _check_labels, _check_target, _values, image_weights
from rot180.ops.types import Array


def tasks_of(loss: Loss, dtype: np.dtype[Any]) -> list[str]:
    """Return what is to be compiled for a loss of labels, as `rot180.kernels.ahead` spells it."""
    rows, labels, losses, hits = np.zeros((1, 1), dtype), np.zeros(1, np.int64), np.zeros(1), np.zeros(1, np.int64)
    results = rows, losses, hits
    if type(loss) is CrossEntropyLoss:
        first = task_of(cross_entropy_of_labels, (rows, labels, 0.0, 1, *results))
    elif type(loss) is SquaredErrorLoss:
        first = task_of(squared_error_of_labels, (rows, labels, 1, *results))
    else:
        return []
    return [first, task_of(sum_up, (losses, hits, np.zeros(2)))]


class BatchLoss:
    """Writes the gradient of the outputs and returns loss and correct count; one object per batch size.

    A batch is small compared with what a network computes of it: by the time that another thread were awake, all would
    be done. A user's own loss, and any loss of feature maps, is simply called.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._labels = np.zeros(count, np.int64)
        self._rows: Array | None = None
        self._losses = np.zeros(count, np.float64)
        self._hits = np.zeros(count, np.int64)
        self._sums = np.zeros(2)
        self._sum = sum_up, (self._losses, self._hits, self._sums)
        self._prepared: tuple[object, Launch] | None = None

    def __call__(
        self, loss: Loss, outputs: Array, target: Array, dy: Array, sample_weights: Array | None = None
    ) -> StepResult:
        """Fill dy from the outputs, in the network's output shape, and the target."""
        if type(loss) not in (CrossEntropyLoss, SquaredErrorLoss) or outputs.ndim != 2:
            value, saved = weighted_forward(loss, outputs, target, sample_weights)
            np.copyto(dy, loss.backward(saved))
            return StepResult(value, correct_count(outputs, target))
        wanted = self._held(loss, outputs, target)
        weights = image_weights(outputs, wanted, getattr(loss, "class_weights", None), loss.name, sample_weights)
        is_label = target.ndim == 1
        if isinstance(loss, CrossEntropyLoss):
            cross_entropy = cross_entropy_of_labels if is_label else cross_entropy_of_probabilities
            self._run(cross_entropy, outputs, wanted, dy, float(loss.label_smoothing))
        else:
            self._run(squared_error_of_labels if is_label else squared_error_of_values, outputs, wanted, dy)
        if weights is not None:
            self._losses *= weights
            dy *= weights[:, np.newaxis]
            self._summing.alone()
        total, hits = self._sums.tolist()
        return StepResult(total / self._count, int(hits))

    @cached_property
    def _summing(self) -> Launch:
        return Launch([self._sum])

    def _run(self, kernel: Kernel, outputs: Array, wanted: Array, dy: Array, *numbers: float) -> None:
        """Run a kernel of a loss; nearly always it is that of the step before, on the same arrays."""
        key = kernel, id(outputs), id(wanted), id(dy), numbers  # the launch keeps the arrays
        if self._prepared is None or self._prepared[0] != key:
            arguments = outputs, wanted, *numbers, self._count, dy, self._losses, self._hits
            self._prepared = key, Launch([(kernel, arguments), self._sum])
        self._prepared[1].alone()

    def _held(self, loss: Loss, outputs: Array, target: Array) -> Array:
        """Check the target, and convert it into the buffer that the kernels read."""
        if target.ndim == 1:
            _check_labels(outputs, target, loss.name)
            np.copyto(self._labels, target, casting="same_kind")
            return self._labels
        if isinstance(loss, CrossEntropyLoss):
            _check_target(outputs, target, loss.label_smoothing, loss.name)
        elif target.shape != outputs.shape:
            _values(outputs, target, loss.name)
        if self._rows is None:
            self._rows = np.empty_like(outputs)
        np.copyto(self._rows, target, casting="same_kind")
        return self._rows
