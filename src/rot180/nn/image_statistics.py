"""A few statistics of the training images, by which images unlike them can be recognized."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rot180.errors import ArgumentError
from rot180.ops.types import Array

MOST_IMAGES, MOST_DECODED, MOST_VALUES = 1024, 128, 2**24
"""The number of images examined, evenly spread; fewer if each has to be decoded, or if they are large."""

RARE = 0.001
"""The fraction of training images that may be outside a range on either side, as outliers among them are."""

NEARER = 0.25
"""By how much, as a fraction of white, the negative must fit better than the image to be taken as intended."""

TIMES_AS_LARGE = 8
"""The factor by which an image must be larger or smaller to count as unlike."""

COLORFUL, COLORLESS = 0.1, 0.01
"""Mean differences between the channels, as fractions of white."""


class StoredImages(NamedTuple):
    """The image files before they were resized to one size: their sides in pixels, and whether all were gray."""

    shortest: int
    longest: int
    are_gray: bool


@dataclass(frozen=True)
class ImageStatistics:
    """Statistics of training images.

    Parameters
    ----------
    background : (float, float)
        Range of the mean brightness at the border, from black 0 to white 1.
    color : (float, float) or None
        Range of the mean difference between the largest and the smallest channel; None if unknown.
    sides : (int, int)
        The shortest and the longest side of the stored images, in pixels.

    Examples
    --------
    >>> white_on_black = np.zeros((50, 8, 8, 1), np.uint8)
    >>> white_on_black[:, 2:6, 3:5] = 255
    >>> known = ImageStatistics.of(white_on_black, (0, 255))
    >>> known.unlike(white_on_black, (0, 255)), len(known.unlike(255 - white_on_black, (0, 255)))
    ((), 1)
    """

    background: tuple[float, float]
    color: tuple[float, float] | None
    sides: tuple[int, int]

    @classmethod
    def of(
        cls,
        images: Any,
        limits: tuple[float, float],
        stored: StoredImages | None = None,
    ) -> ImageStatistics | None:
        """Return the statistics of training images; None if they are not images (N, H, W, C) or (N, H, W).

        Parameters
        ----------
        images : (N, H, W, C) or (N, H, W), or anything that is indexed like them
        limits : (float, float)
            Black and white.
        stored : StoredImages, optional
            Facts about the files that they come from.
        """
        if len(images.shape) < 3 or not len(images):
            return None
        some = _some(images, limits)
        background, color = _background(some), _color(some)
        return cls(
            _range(background),
            None if some.shape[3] != 3 and stored is not None and not stored.are_gray else _range(color),
            (min(some.shape[1:3]), max(some.shape[1:3])) if stored is None else (stored.shortest, stored.longest),
        )

    def unlike(
        self,
        images: Any,
        limits: tuple[float, float],
        *,
        size: tuple[int, int] | None = None,
        color: float | None = None,
    ) -> tuple[str, ...]:
        """Return the ways in which most of the given images are unlike the training images, one line each.

        Parameters
        ----------
        images : (N, H, W, C) or (N, H, W)
        limits : (float, float)
            Black and white in these images.
        size : (int, int), optional
            Height and width of the file that a single image comes from; without it, sizes are not compared.
        color : float, optional
            Its mean difference between channels, if the images have lost theirs.
        """
        if len(images.shape) < 3 or not len(images):
            return ()
        some = _some(images, limits)
        found = []
        background, (low, high) = _background(some), self.background
        misfit = np.maximum(background - high, low - background)
        negatives_misfit = np.maximum(1 - background - high, low - (1 - background))
        if np.mean((misfit > 0) & (misfit > np.maximum(negatives_misfit, 0) + NEARER)) > 0.5:
            lighter = np.median(background) > high
            found.append(
                "the background is light, while that of the training images is dark: a negative; invert it"
                if lighter
                else "the background is dark, while that of the training images is light: a negative; invert it"
            )
        if size is not None:
            height, width = size
            shortest, longest = self.sides
            if min(size) > TIMES_AS_LARGE * longest:
                found.append(
                    f"{height}x{width}, while no training image has more than {longest} pixels per side: details may "
                    "vanish when it is reduced; crop it first"
                )
            elif max(size) * TIMES_AS_LARGE < shortest:
                found.append(f"{height}x{width}, while every training image has at least {shortest} pixels per side")
        if self.color is not None and (color is not None or some.shape[3] == 3):
            colors = np.array([color]) if color is not None else _color(some)
            if self.color[1] < COLORLESS and np.median(colors) > COLORFUL:
                found.append("in color, while the training images are gray")
            elif self.color[0] > COLORLESS and np.median(colors) < COLORLESS / 4:
                found.append("gray, while the training images are in color")
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Return the statistics in a form that JSON can hold."""
        color = None if self.color is None else list(self.color)
        return {"background": list(self.background), "color": color, "sides": list(self.sides)}

    @classmethod
    def from_dict(cls, values: Any) -> ImageStatistics:
        """Read what `to_dict` returned; raise ArgumentError for anything else.

        >>> ImageStatistics.from_dict({"background": [0, 0.5], "color": None, "sides": [8, 8]}).sides
        (8, 8)
        """
        given = values if isinstance(values, Mapping) and values.keys() == {"background", "color", "sides"} else {}
        background, color, sides = (_pair(given.get(name)) for name in ("background", "color", "sides"))
        if background is None or sides is None or (color is None and given.get("color") is not None):
            raise ArgumentError(
                f"the statistics of training images must be pairs background, color, sides; got {str(values)[:80]}"
            )
        return cls(background, color, (int(sides[0]), int(sides[1])))


def colorfulness(images: Array) -> float:
    """Return the mean difference between the largest and the smallest channel of uint8 images, as a share of 255."""
    return float(_color(images.astype(np.float32) / np.float32(255)).mean())


def _some(images: Any, limits: tuple[float, float]) -> Array:
    """Return some of the images, evenly spread, as floats from black 0 to white 1."""
    most = MOST_IMAGES if isinstance(images, np.ndarray) else MOST_DECODED
    most = max(1, min(most, MOST_VALUES // math.prod(images.shape[1:])))
    chosen = np.linspace(0, len(images) - 1, min(most, len(images))).astype(int)
    some = np.asarray(images[chosen], np.float32)
    some = some[..., np.newaxis] if some.ndim == 3 else some
    black, white = limits
    scaled: Array = (some - np.float32(black)) / np.float32(white - black or 1)
    return scaled


def _background(some: Array) -> Array:
    """Return the mean brightness at the border of each image, one pixel in 16 wide."""
    height, width = some.shape[1:3]
    frame = np.ones((height, width), bool)
    wide = max(1, min(height, width) // 16)
    frame[wide:-wide, wide:-wide] = False
    mean: Array = some[:, frame].mean(axis=(1, 2))
    return mean


def _color(some: Array) -> Array:
    color: Array = (some.max(axis=3) - some.min(axis=3)).mean(axis=(1, 2))
    return color


def _range(values: Array) -> tuple[float, float]:
    low, high = np.quantile(values, (RARE, 1 - RARE))
    return round(float(low), 4), round(float(high), 4)


def _pair(values: Any) -> tuple[float, float] | None:
    """Return two numbers in order, or None."""
    if not isinstance(values, (list, tuple)) or len(values) != 2:
        return None
    if not all(isinstance(value, (int, float)) and math.isfinite(value) for value in values) or values[0] > values[1]:
        return None
    return float(values[0]), float(values[1])
