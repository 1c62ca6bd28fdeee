"""Known mistakes in the gradient of flattening: the values of a map read in another order of axes."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from rot180.inside.mistakes.case import Candidates, Case, Mistake
from rot180.inside.mistakes.recognize import Operation
from rot180.ops.types import Array

ORDER = Mistake(
    "order of flattening",
    "reshape delta in the order in which forward flattened, with the last axis varying fastest",
    "the order of a, b, c in y[n, (a*W + b)*C + c] = x[n,a,b,c]",
)


def gradients(case: Case, operation: Operation, dy: Array) -> dict[str, Array]:
    """Return the right gradient."""
    return {"x": unflattened(dy, case.x.shape, operation.options["order"])}


def candidates(case: Case, operation: Operation) -> Candidates:
    """Yield what each mistake would return."""
    for order in permutations((1, 2, 3)):
        if order != operation.options["order"]:
            yield ORDER, unflattened(case.dy, case.x.shape, order)


def unflattened(dy: Array, shape: tuple[int, ...], order: tuple[int, ...]) -> Array:
    """Return (N, H*W*C) as (N, H, W, C), for maps flattened with their axes in this order."""
    axes = (0, *order)
    return dy.reshape([shape[axis] for axis in axes]).transpose(np.argsort(axes))
