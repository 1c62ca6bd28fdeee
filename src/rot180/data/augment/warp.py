"""Geometric transformations of a batch of images, in one resampling, so that images are blurred only once.

A transformation is a 2 x 3 matrix that gives, for each pixel of the result, the place in the image that it is taken
from: (row, column) = A (row', column') + b, all relative to the center of the image, in pixels. One transformation
after another is the product of their matrices, the first on the left (`then`).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from rot180.data.augment.look import Look
from rot180.ops.types import Array

ELASTIC_SMOOTHNESS = 4.0
"""Standard deviation of the Gaussian in pixels; Simard et al. found this best for images of 28 pixels."""


def matrix(
    a: float | Array = 1,
    b: float | Array = 0,
    c: float | Array = 0,
    d: float | Array = 1,
    *,
    shift: tuple[Array | float, Array | float] = (0, 0),
) -> Array:
    """Return transformations (N, 2, 3): row = a*row' + b*column' + shift[0], column = c*row' + d*column' + shift[1]."""
    numbers = np.broadcast_arrays(
        *(np.atleast_1d(np.asarray(value, np.float64)) for value in (a, b, shift[0], c, d, shift[1]))
    )
    return np.stack(numbers, axis=1).reshape(-1, 2, 3)


def turned(angle: Array, scale: Array) -> Array:
    """Return rotations by an angle (N,), in radians counterclockwise, and enlargements by a factor (N,)."""
    sine, cosine = np.sin(angle) / scale, np.cos(angle) / scale
    return matrix(cosine, sine, -sine, cosine)


def then(first: Array, second: Array) -> Array:
    """Return the transformations (N, 2, 3) that do the first and then the second.

    >>> twice, shifted = matrix(0.5, 0, 0, 0.5), matrix(shift=(0, -1))
    >>> then(twice, shifted)[0].tolist()                                   # enlarged, then moved by a whole pixel
    [[0.5, 0.0, 0.0], [0.0, 0.5, -0.5]]
    """
    turns = first[:, :, :2] @ second
    turns[:, :, 2] += first[:, :, 2]
    return turns


def warp(
    images: Array, transformations: Array, look: Look, displaced: Array | None = None, *, repeats_edge: bool = False
) -> Array:
    """Return transformed images of the same size and dtype.

    Bilinear: y = sum over the four pixels around a place of pixel * (1 - row distance) * (1 - column distance).

    Parameters
    ----------
    images : (N, H, W, C)
    transformations : (N, 2, 3)
    look : Look
    displaced : (2, N, H, W) float32, optional
        Rows and columns that are added to the places, such as an `elastic_field`.
    repeats_edge : bool
        Whether the outermost pixels extend outward by one pixel. The enlargement of a part needs this: its outermost
        pixels may come from up to half a pixel outside the image.
    """
    from rot180.kernels.launching import Launch  # imports LLVM
    from rot180.kernels.sampling import bilinear

    count, height, width, channels = images.shape
    around = ((0, 0), (2, 2), (2, 2), (0, 0))
    # A frame of two pixels: every place is moved to it, and no neighbor is outside the array.
    if look.border == "reflect":
        framed = np.pad(images, around, "edge")
    else:
        framed = np.full((count, height + 4, width + 4, channels), look.black, images.dtype)
        framed[:, 2:-2, 2:-2] = images
        if repeats_edge:
            framed[:, 1:-1, 1:-1] = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    sampled = np.empty(images.shape, images.dtype)
    limits = np.array([look.black, look.white])
    if displaced is None:
        displaced = np.empty((2, 0, 0, 0), np.float32)
    reflects, rounds = look.border == "reflect", images.dtype.kind != "f"
    places = np.ascontiguousarray(transformations), np.ascontiguousarray(displaced)
    # Several batches are prepared at a time, each by a thread of its own.
    Launch([(bilinear, (framed, *places, reflects, limits, rounds, sampled))]).alone()
    return sampled


def elastic_field(
    count: int,
    height: int,
    width: int,
    strength: float,
    smoothness: float = ELASTIC_SMOOTHNESS,
    *,
    generator: np.random.Generator,
) -> Array:
    """Return displacements for an elastic distortion: noise smoothed with a Gaussian.

    Parameters
    ----------
    strength : float
        Root mean square of each displacement, in pixels.
    smoothness : float
        Standard deviation of the Gaussian, in pixels.

    Returns
    -------
    (2, N, H, W) float32

    References
    ----------
    Simard, Steinkraus and Platt (2003), Best practices for convolutional neural networks applied to visual document
    analysis, ICDAR.
    """
    noise = generator.standard_normal((2, count, height, width), np.float32)
    # The Gaussian along each axis is a small matrix with rows of unit norm, which preserve the noise's deviation.
    field: Array = strength * (_smoother(height, smoothness) @ noise @ _smoother(width, smoothness).T)
    return field


@lru_cache(maxsize=8)
def _smoother(size: int, smoothness: float) -> Array:
    steps = np.arange(size)
    weights = np.exp(-0.5 * ((steps[:, np.newaxis] - steps) / smoothness) ** 2)
    smoother: Array = (weights / np.sqrt((weights**2).sum(axis=1, keepdims=True))).astype(np.float32)
    smoother.flags.writeable = False
    return smoother
