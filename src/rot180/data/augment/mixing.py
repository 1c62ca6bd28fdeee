"""Mixup and CutMix: images of a batch are combined with others, and so are their labels.

Both combine all images of a batch in one proportion, as the papers do: image n with image other[n]. The target of an
image is then a row of probabilities, lambda for its own class and 1 - lambda for the other.

References
----------
Zhang, Cisse, Dauphin and Lopez-Paz (2018), mixup: Beyond empirical risk minimization, arXiv:1710.09412.
Yun et al. (2019), CutMix: Regularization strategy to train strong classifiers with localizable features,
arXiv:1905.04899.
"""

from __future__ import annotations

import math

import numpy as np

from rot180.data.augment.look import Look
from rot180.ops.types import Array

VALUES_AT_ONCE = 128 * 1024
"""Values that are mixed at a time, so that intermediate arrays stay in the cache."""


def mixup(images: Array, other: Array, share: float, look: Look) -> Array:
    """Return share * image + (1 - share) * other image.

    >>> mixup(np.array([[[[0]]], [[[100]]]], np.uint8), np.array([1, 0]), 0.75, Look(0, 255, "black")).ravel().tolist()
    [25, 75]
    """
    mixed = np.empty_like(images)
    at_once = max(1, VALUES_AT_ONCE // images[0].size)
    for start in range(0, len(images), at_once):
        part = slice(start, start + at_once)
        values = images[part] * np.float32(share) + images[other[part]] * np.float32(1 - share)
        mixed[part] = look.as_images(values, images)
    return mixed


def cutmix(images: Array, other: Array, share: float, generator: np.random.Generator) -> float:
    """Paste a rectangle of the others into the images, and return the share of the area that remains.

    The rectangle has the images' proportions and the area 1 - share, except for what lies beyond the edges: its center
    is anywhere in the image.
    """
    (top, bottom), (left, right) = (
        _extent(size, math.sqrt(1 - share), int(generator.integers(size))) for size in images.shape[1:3]
    )
    images[:, top:bottom, left:right] = images[other, top:bottom, left:right]
    area: int = images.shape[1] * images.shape[2]
    return 1 - (bottom - top) * (right - left) / area


def _extent(size: int, share: float, center: int) -> tuple[int, int]:
    length = int(size * share)
    start = center - length // 2
    return max(start, 0), min(start + length, size)


def mixed_labels(labels: Array, other: Array, share: float, classes: int) -> Array:
    """Return the probabilities (N, classes) float32: share for each label, 1 - share for that of the other image.

    >>> mixed_labels(np.array([0, 2]), np.array([1, 0]), 0.75, 3).tolist()
    [[0.75, 0.0, 0.25], [0.25, 0.0, 0.75]]
    """
    probabilities = np.zeros((len(labels), classes), np.float32)
    rows = np.arange(len(labels))
    probabilities[rows, labels] = share
    probabilities[rows, labels[other]] += np.float32(1) - np.float32(share)
    return probabilities
