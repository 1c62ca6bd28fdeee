"""Inputs, and the outputs that a program must give for them.

An input is a small random picture, enlarged by repetition: a program holds the small one, and stays small.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from rot180.errors import PixelWarning
from rot180.interop.standalone.operation import as_map
from rot180.nn.network import Network
from rot180.ops.types import Array
from rot180.training.predict import predict

COUNT, SIDE = 4, 12
"""The number of examples, and the rows and columns of which they are enlarged at most."""

TOLERANCE = 1e-5
"""How far outputs may differ, relative to the largest one if that is above 1."""


class Examples(NamedTuple):
    """Small pictures (COUNT, h, w, C) float32, the type of the images, and the outputs for the enlarged ones."""

    small: Array
    dtype: str
    outputs: Array

    @property
    def tolerance(self) -> float:
        """How far the outputs of a program may differ."""
        return TOLERANCE * max(1.0, float(np.abs(self.outputs).max()))


def examples_of(model: Network) -> Examples:
    """Return examples for a built network, with the outputs of `rot180.predict`."""
    images, small = example_images(model, COUNT, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PixelWarning)  # they are no photographs
        outputs = predict(model, images)
    return Examples(small, images.dtype.name, np.asarray(outputs, np.float32))


def example_images(model: Network, count: int, seed: int) -> tuple[Array, Array]:
    """Return random images for a network, and the small pictures of which they are enlarged, as float32."""
    generator = np.random.default_rng(seed)
    height, width, channels = as_map(model.input_shape)
    if len(model.input_shape) == 1:
        width, channels = channels, 1
    shape = (count, min(height, SIDE), min(width, SIDE), channels)
    pixels = model.preprocessing.pixels
    if pixels is not None and pixels.is_signed:
        small = generator.uniform(pixels.low, max(pixels.high, 0), shape).astype(np.float32)
        dtype: type = np.float32
    else:
        white = 255 if pixels is None or pixels.high == 1 else int(pixels.high)
        small = generator.integers(white + 1, size=shape).astype(np.float32)
        small[:, 0, 0] = white  # so that the range of each image is beyond doubt
        dtype = np.float32 if pixels is not None and pixels.floats else np.uint8 if white <= 255 else np.uint16
        if pixels is not None and pixels.floats and pixels.high == 1:
            small /= 255
    rows, columns = (np.arange(n) * m // n for n, m in zip((height, width), shape[1:3], strict=True))
    images: Array = small[:, rows][:, :, columns].reshape(count, *model.input_shape).astype(dtype)
    return images, small
