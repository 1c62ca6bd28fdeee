"""Known mistakes in the gradients of the fully connected layer."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from rot180.inside.mistakes.case import Candidates, Case, Mistake
from rot180.inside.mistakes.convolution import BIAS
from rot180.inside.mistakes.flatten import ORDER
from rot180.inside.mistakes.recognize import Operation
from rot180.ops.types import Array

TRANSPOSE = Mistake(
    "weights transposed",
    "dx = dy @ w.T, dw = x.T @ dy: check which axis is summed over",
    "sum_k in dx[n,i] = sum_k dy[n,k] * w[i,k]",
)
NO_WEIGHT = Mistake(
    "gradient of the weight without its input",
    "dw = x.T @ dy: each weight's input times its delta",
    "x[n,i] in dw[i,k] = sum_n x[n,i] * dy[n,k]",
)


def gradients(case: Case, operation: Operation, dy: Array) -> dict[str, Array]:
    """Return the right gradients."""
    w = case.parameters[operation.weight]
    is_turned = operation.kind == "linear_transposed"
    x = case.x.reshape(len(case.x), -1)
    dx = dy @ (w if is_turned else w.T)
    found = {"x": dx.reshape(case.x.shape), operation.weight: (x.T @ dy).T if is_turned else x.T @ dy}
    return found | ({operation.bias: dy.sum(0)} if operation.bias else {})


def candidates(case: Case, operation: Operation) -> Candidates:
    """Yield what each mistake would return for this array."""
    w, dy, x = case.parameters[operation.weight], case.dy, case.x.reshape(len(case.x), -1)
    is_turned = operation.kind == "linear_transposed"
    if case.name == "x" and w.shape[0] == w.shape[1]:
        yield TRANSPOSE, (dy @ (w.T if is_turned else w)).reshape(case.x.shape)
    if case.name == operation.weight:
        right = gradients(case, operation, dy)[operation.weight]
        if w.shape[0] == w.shape[1]:
            yield TRANSPOSE, right.T
        if x.shape[1] * dy.shape[1] == w.size:
            yield TRANSPOSE, right.T.reshape(w.shape)
        yield NO_WEIGHT, np.broadcast_to(dy.sum(0)[:, None] if is_turned else dy.sum(0), w.shape)
        for order in permutations(range(1, case.x.ndim)):
            dw = case.x.transpose(0, *order).reshape(x.shape).T @ dy
            yield ORDER, dw.T if is_turned else dw
    if case.name == operation.bias:
        for wrong in (dy[0], dy[-1], np.zeros(dy.shape[1]), np.full(dy.shape[1], dy.sum())):
            yield BIAS, wrong
