"""Known mistakes in the gradients of activations, dropout and softmax."""

from __future__ import annotations

import numpy as np

from rot180.inside.mistakes.case import Candidates, Case, Mistake
from rot180.inside.mistakes.recognize import Operation
from rot180.ops.activation import sigmoid
from rot180.ops.types import Array

GATE = Mistake("ReLU gate missing", "delta passes only where the output is above zero: dx = dy * (y > 0)")
SHUT = Mistake("ReLU gate turned around", "delta passes where the output is above zero, not where it is zero")
BY_INPUT = Mistake("ReLU gate from the input without its noise", "the gate is the sign of x + noise: use y > 0")
AT_INPUT = Mistake(
    "derivative taken at the input instead of the output", "the formula y (1 - y), or 1 - y^2, wants the output y"
)
TWICE = Mistake("activation applied once more", "the saved y is the activation already; do not apply it again")
HALF = Mistake("derivative incomplete", "it is y (1 - y) for sigmoid, 1 - y^2 for tanh")
LOCAL = Mistake("delta left out", "the chain rule multiplies the layer's own derivative with delta")
NONE = Mistake("derivative missing", "delta was handed on as it came; multiply it with the layer's derivative")
SLOPE = Mistake("slope below zero missing", "below zero the derivative is the slope, not zero")
MASK = Mistake("mask missing", "delta passes where forward kept the number, with the same scale")
SCALE = Mistake("scale of the mask missing", "forward divided by the share it kept; delta is divided, too")
DIAGONAL = Mistake("only the diagonal of softmax", "each output depends on all inputs: y (dy - sum(dy y))")


def gradients(case: Case, operation: Operation, dy: Array) -> dict[str, Array]:
    """Return the right gradient."""
    x, y, kind = case.x, case.y, operation.kind
    if kind == "softmax":
        return {"x": y * (dy - (dy * y).sum(-1, keepdims=True))}
    derivatives: dict[str, Array] = {
        "relu": y > 0,
        "noisy_relu": y > 0,
        "leaky_relu": np.where(x > 0, 1.0, operation.options.get("slope", 0.0)),
        "dropout": np.where(y != 0, operation.options.get("scale", 1.0), 0.0),
        "sigmoid": y * (1 - y),
        "tanh": 1 - y * y,
    }
    return {"x": dy * derivatives[kind]}


def candidates(case: Case, operation: Operation) -> Candidates:
    """Give what each mistake would return."""
    x, y, dy, kind = case.x, case.y, case.dy, operation.kind
    right = gradients(case, operation, dy)["x"]
    missing = {"relu": GATE, "noisy_relu": GATE, "dropout": MASK}.get(kind, NONE)
    yield missing, dy
    with np.errstate(divide="ignore", invalid="ignore"):
        yield LOCAL, np.where(dy != 0, right / dy, 0)
    if kind in ("relu", "noisy_relu"):
        yield SHUT, dy * (y <= 0)
        yield BY_INPUT, dy * (x > 0)
        yield Mistake("y instead of the gate", GATE.advice), dy * y
    elif kind == "leaky_relu":
        yield SLOPE, dy * (x > 0)
    elif kind == "dropout":
        yield SCALE, dy * (y != 0)
    elif kind == "sigmoid":
        yield AT_INPUT, dy * x * (1 - x)
        s = sigmoid(y)
        yield TWICE, dy * s * (1 - s)
        yield HALF, dy * y
        yield HALF, dy * (1 - y)
    elif kind == "tanh":
        yield AT_INPUT, dy * (1 - x * x)
        yield TWICE, dy * (1 - np.tanh(y) ** 2)
        yield HALF, dy * (1 - y)
        yield HALF, dy * y * y
    elif kind == "softmax":
        yield DIAGONAL, dy * y * (1 - y)
        yield AT_INPUT, x * (dy - (dy * x).sum(-1, keepdims=True))
