"""Geometric transformations of a batch of images: rotation, scaling and elastic distortion in one resampling."""

from __future__ import annotations

import numpy as np

from rot180.ops.types import Array


def grid(height: int, width: int) -> Array:
    """Return the (row, column) of each pixel relative to the center of the image, (2, H, W) float32.

    >>> grid(2, 2)[0].tolist()
    [[-0.5, -0.5], [0.5, 0.5]]
    """
    rows = np.arange(height, dtype=np.float32) - (height - 1) / 2
    columns = np.arange(width, dtype=np.float32) - (width - 1) / 2
    return np.stack(np.broadcast_arrays(rows[:, np.newaxis], columns)).astype(np.float32)


def turned_and_scaled(places: Array, angle: Array, scale: Array) -> Array:
    """Return the source position of each pixel of a rotated and scaled image.

    Parameters
    ----------
    places : (2, H, W)
        From `grid`.
    angle : (N,)
        Radians, counterclockwise.
    scale : (N,)
        Factors above 1 enlarge.

    Returns
    -------
    (2, N, H, W) float32
    """
    sine, cosine = (f(angle).astype(np.float32)[:, np.newaxis, np.newaxis] for f in (np.sin, np.cos))
    factor = (1 / scale).astype(np.float32)[:, np.newaxis, np.newaxis]
    rows, columns = places
    return np.stack(((rows * cosine + columns * sine) * factor, (columns * cosine - rows * sine) * factor))


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


def sample(images: Array, places: Array, outside: float | None = 0.0) -> Array:
    """Return images sampled at fractional positions.

    Bilinear: y = sum over the four pixels around a position of pixel * (1 - row distance) * (1 - column distance).

    Parameters
    ----------
    images : (N, H, W, C)
    places : (2, N, H, W) or (2, 1, H, W)
        Positions relative to the center of the image, in pixels.
    outside : float or None
        The value outside the images; None reflects the images instead.

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
