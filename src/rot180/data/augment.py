"""Data augmentation: random changes to each batch of images, so that no two epochs see exactly the same images.

It is written as a list, `shift:2,flip,rotate:10`; the steps are applied in the order of `STEPS`, whatever their order
in the list. The result depends only on the images, their range, the labels and the generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rot180.data.warp import elastic_field, grid, sample, turned_and_scaled
from rot180.errors import ArgumentError, did_you_mean
from rot180.nn.pixel_range import PixelRange
from rot180.ops.types import Array

ELASTIC_SMOOTHNESS = 4.0
"""Standard deviation of the Gaussian in pixels; Simard et al. found this best for images of 28 pixels."""


PIXELS_AT_ONCE = 16 * 1024
"""Pixels that are warped at a time: this is more than twice as fast as a whole batch of 64 x 64 at once."""


class Step(NamedTuple):
    """An augmentation step: the default and the largest sensible value of its number, and a description."""

    default: float
    largest: float
    description: str


STEPS = {
    "rotate": Step(10, 180, "rotate by up to this many degrees"),
    "scale": Step(0.1, 0.9, "enlarge or shrink by up to this fraction"),
    "elastic": Step(1.0, 20, "distort like handwriting, displacing each pixel by about this many pixels"),
    "shift": Step(2, 1000, "shift by up to this many pixels"),
    "crop": Step(4, 1000, "pad with this many pixels and crop to the original size at random"),
    "flip": Step(0.5, 1, "flip left to right with this probability"),
    "brightness": Step(0.2, 1, "brighten or darken by up to this fraction of white"),
    "contrast": Step(0.2, 0.99, "scale deviations from the image's mean by up to this fraction"),
    "cutout": Step(8, 1000, "blacken a square with this many pixels a side"),
    "mixup": Step(0.2, 10, "mix pairs of images and their labels in proportions drawn from Beta(a, a)"),
}
"""All steps, in the order in which they are applied."""

BORDERS = ("black", "reflect")
"""What fills the area that rotating, scaling, distorting or shifting exposes: black, or a reflection of the image."""

WITH_BORDER = ("rotate", "scale", "elastic", "shift", "crop")
"""Steps that expose such an area."""

Limits = tuple[float, float]
"""Black and white, in the units of the images."""


@dataclass(frozen=True)
class Augmentation:
    """The augmentation of each batch: its steps with their numbers, and how the border is filled.

    Examples
    --------
    >>> augment = parse_augmentation("flip,shift:1,border:reflect")
    >>> str(augment)
    'shift:1,flip:0.5,border:reflect'
    >>> images, labels = np.full((2, 4, 4, 1), 255, np.uint8), np.array([0, 1])
    >>> altered, same = augment(images, labels, np.random.default_rng(0), classes=2)
    >>> altered.shape, altered.dtype, same.tolist()
    ((2, 4, 4, 1), dtype('uint8'), [0, 1])
    """

    steps: tuple[tuple[str, float], ...]
    border: str = "black"

    def __call__(
        self,
        images: Array,
        labels: Array,
        generator: np.random.Generator,
        classes: int,
        limits: Limits | None = None,
    ) -> tuple[Array, Array]:
        """Return augmented images and their labels.

        Parameters
        ----------
        images : (N, H, W, C) uint8, uint16 or floats
            Not changed.
        labels : (N,) integers
        generator : numpy.random.Generator
            A generator for this batch only; the same state gives the same images.
        classes : int
        limits : (float, float), optional
            Black and white, to which pixels are clipped; by default the range of the dtype, for floats the range
            inferred from the batch (`rot180.nn.pixel_range`).

        Returns
        -------
        images : (N, H, W, C)
            Of the same dtype.
        labels : (N,) integers, or with mixup (N, classes) float32
            Probabilities.
        """
        steps = dict(self.steps)
        look = _Look(*(_limits_of(images) if limits is None else limits), self.border)
        images = _warp(images, steps, generator, look)
        for name, alter in _SIMPLE.items():
            if name in steps:
                images = alter(images, steps[name], generator, look)
        if "mixup" in steps:
            return _mixup(images, labels, steps["mixup"], generator, look, classes)
        return images, labels

    def __str__(self) -> str:
        words = [f"{name}:{value:g}" for name, value in self.steps]
        return ",".join(words if self.border == "black" else [*words, f"border:{self.border}"])


class _Look(NamedTuple):
    """What the steps need to know about the images besides their pixels."""

    black: float
    white: float
    border: str

    def framed(self, images: Array, pixels: int) -> Array:
        """Return the images padded with this many pixels on each side."""
        around = ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0))
        if self.border == "reflect":
            return np.pad(images, around, "symmetric")
        return np.pad(images, around, constant_values=images.dtype.type(self.black))

    def as_images(self, values: Array, images: Array) -> Array:
        """Return values clipped to the range from black to white, in the images' dtype."""
        values = np.clip(values, self.black, self.white)
        return (values if images.dtype.kind == "f" else np.rint(values)).astype(images.dtype)


def _limits_of(images: Array) -> Limits:
    if images.dtype.kind != "f":
        return 0.0, float(np.iinfo(images.dtype).max)
    return PixelRange.of(images).limits


