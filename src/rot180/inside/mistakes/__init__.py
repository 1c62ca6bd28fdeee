"""Name the known mistake that a wrong gradient looks like.

The layer's operation is recognized from its output, each mistake known for that operation is made on purpose, and the
one that reproduces the wrong gradient to five digits is named.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rot180.inside.mistakes import (
    activation,
    convolution,
    flatten,
    general,
    joins,
    linear,
    normalization,
    pooling,
    resizing,
    transposed,
)
from rot180.inside.mistakes.case import EXACT, Candidates, Case, Mistake, is_same
from rot180.inside.mistakes.recognize import Operation, recognize
from rot180.ops.types import Array

__all__ = ["Case", "Mistake", "name_loss_mistake", "name_mistake"]

_Gradients = Callable[[Case, Operation, Array], dict[str, Array]]
_Candidates = Callable[[Case, Operation], Candidates]
_FAMILIES: dict[str, tuple[_Gradients, _Candidates]] = {
    "convolution": (convolution.gradients, convolution.candidates),
    "linear": (linear.gradients, linear.candidates),
    "linear_transposed": (linear.gradients, linear.candidates),
    "max_pool": (pooling.gradients, pooling.candidates),
    "avg_pool": (pooling.gradients, pooling.candidates),
    "global_mean": (pooling.gradients, pooling.candidates),
    "global_sum": (pooling.gradients, pooling.candidates),
    "global_max": (pooling.gradients, pooling.candidates),
    "flatten": (flatten.gradients, flatten.candidates),
    "transposed": (transposed.gradients, transposed.candidates),
    **dict.fromkeys(("normalization", "constants"), (normalization.gradients, normalization.candidates)),
    **dict.fromkeys(("add", "concatenate", "multiply"), (joins.gradients, joins.candidates)),
    **dict.fromkeys(("nearest", "bilinear", "adaptive"), (resizing.gradients, resizing.candidates)),
}
_ACTIVATIONS = (activation.gradients, activation.candidates)


def name_mistake(layer: Any, case: Case) -> Mistake | None:
    """Return the known mistake that a wrong gradient looks like, or None if it matches none.

    Parameters
    ----------
    layer : Layer
        Only its attributes, such as `stride`, are used.
    case : Case
        The wrong gradient and its context.
    """
    if getattr(layer, "is_join", False):
        operation = None if case.parameters else joins.recognize_join(case.inputs, case.y)
    else:
        operation = recognize(layer, case.x, case.y, case.parameters)
        if operation is not None and operation.weight_shape is not None:
            case = case.with_shape(operation.weight, operation.weight_shape)
    if np.shape(case.claimed) != case.array.shape:
        return general.shape_mistake(case, operation)
    if not np.all(np.isfinite(case.claimed)):
        return Mistake("not finite", "it contains NaN or infinity; look for a division by zero or log(0)")

    right: Callable[[Array], Array] | None = case.measure
    known: _Candidates | None = None
    if operation is not None:
        gradients, known = _FAMILIES.get(operation.kind, _ACTIVATIONS)
        found = operation

        def right(dy: Array) -> Array:
            return gradients(case, found, dy)[case.name]

    if operation is not None and operation.kind == "noisy_relu" and case.measure is not None:
        # Any output with zeros looks like that of a noisy ReLU; whether it is one, its gradient tells.
        if right is not None and not is_same(case.measure(case.dy), right(case.dy), 1e-4):
            right, known = case.measure, None
    if operation is not None and known is not None:
        # A mistake may change little, as a misplaced epsilon does: the first one that is exact comes before the first
        # that is close, which a layer that computes in float32 needs.
        close: Mistake | None = None
        for mistake, wrong in known(case, operation):
            # What happens to give the right gradient here is no mistake, such as a missing gate when all units are
            # active.
            if is_same(case.claimed, wrong, EXACT):
                return mistake
            if close is None and is_same(case.claimed, wrong):
                close = mistake
        if close is not None:
            return close
    if right is None:
        return None if np.any(case.claimed) else general.ZERO
    whole = right(case.dy)
    by_factor = general.factor(case, whole)
    if by_factor is not None:
        return by_factor
    for mistake, wrong in general.candidates(case, right):
        if is_same(case.claimed, wrong, 1e-4):
            return mistake
    if case.of_input and case.claimed.shape == case.dy.shape and is_same(case.claimed, case.dy):
        return activation.NONE
    return _where(case, whole)


def name_loss_mistake(claimed: Array, right: Array, probabilities: Array | None) -> Mistake | None:
    """Return the known mistake that the gradient of a loss looks like; `probabilities` are those of cross-entropy."""
    if claimed.shape != right.shape:
        return Mistake(f"the shape is {claimed.shape}", f"a gradient must have the shape of its array, {right.shape}")
    case = Case("x", claimed, right, right, right, {}, None)
    by_factor = general.factor(case, right)
    if by_factor is not None:
        return by_factor
    if probabilities is not None:
        p = probabilities
        for share in (1.0, 1 / len(p)):
            if is_same(claimed, share * p):
                return Mistake("target not subtracted", "the gradient of the outputs is (p - t) / N")
        if is_same(claimed, p * (right - (right * p).sum(-1, keepdims=True))):
            return Mistake(
                "softmax's derivative taken twice",
                "(p - t) / N is already the gradient of the outputs before the softmax",
            )
    return None


def _where(case: Case, right: Array) -> Mistake | None:
    """Describe an unknown mistake by where the wrong entries are."""
    off = np.abs(case.claimed - right) > 1e-4 * max(float(np.abs(right).max()), 1e-30)
    if right.ndim != 4 or not case.of_input or min(right.shape[1:3]) < 3:
        return None
    inner = off[:, 1:-1, 1:-1]
    if off.any() and not inner.any():
        return Mistake("unknown, at the border only", "check the padding, the cropping and the last row and column")
    return None
