"""Class weights in the loss, as `fit` and the command line accept them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, did_you_mean
from rot180.nn.loss import read_class_weights
from rot180.ops.types import Array

ClassWeights = str | Mapping[str | int, float] | Sequence[float] | Array
"""`balanced`, `cat=2,dog=1`, weights by class name or number, or one weight per class."""


def parse_class_weights(text: str) -> str | dict[str | int, float]:
    """Parse `balanced` or `cat=2,dog=1`.

    >>> parse_class_weights("cat=2,dog=0.5")
    {'cat': 2.0, 'dog': 0.5}
    """
    if text == "balanced":
        return text
    weights: dict[str | int, float] = {}
    for part in text.split(","):
        name, _, number = part.rpartition("=")
        try:
            weights[name.strip()] = float(number)
        except ValueError:
            name = ""
        if not name.strip():
            hint = did_you_mean(text, ("balanced",))
            raise ArgumentError(f"class weights must be 'balanced' or like 'cat=2,dog=1'; it is {text!r}{hint}")
    return weights


def class_weights_of(given: ClassWeights, labels: Array, names: Sequence[str]) -> Array:
    """Return one weight per class.

    `balanced` gives class k the weight N / (C * n_k), where n_k of the N training images are in class k and C classes
    occur: all classes have the same total weight, and the mean weight of the images is 1. A class that does not occur,
    or that a mapping leaves out, has weight 1.

    Parameters
    ----------
    given
        See `ClassWeights`.
    labels : (N,) integer
        Labels of the training images.
    names : sequence of str
        Class names of the network's outputs.

    Raises
    ------
    ArgumentError
        A name or number is not a class, a weight is negative, or the number of weights is wrong.

    Examples
    --------
    >>> labels = np.array([0, 0, 0, 1])
    >>> class_weights_of("balanced", labels, ["cat", "dog"])
    array([0.66666667, 2.        ])
    >>> class_weights_of({"dog": 3}, labels, ["cat", "dog"])
    array([1., 3.])
    """
    if isinstance(given, str):
        given = parse_class_weights(given)
    if isinstance(given, str):
        counts = np.bincount(labels, minlength=len(names))
        return np.where(counts > 0, len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1)), 1.0)
    if isinstance(given, Mapping):
        weights: list[Any] = [1.0] * len(names)
        for key, weight in given.items():
            weights[_number(key, names)] = weight
        return read_class_weights(weights, "fit: class_weights")
    array = read_class_weights(given, "fit: class_weights")
    if len(array) != len(names):
        raise ArgumentError(
            f"class_weights must have one number for each of the {len(names)} classes; it has {len(array)}"
        )
    return array


def _number(key: Any, names: Sequence[str]) -> int:
    if isinstance(key, str) and key in names:
        return list(names).index(key)
    if isinstance(key, (int, np.integer)) and not isinstance(key, bool) and 0 <= key < len(names):
        return int(key)
    some = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    raise ArgumentError(f"class_weights: no class is called {key!r}{did_you_mean(str(key), names)}; they are {some}")
