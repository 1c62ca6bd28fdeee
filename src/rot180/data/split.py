"""Holding out images for testing, if a source does not specify a test set."""

from __future__ import annotations

import numpy as np

from rot180.ops.types import Array


def hold_out(labels: Array, one_in: int = 5) -> Array:
    """Return a mask of the images to test on: every `one_in`-th of each class, in the order of the file.

    The split is stratified, so that each class is tested in proportion, and starts with the second image of a class, so
    that a class with two images has one in each set. Nothing is random: the same file gives the same test set, whatever
    the seed, the machine or the version of NumPy, so results stay comparable.

    Parameters
    ----------
    labels : (N,) integers
    one_in : int, default 5
        5 holds out a fifth.

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
    # Small dtypes: with four million labels, int64 would take a quarter of a gigabyte here.
    _, classes = np.unique(labels, return_inverse=True)
    classes = classes.astype(np.min_scalar_type(max(len(labels) - 1, 0)))
    by_class = np.argsort(classes, kind="stable").astype(np.int32)
    counts = np.bincount(classes)
    first = np.cumsum(counts) - counts
    position_in_class = np.empty(len(labels), np.int32)
    position_in_class[by_class] = np.arange(len(labels), dtype=np.int32) - np.repeat(first, counts)
    return np.equal(position_in_class % one_in, 1)
