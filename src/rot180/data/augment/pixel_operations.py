"""Operations of RandAugment that change pixels where they are, for a batch of images with 256 levels each.

Each takes images (N, H, W, C) uint8 and a number for each image (N,), and does to the bit what Pillow's `ImageEnhance`
and `ImageOps` do. Images of other types or ranges are converted to 256 levels first, and back.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rot180.data.augment.look import Look
from rot180.ops.types import Array

Operation = Callable[[Array, Array], Array]


def in_levels(operation: Operation, images: Array, strength: Array, look: Look) -> Array:
    """Apply an operation to images with any black and white."""
    if images.dtype == np.uint8 and (look.black, look.white) == (0, 255):
        return operation(images, strength)
    step = (look.white - look.black) / 255
    levels = np.rint((images - look.black) / step).clip(0, 255).astype(np.uint8)
    return look.as_images(look.black + operation(levels, strength) * step, images)


def brightness(images: Array, change: Array) -> Array:
    """Multiply pixels by 1 + change."""
    return _blended(np.float32(0), images, change)


def contrast(images: Array, change: Array) -> Array:
    """Multiply the deviations from the mean of the gray image by 1 + change."""
    mean = np.floor(_gray(images).mean((1, 2), keepdims=True, dtype=np.float64) + 0.5)
    return _blended(mean[..., np.newaxis].astype(np.float32), images, change)


def color(images: Array, change: Array) -> Array:
    """Multiply the deviations from the gray image by 1 + change; gray images stay as they are."""
    if images.shape[3] != 3:
        return images
    return _blended(_gray(images)[..., np.newaxis].astype(np.float32), images, change)


def sharpness(images: Array, change: Array) -> Array:
    """Multiply the deviations from the smoothed image by 1 + change; the outermost pixels stay as they are."""
    if min(images.shape[1:3]) < 3:
        return images
    wide = images.astype(np.int32)
    across = wide[:, :, :-2] + wide[:, :, 1:-1] + wide[:, :, 2:]
    # The center counts five times: 13 times the smoothed pixel.
    total = across[:, :-2] + across[:, 1:-1] + across[:, 2:] + 4 * wide[:, 1:-1, 1:-1]
    sharp = images.copy()
    sharp[:, 1:-1, 1:-1] = _blended(((2 * total + 13) // 26).astype(np.float32), images[:, 1:-1, 1:-1], change)
    return sharp


def posterize(images: Array, bits: Array) -> Array:
    """Keep this many of the upper bits."""
    return images & (0xFF << (8 - np.rint(bits).astype(int))).astype(np.uint8)[:, np.newaxis, np.newaxis, np.newaxis]


def solarize(images: Array, threshold: Array) -> Array:
    """Invert pixels from this level on."""
    is_bright = images >= threshold[:, np.newaxis, np.newaxis, np.newaxis]
    return np.where(is_bright, 255 - images, images)


def autocontrast(images: Array, _: Array) -> Array:
    """Stretch each channel from its darkest and brightest pixel to black and white; constant ones stay as they are."""
    low, high = images.min((1, 2)).astype(np.float64), images.max((1, 2)).astype(np.float64)
    scale = 255 / np.maximum(high - low, 1)
    level = np.arange(256.0)
    table = (level * scale[..., np.newaxis] + (-low * scale)[..., np.newaxis]).clip(0, 255).astype(np.uint8)
    table[high == low] = level
    return _looked_up(table, images)


def equalize(images: Array, _: Array) -> Array:
    """Make all levels of a channel about equally frequent."""
    count, _, _, channels = images.shape
    place = _places(images)
    histogram = np.bincount(place.ravel(), minlength=count * channels * 256).reshape(count, channels, 256)
    brightest = 255 - (histogram[..., ::-1] > 0).argmax(axis=2)
    of_brightest = np.take_along_axis(histogram, brightest[..., np.newaxis], 2)
    step = (histogram.sum(axis=2, keepdims=True) - of_brightest) // 255
    below = histogram.cumsum(axis=2) - histogram
    table = ((step // 2 + below) // np.maximum(step, 1)).clip(0, 255).astype(np.uint8)
    table[step[..., 0] == 0] = np.arange(256)
    equalized: Array = table.ravel()[place]
    return equalized


PIXEL_OPERATIONS: dict[str, Operation] = {
    "brightness": brightness,
    "color": color,
    "contrast": contrast,
    "sharpness": sharpness,
    "posterize": posterize,
    "solarize": solarize,
    "autocontrast": autocontrast,
    "equalize": equalize,
}
"""The operations by their names in RandAugment's list."""


def _blended(reference: Array | np.float32, images: Array, change: Array) -> Array:
    """Return reference + (1 + change) * (images - reference), clipped to 0 ... 255 and rounded down."""
    factor = (1 + change).astype(np.float32)[:, np.newaxis, np.newaxis, np.newaxis]
    values = images - reference
    values *= factor
    values += reference
    blended: Array = np.clip(values, 0, 255, out=values).astype(np.uint8)
    return blended


def _gray(images: Array) -> Array:
    """Return gray images (N, H, W) by the weights of ITU-R BT.601, as in Pillow; of others the first channel."""
    if images.shape[3] != 3:
        return images[..., 0]
    red, green, blue = (images[..., channel].astype(np.uint32) for channel in range(3))
    gray: Array = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
    return gray


def _places(images: Array) -> Array:
    """Return the place of each pixel's level in tables (N, C, 256)."""
    count, _, _, channels = images.shape
    first = np.arange(0, count * channels * 256, 256).reshape(count, 1, 1, channels)
    return first + images


def _looked_up(table: Array, images: Array) -> Array:
    found: Array = table.ravel()[_places(images)]
    return found
