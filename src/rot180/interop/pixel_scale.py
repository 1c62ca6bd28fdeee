"""What a model of another program does with pixels first, as preprocessing."""

from __future__ import annotations

import numpy as np

from rot180.errors import ModelError
from rot180.nn.preprocessing import Preprocessing
from rot180.ops.types import Array


def preprocessing_of(scale: Array, shift: Array, path: str) -> Preprocessing:
    """Return what brings integers from 0 to 255 to scale * pixels + shift: (pixels / 255 - mean) / deviation.

    >>> found = preprocessing_of(np.full(1, 1 / 127.5), np.full(1, -1.0), "a.keras")
    >>> found.mean, found.std
    ((0.5,), (0.5,))
    """
    if not (scale > 0).all() or not np.isfinite(shift).all() or not np.isfinite(scale).all():
        raise ModelError(f"{path}: it scales pixels by {scale.tolist()}; only positive numbers are supported")
    mean, deviation = -shift / scale / 255, 1 / (scale * 255)
    if not mean.any() and np.allclose(deviation, 1):
        return Preprocessing("scale")
    return Preprocessing("dataset", tuple(_plain(mean)), tuple(_plain(deviation)))


def _plain(numbers: Array) -> list[float]:
    return [float(f"{number:.7g}") for number in numbers]
