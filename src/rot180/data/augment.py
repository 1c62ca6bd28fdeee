"""Augmentation: batches of images altered at random, so that no epoch shows quite the same ones.

Written as a list, `shift:2,flip,rotate:10`; done in the order of `STEPS`, whatever the order in the list. What comes
out depends on the images, the labels and the generator alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rot180.data.warp import elastic_field, grid, sample, turned_and_scaled
from rot180.errors import ArgumentError, did_you_mean
from rot180.ops.types import Array

ELASTIC_SMOOTHNESS = 4.0
"""Deviation of the Gaussian, in pixels: the proportion to 28 pixels that Simard et al. found best."""


PIXELS_AT_ONCE = 16 * 1024
"""Pixels that are warped together: a batch of 64 x 64 is over twice as fast as in one piece."""


class Step(NamedTuple):
    """One kind of alteration: its number's default, the largest that makes sense, what it does."""

    default: float
    largest: float
    description: str


STEPS = {
    "rotate": Step(10, 180, "turn by up to so many degrees"),
    "scale": Step(0.1, 0.9, "enlarge or shrink by up to this share"),
    "elastic": Step(1.0, 20, "bend like handwriting, each pixel by about so many pixels"),
    "shift": Step(2, 1000, "move by up to so many pixels; black moves in"),
    "crop": Step(4, 1000, "mirror so many pixels outwards and cut the size out again at random"),
    "flip": Step(0.5, 1, "mirror left and right with this probability"),
    "brightness": Step(0.2, 1, "add or take away up to this share of white"),
    "contrast": Step(0.2, 0.99, "spread or gather around the image's mean by up to this share"),
    "cutout": Step(8, 1000, "blacken a square of so many pixels"),
    "mixup": Step(0.2, 10, "mix pairs of images and of their labels, shares drawn from Beta(a, a)"),
}
"""In the order in which they are done."""


@dataclass(frozen=True)
class Augmentation:
    """What is done to each batch: the steps with their numbers.

    Examples
    --------
    >>> augment = parse_augmentation("flip,shift:1")
    >>> str(augment)
    'shift:1,flip:0.5'
    >>> images, labels = np.full((2, 4, 4, 1), 255, np.uint8), np.array([0, 1])
    >>> altered, same = augment(images, labels, np.random.default_rng(0), classes=2)
    >>> altered.shape, altered.dtype, same.tolist()
    ((2, 4, 4, 1), dtype('uint8'), [0, 1])
    """

    steps: tuple[tuple[str, float], ...]

    def __call__(
        self, images: Array, labels: Array, generator: np.random.Generator, classes: int
    ) -> tuple[Array, Array]:
        """Return altered images, and their labels.

        Parameters
        ----------
        images : (N, H, W, C) uint8, uint16 or floats in 0 to 1
            Not changed.
        labels : (N,) integers
        generator : numpy.random.Generator
            Of this batch alone; the same state gives the same images.
        classes : int

        Returns
        -------
        images : (N, H, W, C)
            In the same type.
        labels : (N,) integers, or with mixup (N, classes) float32
            Probabilities.
        """
        steps = dict(self.steps)
        images = _warp(images, steps, generator)
        for name, alter in _SIMPLE.items():
            if name in steps:
                images = alter(images, steps[name], generator)
        if "mixup" in steps:
            return _mixup(images, labels, steps["mixup"], generator, classes)
        return images, labels

    def __str__(self) -> str:
        return ",".join(f"{name}:{value:g}" for name, value in self.steps)


def parse_augmentation(text: str) -> Augmentation:
    """Read a list of steps, each with or without its number.

    Raises
    ------
    ArgumentError
        There is no such step, it is there twice, or its number cannot be used.
    """
    found: dict[str, float] = {}
    for word in text.split(","):
        name, colon, number = word.strip().partition(":")
        if name not in STEPS:
            raise ArgumentError(f"no augmentation is called {name!r}{did_you_mean(name, STEPS)}")
        if name in found:
            raise ArgumentError(f"the augmentation {name} is there twice; give it once")
        try:
            value = float(number) if colon else STEPS[name].default
        except ValueError:
            value = math.nan
        if not 0 < value <= STEPS[name].largest:
            raise ArgumentError(
                f"the augmentation {name} takes a number above 0 and at most {STEPS[name].largest:g} "
                f"({STEPS[name].description}); came {number!r}"
            )
        if name in ("shift", "crop", "cutout") and value != int(value):
            raise ArgumentError(f"the augmentation {name} counts whole pixels; came {number!r}")
        found[name] = value
    return Augmentation(tuple((name, found[name]) for name in STEPS if name in found))


