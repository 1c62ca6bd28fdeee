"""Geometric transformations of a batch of images, in one resampling, so that images are blurred only once.

A transformation is a 2 x 3 matrix that gives, for each pixel of the result, the place in the image that it is taken
from: (row, column) = A (row', column') + b, all relative to the center of the image, in pixels. One transformation
after another is the product of their matrices, the first on the left (`then`).
"""

from __future__ import annotations

import numpy as np

from rot180.data.augment.look import Look, in_pieces
from rot180.ops.types import Array

ELASTIC_SMOOTHNESS = 4.0
"""Standard deviation of the Gaussian in pixels; Simard et al. found this best for images of 28 pixels."""

PIXELS_AT_ONCE = 16 * 1024
"""Pixels that are warped at a time: this is more than twice as fast as a whole batch of 64 x 64 at once."""


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
    images: Array,
    transformations: Array,
    look: Look,
    *,
    elastic: float = 0.0,
    generator: np.random.Generator,
    is_crop: bool = False,
) -> Array:
    """Return transformed images of the same size and dtype.

    Parameters
    ----------
    images : (N, H, W, C)
    transformations : (N, 2, 3)
    look : Look
    elastic : float
        If above 0, pixels are displaced by an elastic distortion of this strength as well (`elastic_field`).
    generator : numpy.random.Generator
    is_crop : bool
        Whether a part is enlarged, whose outermost pixels may be taken from up to half a pixel outside the image; they
        repeat its edge.
    """
    _, height, width, channels = images.shape
    rows, columns = grid(height, width)
    a, b = (transformations[:, axis, :, np.newaxis, np.newaxis].astype(np.float32) for axis in (0, 1))
    outside = None if look.border == "reflect" else look.black

    def warped(part: slice) -> Array:
        places = np.stack([n[part, 0] * rows + (n[part, 1] * columns + n[part, 2]) for n in (a, b)])
        if elastic:
            places += elastic_field(part.stop - part.start, height, width, elastic, ELASTIC_SMOOTHNESS, generator)
        return look.as_images(sample(images[part], places, outside, repeats_edge=is_crop), images)

    return in_pieces(images, warped, PIXELS_AT_ONCE * channels)


def grid(height: int, width: int) -> tuple[Array, Array]:
    """Return the row (H, 1) and the column (1, W) of each pixel relative to the center of the image, float32.

    >>> [part.ravel().tolist() for part in grid(2, 3)]
    [[-0.5, 0.5], [-1.0, 0.0, 1.0]]
    """
    rows = np.arange(height, dtype=np.float32) - np.float32((height - 1) / 2)
    columns = np.arange(width, dtype=np.float32) - np.float32((width - 1) / 2)
    return rows[:, np.newaxis], columns[np.newaxis]


def elastic_field(
    count: int, height: int, width: int, strength: float, smoothness: float, generator: np.random.Generator
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


def _smoother(size: int, smoothness: float) -> Array:
    steps = np.arange(size)
    weights = np.exp(-0.5 * ((steps[:, np.newaxis] - steps) / smoothness) ** 2)
    smoother: Array = (weights / np.sqrt((weights**2).sum(axis=1, keepdims=True))).astype(np.float32)
    return smoother


def sample(images: Array, places: Array, outside: float | None = 0.0, *, repeats_edge: bool = False) -> Array:
    """Return images sampled at fractional positions.

    Bilinear: y = sum over the four pixels around a position of pixel * (1 - row distance) * (1 - column distance).

    Parameters
    ----------
    images : (N, H, W, C)
    places : (2, N, H, W) or (2, 1, H, W)
        Positions relative to the center of the image, in pixels.
    outside : float or None
        The value outside the images; None reflects the images instead.
    repeats_edge : bool
        Whether the outermost pixels extend outward by one pixel.

    Returns
    -------
    (N, H, W, C) float32
    """
    count, height, width, channels = images.shape
    row, column = places[0] + ((height - 1) / 2 + 2), places[1] + ((width - 1) / 2 + 2)
    # A frame of two pixels: every position is clipped to it, and no neighbor is outside the array.
    if outside is None:
        row, column = _mirrored(row - 2, height) + 2, _mirrored(column - 2, width) + 2
        framed = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), "edge")
    else:
        framed = np.full((count, height + 4, width + 4, channels), outside, images.dtype)
        framed[:, 2:-2, 2:-2] = images
        if repeats_edge:
            framed[:, 1:-1, 1:-1] = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    row = np.clip(row, 0, height + 2.5)
    column = np.clip(column, 0, width + 2.5)
    top, left = row.astype(np.int32), column.astype(np.int32)
    row_share, column_share = row - top.astype(np.float32), column - left.astype(np.float32)
    stride = width + 4
    first = np.arange(count, dtype=np.intp).reshape(-1, 1, 1) * ((height + 4) * stride)
    index = first + top * stride + left
    both = row_share * column_share
    # The four neighbors: offset in the flat array, and weight.
    neighbors = (
        (0, 1 - row_share - column_share + both),
        (1, column_share - both),
        (stride, row_share - both),
        (stride + 1, both),
    )
    sampled = np.empty(images.shape, np.float32)
    for channel in range(channels):  # one plane at a time: gathering single values is several times faster than rows
        plane = framed[..., channel].astype(np.float32).ravel()
        total = np.zeros(index.shape, np.float32)
        for step, weight in neighbors:
            total += np.take(plane, index + step, mode="clip") * weight
        sampled[..., channel] = total
    return sampled


def _mirrored(places: Array, size: int) -> Array:
    """Reflect positions outside an axis back into it, at the outer edges of the first and last pixels.

    >>> _mirrored(np.array([-1.0, 1.5, 4.0]), 4).tolist()
    [0.0, 1.5, 3.0]
    """
    past = np.mod(places + 0.5, 2 * size)
    folded: Array = np.minimum(past, 2 * size - past) - 0.5
    return folded
