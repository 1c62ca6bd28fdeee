"""Two networks beside each other: how far their weights are apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rot180.nn.network import Network

__all__ = ["Apart", "apart"]


@dataclass(frozen=True)
class Apart:
    """One parameter of two networks.

    Attributes
    ----------
    name : str
    distance : float or None
        The norm of the difference relative to the norm in the first network; None if the other one has no such
        parameter of this shape, or the first one is zero.
    """

    name: str
    distance: float | None


def apart(one: Network, other: Network) -> tuple[Apart, ...]:
    """Return how far each parameter of a network is from that of another one.

    Examples
    --------
    >>> import rot180
    >>> first, second = (rot180.network("4x4x1 > fc3").build(seed=0) for _ in range(2))
    >>> second.parameters["fc1.weight"][:] *= 2
    >>> [(found.name, found.distance) for found in apart(first, second)]
    [('fc1.weight', 1.0), ('fc1.bias', None)]
    """
    others, found = other.parameters, []
    for name, mine in one.parameters.items():
        theirs, size = others.get(name), float(np.linalg.norm(mine.astype(np.float64).ravel()))
        distance = None
        if theirs is not None and theirs.shape == mine.shape and size:
            distance = float(np.linalg.norm((mine.astype(np.float64) - theirs).ravel())) / size
        found.append(Apart(name, distance))
    return tuple(found)
