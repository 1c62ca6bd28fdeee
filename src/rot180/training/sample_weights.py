"""Sample weights: how much each training image counts in the loss, as `fit` accepts them."""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.errors import ArgumentError
from rot180.ops.types import Array


def read_sample_weights(given: Any, count: int, augment: Any = None) -> Array:
    """Check the weights of the training images, one for each: finite numbers, at least 0, not all 0.

    Raises
    ------
    ArgumentError
        They are anything else; or images are mixed in pairs, which have two weights each.

    Examples
    --------
    >>> read_sample_weights([1, 0.5], 2)
    array([1. , 0.5])
    """
    try:
        weights: Array = np.array(given, np.float64)
    except (TypeError, ValueError):
        weights = np.empty(0)
    if weights.shape != (count,) or not np.isfinite(weights).all() or (weights < 0).any():
        raise ArgumentError(
            f"sample_weights must be one finite number, at least 0, for each of the {count} training images; their "
            f"shape is {np.shape(given)}{f', the smallest {weights.min():g}' if weights.size else ''}"
        )
    if not weights.any():
        raise ArgumentError("sample_weights must not all be zero; nothing would be learned")
    mixing = [name for name in ("mixup", "cutmix") if name in str(augment or "")]
    if mixing:
        raise ArgumentError(f"sample_weights count single images, but {mixing[0]} mixes pairs; leave one of them out")
    return weights
