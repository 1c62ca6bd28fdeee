"""RandAugment and TrivialAugment: operations drawn at random from one list.

The strengths are those of torchvision; shears and rotations are about the center. The geometric operations of an image
become one transformation, which is applied first; the others follow in the order in which they were drawn.

References
----------
Cubuk, Zoph, Shlens and Le (2020), RandAugment: Practical automated data augmentation with a reduced search space,
arXiv:1909.13719. Müller and Hutter (2021), TrivialAugment: Tuning-free yet state-of-the-art data augmentation,
arXiv:2103.10158.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rot180.data.augment.look import Look
from rot180.data.augment.pixel_operations import PIXEL_OPERATIONS, in_levels
from rot180.data.augment.warp import matrix, then, turned
from rot180.ops.types import Array

STRONGEST = 30
"""The magnitude at which an operation has its full strength."""


class Strength(NamedTuple):
    """The strength of an operation at magnitude 0 and at its full magnitude, and whether its sign is random."""

    weakest: float
    strongest: float
    is_signed: bool = False


def strengths(height: int, width: int, *, is_trivial: bool = False) -> dict[str, Strength]:
    """Return the list of operations, each with its range for images of this size.

    Shears are tangents, translations pixels, rotations degrees; brightness, color, contrast and sharpness are added to
    a factor of 1; posterizing has the number of bits kept, solarizing the level from which pixels are inverted.
    """
    shear, turn, factor, bits = (0.99, 135, 0.99, 2) if is_trivial else (0.3, 30, 0.9, 4)
    # RandAugment's translations were chosen for images of 331 pixels.
    down, right = (32, 32) if is_trivial else (150 / 331 * height, 150 / 331 * width)
    return {
        "identity": Strength(0, 0),
        "shear_x": Strength(0, shear, True),
        "shear_y": Strength(0, shear, True),
        "translate_x": Strength(0, right, True),
        "translate_y": Strength(0, down, True),
        "rotate": Strength(0, turn, True),
        "brightness": Strength(0, factor, True),
        "color": Strength(0, factor, True),
        "contrast": Strength(0, factor, True),
        "sharpness": Strength(0, factor, True),
        "posterize": Strength(8, bits),
        "solarize": Strength(255, 0),
        "autocontrast": Strength(0, 0),
        "equalize": Strength(0, 0),
    }


_GEOMETRIC: dict[str, Callable[[Array], Array]] = {
    "shear_x": lambda tangent: matrix(c=tangent),
    "shear_y": lambda tangent: matrix(b=tangent),
    "translate_x": lambda pixels: matrix(shift=(0, pixels)),
    "translate_y": lambda pixels: matrix(shift=(pixels, 0)),
    "rotate": lambda degrees: turned(np.radians(degrees), np.ones(len(degrees))),
}


class Drawn:
    """The operations drawn for a batch, and their strengths.

    Parameters
    ----------
    generator : numpy.random.Generator
    shape : (N, H, W, C)
        Of the images.
    count : int
        Operations for each image.
    magnitude : float or None
        From 0 to 30; None draws it for each image (TrivialAugment).

    Examples
    --------
    >>> images = np.full((2, 32, 32, 3), 100, np.uint8)
    >>> drawn = Drawn(np.random.default_rng(0), images.shape, 2, 9)
    >>> drawn.transformations().shape, drawn.alter(images, Look(0, 255, "black")).shape
    ((2, 2, 3), (2, 32, 32, 3))
    """

    def __init__(
        self, generator: np.random.Generator, shape: tuple[int, ...], count: int = 1, magnitude: float | None = None
    ) -> None:
        images, height, width, _ = shape
        table = strengths(height, width, is_trivial=magnitude is None)
        self._list = tuple(table)
        self._chosen = generator.integers(len(table), size=(images, count))
        signs = generator.choice((-1.0, 1.0), (images, count))
        share = (
            generator.integers(STRONGEST + 1, size=(images, count)) if magnitude is None else np.float64(magnitude)
        ) / STRONGEST
        weakest, strongest, is_signed = np.array(list(table.values())).T[:, self._chosen]
        self._strength = (weakest + (strongest - weakest) * share) * np.where(is_signed, signs, 1)

    def transformations(self) -> Array:
        """Return the transformation of each image, (N, 2, 3) (`rot180.data.augment.warp`)."""
        found = np.repeat(matrix(), len(self._chosen), axis=0)
        for chosen, strength in zip(self._chosen.T, self._strength.T, strict=True):
            for name, transformation in _GEOMETRIC.items():
                images = np.flatnonzero(chosen == self._list.index(name))
                if len(images):
                    found[images] = then(found[images], transformation(strength[images]))
        return found

    def alter(self, images: Array, look: Look) -> Array:
        """Apply the operations that change pixels where they are; the images are overwritten."""
        for chosen, strength in zip(self._chosen.T, self._strength.T, strict=True):
            for name, operation in PIXEL_OPERATIONS.items():
                which = np.flatnonzero(chosen == self._list.index(name))
                if len(which):
                    images[which] = in_levels(operation, images[which], strength[which], look)
        return images
