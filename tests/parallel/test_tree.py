"""Sums in a fixed order."""

from __future__ import annotations

import numpy as np
import pytest

from rot180.parallel.tree import Partial, leaves_of, nodes_of, total


@pytest.mark.parametrize("leaves", range(1, 21))
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 12])
def test_the_bits_do_not_depend_on_who_adds(leaves, size):
    size = min(size, leaves)
    generator = np.random.default_rng(leaves)
    arrays = (generator.standard_normal((leaves, 3)) * 10.0 ** generator.integers(-6, 7, (leaves, 1))).astype("f4")
    nodes = {}
    for rank in range(size):
        partial = Partial()
        for leaf in leaves_of(rank, size, leaves):
            partial.add(leaf, arrays[leaf].copy())
        assert tuple(partial.nodes) == nodes_of(rank, size, leaves)
        nodes |= partial.nodes
    alone = Partial()
    for leaf, array in enumerate(arrays):
        alone.add(leaf, array.copy())
    expected = total(alone.nodes, leaves)
    np.testing.assert_array_equal(total(nodes, leaves), expected)
    np.testing.assert_allclose(expected, arrays.sum(axis=0, dtype="f8"), rtol=1e-3, atol=1e-6 * abs(arrays).max())


@pytest.mark.parametrize(("size", "leaves"), [(1, 1), (3, 8), (4, 8), (5, 7), (8, 8)])
def test_every_leaf_belongs_to_one_process(size, leaves):
    owned = [leaf for rank in range(size) for leaf in leaves_of(rank, size, leaves)]
    assert owned == list(range(leaves))
    assert all(leaves_of(rank, size, leaves) for rank in range(size))
