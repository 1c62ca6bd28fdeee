"""Known mistakes in the gradients of the fully connected layer."""

from __future__ import annotations

import numpy as np

from rot180.inside.mistakes.case import Candidates, Case, Mistake
from rot180.inside.mistakes.convolution import BIAS
from rot180.inside.mistakes.recognize import Operation
from rot180.ops.types import Array

TRANSPOSE = Mistake("weights transposed", "dx = dy @ w.T, dw = x.T @ dy: look at which axis is summed")
NO_WEIGHT = Mistake("gradient of the weight without its input", "dw = x.T @ dy: each weight's input times its delta")


def gradients(case: Case, operation: Operation, dy: Array) -> dict[str, Array]:
    """Return the right gradients."""
    w = case.parameters[operation.weight]
    is_turned = operation.kind == "linear_transposed"
    found = {"x": dy @ (w if is_turned else w.T), operation.weight: (case.x.T @ dy).T if is_turned else case.x.T @ dy}
    return found | ({operation.bias: dy.sum(0)} if operation.bias else {})


def candidates(case: Case, operation: Operation) -> Candidates:
    """Give what each mistake would return for this array."""
    w, dy, x = case.parameters[operation.weight], case.dy, case.x
    if case.name == "x" and w.shape[0] == w.shape[1]:
        yield TRANSPOSE, dy @ (w.T if operation.kind == "linear_transposed" else w)
    if case.name == operation.weight:
        right = gradients(case, operation, dy)[operation.weight]
        if w.shape[0] == w.shape[1]:
            yield TRANSPOSE, right.T
        if x.shape[1] * dy.shape[1] == w.size:
            yield TRANSPOSE, right.T.reshape(w.shape)
        yield NO_WEIGHT, np.broadcast_to(dy.sum(0), w.shape)
    if case.name == operation.bias:
        for wrong in (dy[0], dy[-1], np.zeros(dy.shape[1]), np.full(dy.shape[1], dy.sum())):
            yield BIAS, wrong
