"""The river of gradients: how much of delta flows through each layer, from the loss to the image.

A ReLU closes gates, a pool keeps delta from the pixels that lost, a dead filter is a dry bed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rot180.inside.explain.trace import Trace
from rot180.ops.types import Array

__all__ = ["Bed", "river"]


@dataclass(frozen=True)
class Bed:
    """One layer's part of the river.

    Attributes
    ----------
    layer : str
    kind : str
        The layer's type.
    delta : float
        Norm of the gradient of its output.
    passed : float
        Norm of what it passes back, to all its inputs together.
    closed : float
        Share of the gradients of its inputs that are exactly zero, of those that could have received some.
    maps, dry : int
        How many maps or units its output has; how many of them receive no delta at all.
    """

    layer: str
    kind: str
    delta: float
    passed: float
    closed: float
    maps: int
    dry: int


def river(trace: Trace) -> tuple[Bed, ...]:
    """Follow delta from the loss to the image.

    Parameters
    ----------
    trace : Trace
        One pass.

    Returns
    -------
    tuple of Bed
        From the last layer to the first.

    Examples
    --------
    >>> import rot180
    >>> model = rot180.network("4x4x1 > conv3x3:2 relu > fc3").build(seed=0)
    >>> beds = river(Trace(model, np.full((4, 4), 99, np.uint8), 1))
    >>> [bed.layer for bed in beds], beds[0].closed
    (['fc1', 'flatten1', 'relu1', 'conv1'], 0.0)
    """
    found = []
    for place in range(len(trace.model.layers) - 1, -1, -1):
        layer, delta = trace.model.layers[place], trace.deltas[place + 1]
        passed = trace.contributions[place]
        zeros = sum(int(np.size(dx) - np.count_nonzero(dx)) for dx in passed)
        count = sum(int(np.size(dx)) for dx in passed)
        by_map = np.abs(delta).reshape(-1, delta.shape[-1]).max(axis=0)
        found.append(
            Bed(
                layer.name,
                type(layer).__name__,
                _norm(delta),
                math.sqrt(sum(_norm(dx) ** 2 for dx in passed)),
                zeros / count if count else 0.0,
                len(by_map),
                int((by_map == 0).sum()),
            )
        )
    return tuple(found)


def _norm(array: Array) -> float:
    return float(np.linalg.norm(array.astype(np.float64).ravel()))
