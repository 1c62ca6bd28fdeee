"""Holding images out for testing, where a source does not say itself which to test on."""

from __future__ import annotations

import numpy as np

from rot180.ops.types import Array


def hold_out(labels: Array, one_in: int = 5) -> Array:
    """Return a mask of the images to test on: of each class every `one_in`-th, in the order of the file.

    Stratified, so that each class is tested in proportion, and from the second image of a class on, so that a class
    with two images has one in each set. Nothing is drawn: the same file gives the same test set, whatever the seed, the
    machine or the version of NumPy, and results stay comparable.

    Parameters
    ----------
    labels : (N,) integers
    one_in : int, default 5
        5 holds a fifth out.

    Returns
    -------
    (N,) bool
        True for the images of the test set.

    Examples
    --------
    >>> import numpy as np
    >>> hold_out(np.array([7, 7, 7, 7, 3, 3, 9]), one_in=2).astype(int)
    array([0, 1, 0, 1, 0, 1, 0])
    """
    # Small types: with four million labels, int64 would take a quarter of a gigabyte here.
    _, classes = np.unique(labels, return_inverse=True)
    classes = classes.astype(np.min_scalar_type(max(len(labels) - 1, 0)))
    by_class = np.argsort(classes, kind="stable").astype(np.int32)
    counts = np.bincount(classes)
    first = np.cumsum(counts) - counts
    position_in_class = np.empty(len(labels), np.int32)
    position_in_class[by_class] = np.arange(len(labels), dtype=np.int32) - np.repeat(first, counts)
    return np.equal(position_in_class % one_in, 1)
