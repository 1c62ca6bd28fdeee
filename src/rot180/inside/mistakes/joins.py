"""Known mistakes in the gradients of joins: sums, concatenation, and maps times a gate."""

from __future__ import annotations

import numpy as np

from rot180.inside.mistakes.case import Candidates, Case, Mistake
from rot180.inside.mistakes.recognize import Operation
from rot180.ops.types import Array

SUM = "y = x1 + x2: dx1 = dy, dx2 = dy"
CONCATENATION = "dx1 = dy[..., :C1], dx2 = dy[..., C1:C1+C2]"
PRODUCT = "y = x1 * x2: dx1 = dy * x2, dx2 = dy * x1"

ONE_BRANCH = Mistake(
    "delta given to one branch only", "each branch of a sum receives all of delta, the skip branch too", f"dx2 in {SUM}"
)
SHARED = Mistake("delta divided among the branches", "each branch of a sum receives all of delta", f"dy in {SUM}")
SIGN = Mistake("sign of one branch flipped", "forward adds the branches, so each receives +dy", f"dy in {SUM}")
SLICE = Mistake(
    "channels of another branch",
    "branch k starts after the channels of the branches before it",
    f"C1 in {CONCATENATION}",
)
NO_SLICE = Mistake(
    "delta of one branch missing",
    "each branch receives the channels of delta that it filled",
    f"dx2 in {CONCATENATION}",
)
OWN = Mistake(
    "own input instead of the other one", "the derivative of a product with respect to one factor is the other", PRODUCT
)
NO_FACTOR = Mistake("other factor missing", "multiply delta by the other factor", f"dy * x2 in {PRODUCT}")
NO_BRANCH = Mistake("delta of one factor missing", "both factors depend on the input: return both gradients", PRODUCT)
GATE = Mistake(
    "gate's gradient not summed over the map",
    "one factor scales all pixels of a channel: sum dy * x1 over rows and columns",
    "sum_ij in dx2[n,c] = sum_ij dy[n,i,j,c] * x1[n,i,j,c]",
)


def recognize_join(inputs: tuple[Array, ...], y: Array) -> Operation | None:
    """Return the join that takes the inputs to y, or None."""
    shapes = {x.shape for x in inputs}
    if shapes == {y.shape} and np.allclose(sum(inputs), y):
        return Operation("add")
    if len({x.shape[:-1] for x in inputs}) == 1 and y.shape[-1] == sum(x.shape[-1] for x in inputs):
        if np.array_equal(np.concatenate(inputs, axis=-1), y):
            return Operation("concatenate")
    elif len(inputs) == 2 and inputs[0].shape == y.shape:
        if np.allclose(inputs[0] * spread_gate(inputs[1], y), y):
            return Operation("multiply")
    return None


def spread_gate(gate: Array, y: Array) -> Array:
    """Return a factor in a shape that maps can be multiplied by."""
    return gate[:, None, None] if gate.ndim < y.ndim else gate


def _starts(case: Case) -> list[int]:
    return [0, *(int(end) for end in np.cumsum([x.shape[-1] for x in case.inputs]))]


def gradients(case: Case, operation: Operation, dy: Array) -> dict[str, Array]:
    """Return the right gradient."""
    if operation.kind == "add":
        return {case.name: dy}
    if operation.kind == "concatenate":
        starts = _starts(case)
        return {case.name: dy[..., starts[case.slot] : starts[case.slot + 1]]}
    other = case.inputs[1 - case.slot]
    return {case.name: _reduced(dy * spread_gate(other, dy), case.x)}


def _reduced(product: Array, x: Array) -> Array:
    """Sum over the pixels that share a factor."""
    return np.asarray(product.sum((1, 2))) if x.ndim < product.ndim else product


def candidates(case: Case, operation: Operation) -> Candidates:
    """Yield what each mistake would return."""
    dy, none = case.dy, np.zeros_like(case.x)
    if operation.kind == "add":
        yield ONE_BRANCH, none
        yield SHARED, dy / len(case.inputs)
        yield SIGN, -dy
        for x in case.inputs:
            yield OWN, dy * x
    elif operation.kind == "concatenate":
        width = case.x.shape[-1]
        yield NO_SLICE, none
        for start in range(dy.shape[-1] - width + 1):
            if start != _starts(case)[case.slot]:
                yield SLICE, dy[..., start : start + width]
    else:
        yield NO_BRANCH, none
        yield NO_FACTOR, _reduced(dy, case.x)
        whole = np.broadcast_to(spread_gate(case.x, dy), dy.shape)
        yield OWN, _reduced(dy * whole, case.x)
        if case.x.ndim < dy.ndim:
            product = dy * case.inputs[0]
            for wrong in (product.mean((1, 2)), product[:, 0, 0], product[:, -1, -1]):
                yield GATE, wrong
            yield GATE, dy.mean((1, 2)) * case.inputs[0].sum((1, 2))
