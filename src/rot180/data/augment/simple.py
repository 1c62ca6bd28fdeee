"""Steps that move whole pixels, change brightness or contrast, or cover a part; each may overwrite its images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rot180.data.augment.look import Look
from rot180.ops.types import Array

ERASED, ERASED_RATIO = (0.02, 1 / 3), 10 / 3
"""The smallest and the largest share of the area that `erase` covers, and the largest ratio of its sides."""


def shift(images: Array, pixels: float, generator: np.random.Generator, look: Look) -> Array:
    """Shift by whole pixels along both axes."""
    return _cut_out_of(look.framed(images, int(pixels)), images.shape, generator)


def _cut_out_of(framed: Array, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Return a crop of this size from each image, each at its own random position."""
    count, height, width, _ = shape
    top = generator.integers(framed.shape[1] - height + 1, size=count)
    left = generator.integers(framed.shape[2] - width + 1, size=count)
    parts = np.lib.stride_tricks.sliding_window_view(framed, (height, width), (1, 2))  # (N, tops, lefts, C, H, W)
    return np.ascontiguousarray(parts[np.arange(count), top, left].transpose(0, 2, 3, 1))


def flip(images: Array, probability: float, generator: np.random.Generator, look: Look) -> Array:
    """Mirror each image with this probability."""
    return mirror(images, generator.random(len(images)) < probability)


def mirror(images: Array, which: Array) -> Array:
    """Mirror the images that are marked left to right."""
    pixels = images.view(f"V{images.shape[3] * images.itemsize}")  # moved as a whole, in half the time
    pixels[which] = pixels[which][:, :, ::-1]
    return images


def brightness(images: Array, share: float, generator: np.random.Generator, look: Look) -> Array:
    """Add a random share of white to all pixels of an image."""
    whole = np.float32(look.white - look.black)
    change = generator.uniform(-share, share, (len(images), 1, 1, 1)).astype(np.float32) * whole
    return look.as_images(images + change, images)


def contrast(images: Array, share: float, generator: np.random.Generator, look: Look) -> Array:
    """Scale the deviations from an image's mean."""
    factor = generator.uniform(1 - share, 1 + share, (len(images), 1, 1, 1)).astype(np.float32)
    mean = images.mean((1, 2, 3), dtype=np.float32, keepdims=True)
    return look.as_images(mean + (images - mean) * factor, images)


def cutout(images: Array, pixels: float, generator: np.random.Generator, look: Look) -> Array:
    """Cover a square whose center is anywhere in the image, so that edges are covered as often as the rest.

    References
    ----------
    DeVries and Taylor (2017), Improved regularization of convolutional neural networks with cutout, arXiv:1708.04552.
    """
    side = np.full(len(images), int(pixels))
    starts = [generator.integers(size, size=len(images)) - int(pixels) // 2 for size in images.shape[1:3]]
    return _cover(images, starts[0], side, starts[1], side, look)


def erase(images: Array, probability: float, generator: np.random.Generator, look: Look) -> Array:
    """Cover a rectangle of random area and proportions, with this probability.

    References
    ----------
    Zhong, Zheng, Kang, Li and Yang (2020), Random erasing data augmentation, AAAI, arXiv:1708.04896.
    """
    count, height, width, _ = images.shape
    area = generator.uniform(*ERASED, count) * height * width
    ratio = np.exp(generator.uniform(-np.log(ERASED_RATIO), np.log(ERASED_RATIO), count))
    # The paper redraws a rectangle that is longer than the image; here it is clipped to the image.
    rows = np.rint(np.sqrt(area * ratio)).clip(1, height).astype(int)
    columns = np.rint(np.sqrt(area / ratio)).clip(1, width).astype(int)
    rows[generator.random(count) >= probability] = 0
    top, left = (
        (generator.random(count) * (size - covered + 1)).astype(int)
        for size, covered in ((height, rows), (width, columns))
    )
    return _cover(images, top, rows, left, columns, look)


def _cover(images: Array, top: Array, rows: Array, left: Array, columns: Array, look: Look) -> Array:
    """Cover a rectangle of each image with the image's mean color; what lies beyond the edges is left out.

    The papers cover with the mean of the data set, so that the mean of a batch stays what it is: black would shift the
    statistics that normalization learns. An image's own mean does the same, however the images are normalized later.
    """
    count, height, width, channels = images.shape
    # over the rows first: a tenth of the time of a mean over both axes, whose runs are as short as a pixel
    total = images.reshape(count, height, -1).sum(1, dtype=np.float32).reshape(count, width, channels).sum(1)
    colors = look.as_images(total / (height * width), images)
    ends = zip(
        np.maximum(top, 0).tolist(), (top + rows).tolist(), np.maximum(left, 0).tolist(), (left + columns).tolist(),
        strict=True,
    )  # fmt: skip
    for image, color, (first, last, start, stop) in zip(images, colors, ends, strict=True):
        image[first : max(last, 0), start : max(stop, 0)] = color
    return images


SIMPLE: dict[str, Callable[[Array, float, np.random.Generator, Look], Array]] = {
    "shift": shift,
    "crop": shift,  # they differ in their defaults, and can be combined
    "flip": flip,
    "brightness": brightness,
    "contrast": contrast,
    "cutout": cutout,
    "erase": erase,
}
"""The steps by their names; each takes images, its number, the generator of the batch and the look of the images."""
