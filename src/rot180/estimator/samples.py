"""Samples as they are learned: images or features, labels, weights; identical ones joined.

To scikit-learn, a sample of weight 2 is the same as the sample twice, one of weight 0 the same as none, and the order
means nothing. A network learns batch by batch, so that such data would give it other batches, and other weights in the
end. Therefore identical samples are joined into one with the sum of their weights, and all are sorted by a digest of
their contents, before the seed shuffles them: what is equal by definition gives the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np

from rot180.errors import ArgumentError
from rot180.ops.types import Array


class Samples(NamedTuple):
    """What a training learns from.

    Attributes
    ----------
    x : (N, ...)
    labels : (N,) int64
        Places in the list of classes.
    weights : (N,) float64 or None
        How much each sample counts; None if all count alike.
    """

    x: Array
    labels: Array
    weights: Array | None

    @property
    def evened(self) -> Samples:
        """The samples with weights whose mean is 1, so that the learning rate does not depend on their scale."""
        if self.weights is None:
            return self
        weights = self.weights / self.weights.mean()
        return self._replace(weights=None if (weights == weights[0]).all() else weights)

    @property
    def joined(self) -> Samples:
        """The samples without repetitions, in an order that depends on their contents alone.

        >>> found = Samples(np.array([[1], [2], [1]]), np.array([0, 1, 0]), None).joined
        >>> sorted(zip(found.x[:, 0].tolist(), found.labels.tolist(), found.weights.tolist()))
        [(1, 0, 2.0), (2, 1, 1.0)]
        """
        x = np.ascontiguousarray(self.x)
        keys = [
            blake2b(label.to_bytes(8, "little") + row.tobytes(), digest_size=16).digest()
            for row, label in zip(x, self.labels.tolist(), strict=True)
        ]
        _, first, which = np.unique(np.array(keys, "V16").view("S16"), return_index=True, return_inverse=True)
        weights = np.bincount(which.reshape(-1), self.weights, minlength=len(first)).astype(np.float64)
        return Samples(x[first], self.labels[first], weights)


def with_class_weights(samples: Samples, class_weight: Any, classes: Array) -> Samples:
    """Return the samples with weights multiplied by those of their classes.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
        As in scikit-learn: by class, 1 for those left out; or "balanced", by which all classes count alike.
    classes : (K,)
        The classes.

    Raises
    ------
    ArgumentError
        It is anything else.
    """
    if class_weight is None:
        return samples
    own = np.ones(len(samples.labels)) if samples.weights is None else samples.weights
    if isinstance(class_weight, str) and class_weight == "balanced":
        totals = np.bincount(samples.labels, own, minlength=len(classes))
        of_classes = own.sum() / (len(classes) * totals)
    elif isinstance(class_weight, Mapping):
        known = classes.tolist()
        unknown = [key for key in class_weight if key not in known]
        if unknown:
            raise ArgumentError(f"class_weight: no class is called {unknown[0]!r}; they are {_some(known)}")
        of_classes = np.array([float(class_weight.get(name, 1.0)) for name in known])
        if not np.isfinite(of_classes).all() or (of_classes < 0).any():
            raise ArgumentError(f"class_weight must hold finite numbers of at least 0; it is {dict(class_weight)!r}")
    else:
        raise ArgumentError(f"class_weight must be None, 'balanced' or a dictionary by class; it is {class_weight!r}")
    return samples._replace(weights=own * of_classes[samples.labels])


def _some(names: list[Any]) -> str:
    return ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "")