def _warp(images: Array, steps: dict[str, float], generator: np.random.Generator) -> Array:
    """Turn, scale and bend in one pass, so that the images are blurred once only."""
    if not steps.keys() & {"rotate", "scale", "elastic"}:
        return images
    count, height, width, _ = images.shape
    angle = np.radians(generator.uniform(-1, 1, count) * steps.get("rotate", 0.0))
    # As often half as large as twice as large: uniform on the scale of logarithms.
    scale = (1 + steps.get("scale", 0.0)) ** generator.uniform(-1, 1, count)
    middle = grid(height, width)
    warped = np.empty_like(images)
    # Some images at a time: arrays that stay in the cache, and are not fetched from the system anew for each operation.
    at_once = max(1, PIXELS_AT_ONCE // (height * width))
    for start in range(0, count, at_once):
        part = slice(start, min(start + at_once, count))
        places = turned_and_scaled(middle, angle[part], scale[part])
        if "elastic" in steps:
            size = part.stop - part.start
            places += elastic_field(size, height, width, steps["elastic"], ELASTIC_SMOOTHNESS, generator)
        warped[part] = _as(sample(images[part], places), images)
    return warped


def _shift(images: Array, pixels: float, generator: np.random.Generator) -> Array:
    return _cut_out_of(_framed(images, int(pixels), "constant"), images.shape, generator)


def _crop(images: Array, pixels: float, generator: np.random.Generator) -> Array:
    return _cut_out_of(_framed(images, int(pixels), "symmetric"), images.shape, generator)


def _framed(images: Array, pixels: int, mode: str) -> Array:
    return np.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)), mode)  # type: ignore[call-overload,no-any-return]


def _cut_out_of(framed: Array, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Return of each image a part of this size, at a place of its own."""
    count, height, width, _ = shape
    top = generator.integers(framed.shape[1] - height + 1, size=count)
    left = generator.integers(framed.shape[2] - width + 1, size=count)
    parts = np.lib.stride_tricks.sliding_window_view(framed, (height, width), (1, 2))  # (N, tops, lefts, C, H, W)
    return np.ascontiguousarray(parts[np.arange(count), top, left].transpose(0, 2, 3, 1))


def _flip(images: Array, probability: float, generator: np.random.Generator) -> Array:
    is_flipped = generator.random(len(images)) < probability
    flipped = images.copy()
    flipped[is_flipped] = images[is_flipped, :, ::-1]
    return flipped


def _brightness(images: Array, share: float, generator: np.random.Generator) -> Array:
    change = generator.uniform(-share, share, (len(images), 1, 1, 1)).astype(np.float32) * _white(images)
    return _as(images + change, images)


def _contrast(images: Array, share: float, generator: np.random.Generator) -> Array:
    factor = generator.uniform(1 - share, 1 + share, (len(images), 1, 1, 1)).astype(np.float32)
    mean = images.mean((1, 2, 3), dtype=np.float32, keepdims=True)
    return _as(mean + (images - mean) * factor, images)


def _cutout(images: Array, pixels: float, generator: np.random.Generator) -> Array:
    count, height, width, _ = images.shape
    masks = []
    for size in (height, width):
        # The middle is anywhere in the image, so that edges are covered as often as the rest.
        start = generator.integers(size, size=(count, 1)) - int(pixels) // 2
        steps = np.arange(size)
        masks.append((steps >= start) & (steps < start + int(pixels)))
    covered = masks[0][:, :, np.newaxis] & masks[1][:, np.newaxis, :]
    cut = images.copy()
    cut[covered] = 0
    return cut


def _mixup(
    images: Array, labels: Array, alpha: float, generator: np.random.Generator, classes: int
) -> tuple[Array, Array]:
    """Mix each image with another of the batch.

    References
    ----------
    Zhang, Cisse, Dauphin and Lopez-Paz (2018), mixup: Beyond empirical risk minimization, arXiv:1710.09412.
    """
    share = generator.beta(alpha, alpha, len(images)).astype(np.float32)
    other = generator.permutation(len(images))
    weight = share[:, np.newaxis, np.newaxis, np.newaxis]
    mixed = _as(images * weight + images[other] * (1 - weight), images)
    probabilities = np.zeros((len(images), classes), np.float32)
    rows = np.arange(len(images))
    probabilities[rows, labels] = share
    probabilities[rows, labels[other]] += 1 - share
    return mixed, probabilities


def _white(images: Array) -> np.float32:
    return np.float32(1 if images.dtype.kind == "f" else np.iinfo(images.dtype).max)


def _as(values: Array, images: Array) -> Array:
    """Return values as the images' type, black to white."""
    values = np.clip(values, 0, _white(images))
    return (values if images.dtype.kind == "f" else np.rint(values)).astype(images.dtype)


_SIMPLE: dict[str, Callable[[Array, float, np.random.Generator], Array]] = {
    "shift": _shift,
    "crop": _crop,
    "flip": _flip,
    "brightness": _brightness,
    "contrast": _contrast,
    "cutout": _cutout,
}