def parse_augmentation(text: str) -> Augmentation:
    """Parse a list of steps, each with or without its number.

    Raises
    ------
    ArgumentError
        A step is unknown or given twice, or its number is invalid.
    """
    found: dict[str, float] = {}
    border = None
    for word in text.split(","):
        name, colon, number = word.strip().partition(":")
        if name not in (*STEPS, "border"):
            raise ArgumentError(f"no augmentation is called {name!r}{did_you_mean(name, (*STEPS, 'border'))}")
        if name in found or (name == "border" and border is not None):
            raise ArgumentError(f"the augmentation {name} is given twice; give it once")
        if name == "border":
            border = number
            if border not in BORDERS:
                raise ArgumentError(f"the border is black or reflect, as in border:reflect; got {word.strip()!r}")
            continue
        try:
            value = float(number) if colon else STEPS[name].default
        except ValueError:
            value = math.nan
        if not 0 < value <= STEPS[name].largest:
            raise ArgumentError(
                f"the augmentation {name} takes a number above 0 and at most {STEPS[name].largest:g} "
                f"({STEPS[name].description}); got {number!r}"
            )
        if name in ("shift", "crop", "cutout") and value != int(value):
            raise ArgumentError(f"the augmentation {name} takes a whole number of pixels; got {number!r}")
        found[name] = value
    if border is not None and not found.keys() & WITH_BORDER:
        raise ArgumentError(f"border has an effect only with {', '.join(WITH_BORDER)}; add one of these")
    return Augmentation(tuple((name, found[name]) for name in STEPS if name in found), border or "black")


def _warp(images: Array, steps: dict[str, float], generator: np.random.Generator, look: _Look) -> Array:
    """Rotate, scale and distort in one resampling, so that the images are blurred only once."""
    if not steps.keys() & {"rotate", "scale", "elastic"}:
        return images
    count, height, width, _ = images.shape
    angle = np.radians(generator.uniform(-1, 1, count) * steps.get("rotate", 0.0))
    # Uniform on a logarithmic scale: half the size is as likely as twice the size.
    scale = (1 + steps.get("scale", 0.0)) ** generator.uniform(-1, 1, count)
    middle = grid(height, width)
    warped = np.empty_like(images)
    # Some images at a time, so that arrays stay in the cache and memory is not requested anew for each operation.
    at_once = max(1, PIXELS_AT_ONCE // (height * width))
    for start in range(0, count, at_once):
        part = slice(start, min(start + at_once, count))
        places = turned_and_scaled(middle, angle[part], scale[part])
        if "elastic" in steps:
            size = part.stop - part.start
            places += elastic_field(size, height, width, steps["elastic"], ELASTIC_SMOOTHNESS, generator)
        outside = None if look.border == "reflect" else look.black
        warped[part] = look.as_images(sample(images[part], places, outside), images)
    return warped


def _shift(images: Array, pixels: float, generator: np.random.Generator, look: _Look) -> Array:
    return _cut_out_of(look.framed(images, int(pixels)), images.shape, generator)


def _cut_out_of(framed: Array, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Return a crop of this size from each image, each at its own random position."""
    count, height, width, _ = shape
    top = generator.integers(framed.shape[1] - height + 1, size=count)
    left = generator.integers(framed.shape[2] - width + 1, size=count)
    parts = np.lib.stride_tricks.sliding_window_view(framed, (height, width), (1, 2))  # (N, tops, lefts, C, H, W)
    return np.ascontiguousarray(parts[np.arange(count), top, left].transpose(0, 2, 3, 1))


def _flip(images: Array, probability: float, generator: np.random.Generator, look: _Look) -> Array:
    is_flipped = generator.random(len(images)) < probability
    flipped = images.copy()
    flipped[is_flipped] = images[is_flipped, :, ::-1]
    return flipped


def _brightness(images: Array, share: float, generator: np.random.Generator, look: _Look) -> Array:
    whole = np.float32(look.white - look.black)
    change = generator.uniform(-share, share, (len(images), 1, 1, 1)).astype(np.float32) * whole
    return look.as_images(images + change, images)


def _contrast(images: Array, share: float, generator: np.random.Generator, look: _Look) -> Array:
    factor = generator.uniform(1 - share, 1 + share, (len(images), 1, 1, 1)).astype(np.float32)
    mean = images.mean((1, 2, 3), dtype=np.float32, keepdims=True)
    return look.as_images(mean + (images - mean) * factor, images)


def _cutout(images: Array, pixels: float, generator: np.random.Generator, look: _Look) -> Array:
    count, height, width, _ = images.shape
    masks = []
    for size in (height, width):
        # The center is anywhere in the image, so that edges are covered as often as the rest.
        start = generator.integers(size, size=(count, 1)) - int(pixels) // 2
        steps = np.arange(size)
        masks.append((steps >= start) & (steps < start + int(pixels)))
    covered = masks[0][:, :, np.newaxis] & masks[1][:, np.newaxis, :]
    cut = images.copy()
    cut[covered] = look.black
    return cut


def _mixup(
    images: Array, labels: Array, alpha: float, generator: np.random.Generator, look: _Look, classes: int
) -> tuple[Array, Array]:
    """Mix each image with another one of the batch.

    References
    ----------
    Zhang, Cisse, Dauphin and Lopez-Paz (2018), mixup: Beyond empirical risk minimization, arXiv:1710.09412.
    """
    share = generator.beta(alpha, alpha, len(images)).astype(np.float32)
    other = generator.permutation(len(images))
    weight = share[:, np.newaxis, np.newaxis, np.newaxis]
    mixed = look.as_images(images * weight + images[other] * (1 - weight), images)
    probabilities = np.zeros((len(images), classes), np.float32)
    rows = np.arange(len(images))
    probabilities[rows, labels] = share
    probabilities[rows, labels[other]] += 1 - share
    return mixed, probabilities


_SIMPLE: dict[str, Callable[[Array, float, np.random.Generator, _Look], Array]] = {
    "shift": _shift,
    "crop": _shift,  # they differ in their defaults, and can be combined
    "flip": _flip,
    "brightness": _brightness,
    "contrast": _contrast,
    "cutout": _cutout,
}
