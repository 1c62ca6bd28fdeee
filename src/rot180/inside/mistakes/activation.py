"""Known mistakes in the gradients of activations, dropout and softmax."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rot180.inside.mistakes.case import Candidates, Case, Mistake
from rot180.inside.mistakes.recognize import Operation
from rot180.ops.activation import sigmoid
from rot180.ops.softmax import softmax
from rot180.ops.types import Array

RULE = "dx = dy * f'(x)"
SOFTMAX = "dx[n,k] = y[n,k] * (dy[n,k] - sum_j dy[n,j] * y[n,j])"
LEAKY = "dx = dy where x > 0, slope * dy elsewhere"
DROPOUT = "dx = dy * mask, mask = 0 or 1 / (1 - rate)"

GATE = Mistake(
    "ReLU gate missing", "delta passes only where the output is above zero: dx = dy * (y > 0)", f"f'(x) in {RULE}"
)
SHUT = Mistake(
    "ReLU gate inverted",
    "delta passes where the output is above zero, not where it is zero",
    f"f'(x) in {RULE}, 1 where x > 0 and 0 elsewhere",
)
BY_INPUT = Mistake(
    "ReLU gate from the input without its noise",
    "the gate is the sign of x + noise: use y > 0",
    f"f'(x + noise) in {RULE}",
)
AT_INPUT = Mistake(
    "derivative taken at the input instead of the output",
    "the formula y (1 - y), or 1 - y^2, takes the output y",
    f"f'(x) in {RULE}, written with y",
)
TWICE = Mistake(
    "activation applied once more", "the saved y already is the activation; do not apply it again", f"f'(x) in {RULE}"
)
HALF = Mistake("derivative incomplete", "the derivative is y (1 - y) for sigmoid, 1 - y^2 for tanh", f"f'(x) in {RULE}")
LOCAL = Mistake("delta left out", "the chain rule multiplies the layer's own derivative by delta", f"dy in {RULE}")
NONE = Mistake(
    "derivative missing",
    "delta was passed on unchanged; multiply it by the layer's derivative",
    f"f'(x) in {RULE}",
)
SLOPE = Mistake("slope below zero missing", "below zero the derivative is the slope, not zero", f"slope in {LEAKY}")
SLOPE_FORGOTTEN = Mistake(
    "leaky slope forgotten",
    "delta was passed on unchanged; below zero, multiply it by the slope",
    f"slope in {LEAKY}",
)
SLOPE_ABOVE = Mistake(
    "leaky slope on the wrong side",
    "the slope belongs to x below zero; above zero the derivative is 1",
    f"x > 0 in {LEAKY}",
)
SLOPE_SQUARED = Mistake(
    "leaky slope squared", "the slope multiplies delta once; forward has already applied it to x", f"slope in {LEAKY}"
)
SLOPE_EVERYWHERE = Mistake("leaky slope everywhere", "above zero the derivative is 1", f"x > 0 in {LEAKY}")
SLOPE_OTHER = Mistake("wrong leaky slope", "the slope is the one that forward multiplied x by", f"slope in {LEAKY}")
MASK = Mistake("mask missing", "delta passes where forward kept the value, with the same scale", f"mask in {DROPOUT}")
SCALE = Mistake(
    "scale of the mask missing",
    "forward divided by the fraction it kept; divide delta by it as well",
    f"1 - rate in {DROPOUT}",
)
SCALE_OTHER = Mistake(
    "wrong scale of the mask", "forward and backward divide by the same 1 - rate, once", f"1 - rate in {DROPOUT}"
)
MASK_OTHER = Mistake(
    "another dropout mask", "save the mask drawn in forward; do not draw another in backward", f"mask in {DROPOUT}"
)
MASK_TURNED = Mistake(
    "dropout mask inverted",
    "delta passes where the value was kept, not where it was dropped",
    f"mask in {DROPOUT}",
)
DIAGONAL = Mistake(
    "only the diagonal of softmax", "each output depends on all inputs: y (dy - sum(dy y))", f"the sum in {SOFTMAX}"
)
AXIS = Mistake(
    "softmax over the wrong axis",
    "the sum runs over the axis that forward normalized, and no other",
    f"sum_j in {SOFTMAX}",
)
SOFTMAX_SIGN = Mistake(
    "sign in softmax", "the sum over all outputs is subtracted from delta", f"the minus in {SOFTMAX}"
)
UNWEIGHTED = Mistake(
    "delta not weighted in softmax's sum", "sum dy * y, not dy alone or its mean", f"y[n,j] in {SOFTMAX}"
)
NO_FACTOR = Mistake("softmax's own factor y missing", "multiply the difference by y", f"y[n,k] in {SOFTMAX}")


def gradients(case: Case, operation: Operation, dy: Array) -> dict[str, Array]:
    """Return the right gradient."""
    x, y, kind = case.x, case.y, operation.kind
    if kind == "softmax":
        return {"x": _softmax(dy, y, operation.options["axis"])}
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
    """Yield what each mistake would return."""
    x, y, dy, kind = case.x, case.y, case.dy, operation.kind
    right = gradients(case, operation, dy)["x"]
    missing = {"relu": GATE, "noisy_relu": GATE, "dropout": MASK, "leaky_relu": SLOPE_FORGOTTEN}
    yield missing.get(kind, NONE), dy
    with np.errstate(divide="ignore", invalid="ignore"):
        yield LOCAL, np.where(dy != 0, right / dy, 0)
    if kind in ("relu", "noisy_relu"):
        yield SHUT, dy * (y <= 0)
        yield BY_INPUT, dy * (x > 0)
        yield replace(GATE, name="y instead of the gate"), dy * y
    elif kind == "leaky_relu":
        yield from _leaky(case, operation.options["slope"])
    elif kind == "dropout":
        yield from _dropout(case, operation.options["scale"])
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
        yield from _softmaxes(case, operation.options["axis"])


def _leaky(case: Case, slope: float) -> Candidates:
    dy, is_above = case.dy, case.x > 0
    yield SLOPE, dy * is_above
    yield SLOPE_ABOVE, dy * np.where(is_above, slope, 1)
    yield SLOPE_SQUARED, dy * np.where(is_above, 1, slope**2)
    yield SLOPE_EVERYWHERE, dy * slope
    yield SHUT, dy * ~is_above
    if case.claimed.shape == dy.shape:
        below = float(np.median(case.claimed[~is_above] / dy[~is_above])) if not is_above.all() else slope
        named = replace(SLOPE_OTHER, name=f"{SLOPE_OTHER.name}: {below:.4g} instead of {slope:.4g}")
        yield named, dy * np.where(is_above, 1, below)


def _dropout(case: Case, scale: float) -> Candidates:
    dy, kept = case.dy, case.y != 0
    yield SCALE, dy * kept
    for wrong in (scale**2, 1 / scale, scale / (scale - 1) if scale > 1 else 1):
        yield SCALE_OTHER, dy * kept * wrong
    yield MASK_TURNED, dy * ~kept
    yield MASK_TURNED, dy * ~kept * scale
    if case.claimed.shape == dy.shape:
        # Any mask with the right values in other places.
        passed = case.claimed != 0
        for value in (scale, 1):
            if 0 < passed.sum() < passed.size:
                yield MASK_OTHER, dy * passed * value


def _softmax(dy: Array, y: Array, axis: int) -> Array:
    dx: Array = y * (dy - (dy * y).sum(axis, keepdims=True))
    return dx


def _softmaxes(case: Case, axis: int) -> Candidates:
    x, y, dy = case.x, case.y, case.dy
    yield DIAGONAL, dy * y * (1 - y)
    yield replace(DIAGONAL, name="softmax's sum left out"), dy * y
    yield AT_INPUT, _softmax(dy, x, axis)
    yield SOFTMAX_SIGN, y * (dy + (dy * y).sum(axis, keepdims=True))
    yield UNWEIGHTED, y * (dy - dy.sum(axis, keepdims=True))
    yield UNWEIGHTED, y * (dy - dy.mean(axis, keepdims=True))
    yield UNWEIGHTED, y * (dy - (dy * y).mean(axis, keepdims=True))
    yield NO_FACTOR, dy - (dy * y).sum(axis, keepdims=True)
    for other in range(x.ndim):
        if other != axis % x.ndim:
            yield AXIS, _softmax(dy, y, other)
            yield AXIS, _softmax(dy, softmax(x, other), other)
            yield AXIS, _softmax(dy, softmax(x, other), axis)
    total: Array = (dy * y).sum()
    yield AXIS, y * (dy - total)
    yield AXIS, y * (dy - (dy * y).sum(tuple(range(1, y.ndim)), keepdims=True))
