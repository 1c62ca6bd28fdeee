"""The random resized crop: a part of random area and proportions, enlarged to the size of the network's input.

References
----------
Szegedy et al. (2015), Going deeper with convolutions, CVPR. Names, ranges and the fallback are those of torchvision's
`RandomResizedCrop`.
"""

from __future__ import annotations

import math

import numpy as np

from rot180.data.augment.warp import matrix
from rot180.ops.types import Array

TRIES = 10
"""Areas and proportions drawn for each image; the first that fits in the image is used."""

NARROWEST = 3 / 4
"""The smallest ratio of width to height; the largest is its reciprocal."""


class ResizedCrops:
    """A random part for each image of a batch, drawn before the images' sizes are known.

    Parameters
    ----------
    count : int
        Number of images.
    smallest : float
        The smallest share of the area of an image.
    generator : numpy.random.Generator

    Examples
    --------
    >>> crops = ResizedCrops(2, 0.08, np.random.default_rng(0))
    >>> crops.box(0, 30, 40), crops.box(1, 30, 40)           # top, left, height, width
    ((5, 7, 22, 18), (0, 2, 30, 33))
    """

    def __init__(self, count: int, smallest: float, generator: np.random.Generator) -> None:
        self._shares = generator.uniform(smallest, 1, (count, TRIES)).tolist()
        self._ratios = np.exp(generator.uniform(math.log(NARROWEST), -math.log(NARROWEST), (count, TRIES))).tolist()
        self._corners = generator.random((count, 2)).tolist()

    def box(self, image: int, height: int, width: int) -> tuple[int, int, int, int]:
        """Return (top, left, height, width) of the part of one image of this size.

        If no try fits, the part is the largest in the middle whose proportions are allowed.
        """
        for share, ratio in zip(self._shares[image], self._ratios[image], strict=True):
            area = share * height * width
            rows, columns = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
            if 0 < rows <= height and 0 < columns <= width:
                down, right = self._corners[image]
                return int(down * (height - rows + 1)), int(right * (width - columns + 1)), rows, columns
        rows, columns = min(height, round(width / NARROWEST)), min(width, round(height / NARROWEST))
        return (height - rows) // 2, (width - columns) // 2, rows, columns

    def transformations(self, height: int, width: int) -> Array:
        """Return what enlarges the parts of images of this size to the same size (`rot180.data.augment.warp`)."""
        boxes = np.array([self.box(image, height, width) for image in range(len(self._corners))])
        top, left, rows, columns = boxes.T
        middle = (top + (rows - height) / 2, left + (columns - width) / 2)
        return matrix(rows / height, 0, 0, columns / width, shift=middle)
