"""The augmentation of a batch.

The result depends only on the images, their range, the labels and the generator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rot180.data.augment.look import Limits, Look, limits_of
from rot180.data.augment.mixing import cutmix, mixed_labels, mixup
from rot180.data.augment.policies import Drawn
from rot180.data.augment.resized_crop import ResizedCrops
from rot180.data.augment.simple import SIMPLE, mirror
from rot180.data.augment.warp import elastic_field, matrix, then, turned, warp
from rot180.data.lazy import Images, LazyImages
from rot180.ops.types import Array

VALUES_AT_ONCE = 256 * 1024
"""Values of images that all steps are applied to at a time, so that intermediate arrays stay in the cache."""


@dataclass(frozen=True)
class Augmentation:
    """The augmentation of each batch: its steps with their numbers, and how the border is filled.

    Examples
    --------
    >>> from rot180.data.augment import parse_augmentation
    >>> augment = parse_augmentation("flip,shift:1,border:reflect")
    >>> str(augment)
    'shift:1,flip:0.5,border:reflect'
    >>> images, labels = np.full((2, 4, 4, 1), 255, np.uint8), np.array([0, 1])
    >>> altered, same = augment(images, labels, np.random.default_rng(0), classes=2)
    >>> altered.shape, altered.dtype, same.tolist()
    ((2, 4, 4, 1), dtype('uint8'), [0, 1])
    """

    steps: tuple[tuple[str, tuple[float, ...]], ...]
    border: str = "black"

    @property
    def needs_originals(self) -> bool:
        """Whether it crops images, which are better cropped before they are resized than afterwards."""
        return "resizedcrop" in dict(self.steps)

    @property
    def mixes(self) -> bool:
        """Whether it mixes images and labels: the labels become probabilities."""
        return bool({"mixup", "cutmix"} & dict(self.steps).keys())

    def __call__(
        self,
        images: Images,
        labels: Array,
        generator: np.random.Generator,
        classes: int,
        limits: Limits | None = None,
        *,
        chosen: Array | None = None,
        flips: Array | None = None,
    ) -> tuple[Array, Array]:
        """Return augmented images and their labels.

        Parameters
        ----------
        images : (N, H, W, C) uint8, uint16 or floats, or LazyImages
            Not changed. `resizedcrop` crops lazy images before they are resized.
        labels : (N,) integers
        generator : numpy.random.Generator
            A generator for this batch only; the same state gives the same images.
        classes : int
        limits : (float, float), optional
            Black and white, to which pixels are clipped; by default the range of the dtype, for floats the range
            inferred from the batch (`rot180.nn.pixel_range`).
        chosen : (M,) integers, optional
            The numbers of the images to take; by default all.
        flips : (N,) bool, optional
            The images that `altflip` mirrors in this epoch (`rot180.training.streams.epoch_flips`); by default, each
            with a probability of 1/2.

        Returns
        -------
        images : (M, H, W, C)
            Of the same dtype.
        labels : (M,) integers, or with mixup or cutmix (M, classes) float32
            Probabilities.
        """
        chosen = np.arange(len(images)) if chosen is None else chosen
        known = limits or limits_of(images, chosen)
        look = Look(*known, self.border)
        altered = np.empty((len(chosen), *images.shape[1:]), images.dtype)
        at_once = max(1, VALUES_AT_ONCE // max(1, math.prod(images.shape[1:])))
        for start in range(0, len(chosen), at_once):
            part = chosen[start : start + at_once]
            altered[start : start + at_once] = self._altered(images, part, generator, look, flips)
        return self._mixed(altered, labels[chosen], generator, look, classes)

    def _altered(
        self, images: Images, chosen: Array, generator: np.random.Generator, look: Look, flips: Array | None
    ) -> Array:
        """Return some of the images after all steps but mixing."""
        steps = dict(self.steps)
        crops = ResizedCrops(len(chosen), steps["resizedcrop"][0], generator) if "resizedcrop" in steps else None
        if crops is not None and isinstance(images, LazyImages):
            altered, crops = images.parts(chosen, crops.box), None
        else:
            altered = images[chosen]
        drawn = None
        if "randaugment" in steps:
            count, magnitude = steps["randaugment"]
            drawn = Drawn(generator, altered.shape, int(count), magnitude)
        elif "trivialaugment" in steps:
            drawn = Drawn(generator, altered.shape)
        altered = self._warped(altered, crops, drawn, generator, look)
        for name, numbers in self.steps:
            if name in SIMPLE:
                altered = SIMPLE[name](altered, numbers[0], generator, look)
            elif name == "altflip":
                altered = mirror(altered, generator.random(len(altered)) < 0.5 if flips is None else flips[chosen])
            elif drawn is not None and name in ("randaugment", "trivialaugment"):
                altered = drawn.alter(altered, look)
        return altered

    def _warped(
        self,
        images: Array,
        crops: ResizedCrops | None,
        drawn: Drawn | None,
        generator: np.random.Generator,
        look: Look,
    ) -> Array:
        """Crop, rotate, scale, shear and distort in one resampling; images that stay as they are are left out."""
        steps = dict(self.steps)
        count, height, width, _ = images.shape
        transformations = np.repeat(matrix(), count, axis=0)
        if crops is not None:
            transformations = crops.transformations(height, width)
        if "rotate" in steps or "scale" in steps:
            (degrees,), (share,) = steps.get("rotate", (0.0,)), steps.get("scale", (0.0,))
            angle = np.radians(generator.uniform(-1, 1, count) * degrees)
            # Uniform on a logarithmic scale: half the size is as likely as twice the size.
            scale = (1 + share) ** generator.uniform(-1, 1, count)
            transformations = then(transformations, turned(angle, scale))
        if drawn is not None:
            transformations = then(transformations, drawn.transformations())
        if "elastic" in steps:
            displaced = elastic_field(count, height, width, *steps["elastic"], generator=generator)
            return warp(images, transformations, look, displaced, repeats_edge=crops is not None)
        moved = np.flatnonzero((transformations != matrix()).any((1, 2)))
        if len(moved):
            images[moved] = warp(images[moved], transformations[moved], look, repeats_edge=crops is not None)
        return images

    def _mixed(
        self, images: Array, labels: Array, generator: np.random.Generator, look: Look, classes: int
    ) -> tuple[Array, Array]:
        """Mix images and labels by mixup or cutmix; if both are given, one of them is drawn for each batch."""
        mixes = [step for step in self.steps if step[0] in ("mixup", "cutmix")]
        if not mixes:
            return images, labels
        name, (alpha,) = mixes[int(generator.integers(len(mixes)))]
        share = float(generator.beta(alpha, alpha))
        other = generator.permutation(len(images))
        if name == "mixup":
            images = mixup(images, other, share, look)
        else:
            share = cutmix(images, other, share, generator)
        return images, mixed_labels(labels, other, share, classes)

    def __str__(self) -> str:
        words = [":".join((name, *(f"{number:g}" for number in numbers))) for name, numbers in self.steps]
        return ",".join(words if self.border == "black" else [*words, f"border:{self.border}"])
