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
    >>> crops.boxes(30, 40).tolist()                     # top, left, height, width
    [[5, 7, 22, 18], [0, 2, 30, 33]]
    """

    def __init__(self, count: int, smallest: float, generator: np.random.Generator) -> None:
        self._shares = generator.uniform(smallest, 1, (count, TRIES))
        self._ratios = np.exp(generator.uniform(math.log(NARROWEST), -math.log(NARROWEST), (count, TRIES)))
        self._corners = generator.random((count, 2))

    def boxes(self, height: int, width: int, images: slice = slice(None)) -> Array:
        """Return (top, left, height, width) of the parts, (N, 4), if the images have this size.

        If no try fits, the part is the largest in the middle whose proportions are allowed.
        """
        area = height * width * self._shares[images]
        heights = np.rint(np.sqrt(area / self._ratios[images])).astype(int)
        widths = np.rint(np.sqrt(area * self._ratios[images])).astype(int)
        fits = (0 < heights) & (heights <= height) & (0 < widths) & (widths <= width)
        first = np.arange(len(fits)), fits.argmax(axis=1)
        sizes = np.stack((heights[first], widths[first]), axis=1)
        corners = (self._corners[images] * ((height, width) - sizes + 1)).astype(int)
        whole = (min(height, round(width / NARROWEST)), min(width, round(height / NARROWEST)))
        none = ~fits.any(axis=1)
        sizes[none] = whole
        corners[none] = (height - whole[0]) // 2, (width - whole[1]) // 2
        return np.concatenate((corners, sizes), axis=1)

    def box(self, image: int, height: int, width: int) -> tuple[int, int, int, int]:
        """Return (top, left, height, width) of the part of one image of this size."""
        top, left, rows, columns = self.boxes(height, width, slice(image, image + 1))[0].tolist()
        return top, left, rows, columns

    def transformations(self, height: int, width: int) -> Array:
        """Return what enlarges the parts of images of this size to the same size (`rot180.data.augment.warp`)."""
        top, left, rows, columns = self.boxes(height, width).T
        middle = (top + (rows - height) / 2, left + (columns - width) / 2)
        return matrix(rows / height, 0, 0, columns / width, shift=middle)
