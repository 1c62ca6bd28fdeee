"""Sums in a fixed order: a binary tree over numbered leaves, whoever holds them.

Floating-point addition is not associative, so a sum has the same bits only if it is made in the same order. Here the
order is that of a binary tree over all leaves: node (level, index) is the sum of the leaves from `index << level` up to
but not including `(index + 1) << level`. A process with a stretch of leaves adds up whole nodes only; the rest of the
tree is added by whoever has received them. A node without a right child is its left child.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from rot180.ops.types import Array

Node = tuple[int, int]
"""Level, from 0 at the leaves, and index from the left."""


class Partial:
    """The sums of as many whole nodes as a process's own leaves form; leaves come in order.

    Examples
    --------
    >>> partial = Partial()
    >>> for leaf in range(2, 5):
    ...     partial.add(leaf, np.array([float(leaf)]))
    >>> {node: float(array[0]) for node, array in partial.nodes.items()}
    {(1, 1): 5.0, (0, 4): 4.0}
    """

    def __init__(self) -> None:
        self.nodes: dict[Node, Array] = {}

    def add(self, leaf: int, array: Array) -> None:
        """Add the next leaf, whose array is kept, and changed."""
        level, index = 0, leaf
        while index % 2 and (level, index - 1) in self.nodes:
            left = self.nodes.pop((level, index - 1))
            left += array
            array, level, index = left, level + 1, index // 2
        self.nodes[level, index] = array


def total(nodes: Mapping[Node, Array], leaves: int) -> Array:
    """Return the sum of all leaves, of which `nodes` are some; its array may be one of theirs.

    >>> total({(1, 0): np.array([3.0]), (0, 2): np.array([4.0])}, leaves=3).tolist()
    [7.0]
    """

    def value(level: int, index: int) -> Array:
        if (level, index) in nodes:
            return nodes[level, index]
        left, right = value(level - 1, 2 * index), 2 * index + 1
        return left + value(level - 1, right) if right << (level - 1) < leaves else left

    return value((leaves - 1).bit_length(), 0)


def leaves_of(rank: int, size: int, leaves: int) -> range:
    """Return the leaves of one of `size` processes: neighbors, and as many as the others have or one more or less.

    >>> [list(leaves_of(rank, 3, 8)) for rank in range(3)]
    [[0, 1], [2, 3, 4], [5, 6, 7]]
    """
    return range(rank * leaves // size, (rank + 1) * leaves // size)


@cache
def nodes_of(rank: int, size: int, leaves: int) -> tuple[Node, ...]:
    """Return the nodes that `Partial` has after the leaves of one of `size` processes.

    >>> nodes_of(1, 3, 8)
    ((1, 1), (0, 4))
    """
    partial = Partial()
    for leaf in leaves_of(rank, size, leaves):
        partial.add(leaf, np.zeros(0))
    return tuple(partial.nodes)
