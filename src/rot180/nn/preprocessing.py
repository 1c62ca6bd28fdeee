"""Preprocessing of images before a network sees them; part of the model, and saved with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from rot180.errors import ArgumentError, ShapeError, did_you_mean
from rot180.nn.keywords import answering_class
from rot180.nn.pixel_range import PixelRange, as_pixels, require_finite
from rot180.nn.validation import float_type
from rot180.ops.types import Array

KINDS = ("dataset", "image", "none", "scale")

RESIZES = ("stretch", "crop", "pad")
"""How an image file of other proportions is resized to a network's size."""


class Resizing(NamedTuple):
    """How an image file is resized: a way, the share of the shorter side that a crop keeps, and the filter."""

    way: str = "stretch"
    share: float = 1.0
    filter: str = "bilinear"

    def __str__(self) -> str:
        """Return the text that `read_resizing` reads."""
        share = "" if self.share == 1 else f":{self.share:g}"
        return f"{self.way}{share}{'' if self.filter == 'bilinear' else ':' + self.filter}"


def read_resizing(text: str) -> Resizing:
    """Read a way of resizing: `stretch`, `crop` or `pad`, with `:bicubic` for this filter.

    A crop may keep less than the whole shorter side, such as `crop:0.875`: networks for photographs are often trained
    to see the middle of them.

    Raises
    ------
    ArgumentError
        The text is anything else.

    Examples
    --------
    >>> read_resizing("crop:0.875:bicubic")
    Resizing(way='crop', share=0.875, filter='bicubic')
    """
    match = re.fullmatch(r"(stretch|crop|pad)(?:(?<=crop):(0\.[0-9]{1,6}))?(:bicubic)?", str(text))
    if match is None or (match[2] is not None and float(match[2]) < 0.1):
        raise ArgumentError(f"unknown resize {text!r}{did_you_mean(str(text), RESIZES)}")
    return Resizing(match[1], float(match[2] or 1), "bicubic" if match[3] else "bilinear")


_FIELDS = ("kind", "mean", "std", "resize", "pixels")

_IMAGES_AT_ONCE = 1024


@answering_class
@dataclass(frozen=True)
class Preprocessing:
    """Converts stored images to the input of a network.

    Parameters
    ----------
    kind : str
        - `"scale"`: divided by white, which gives [0, 1]; floats from 0 to 1 are unchanged.
        - `"image"`: scaled, then each image is brought to mean 0 and deviation 1; a constant image becomes zeros.
        - `"dataset"`: scaled, then (x - mean) / std, channel by channel.
        - `"none"`: only converted to floats.
    mean, std : tuple of float
        For `"dataset"`: mean and standard deviation of each channel of the scaled training images.
    resize : str
        How image files were resized to the network's size, so that `predict` does the same: `"stretch"`, `"crop"`
        (the excess on two sides is lost) or `"pad"` (black bars); more in `read_resizing`. Arrays are never resized.
    pixels : PixelRange, optional
        The range of the training images, which defines white; `fit` determines it. None goes by the type: white is the
        largest value of integer types, and 1 for floats.

    Raises
    ------
    ArgumentError
        `kind` or `resize` is unknown; `mean` and `std` are missing, or given for another kind.

    Examples
    --------
    >>> import numpy as np
    >>> Preprocessing("scale")(np.array([[[0, 51], [102, 255]]], np.uint8))[0, :, :, 0].tolist()
    [[0.0, 0.20000000298023224], [0.4000000059604645, 1.0]]
    """

    kind: str = "scale"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    resize: str = "stretch"
    pixels: PixelRange | None = None

    def __post_init__(self) -> None:
        read_resizing(self.resize)
        if self.kind not in KINDS:
            raise ArgumentError(f"unknown preprocessing {self.kind!r}{did_you_mean(str(self.kind), KINDS)}")
        if self.kind != "dataset":
            if self.mean is not None or self.std is not None:
                raise ArgumentError(f"mean and std are only for the preprocessing 'dataset'; it is {self.kind!r}")
            return
        for name in ("mean", "std"):
            object.__setattr__(self, name, _numbers(getattr(self, name), name))
        if len(self.mean or ()) != len(self.std or ()) or min(self.std or (0,)) <= 0:
            raise ArgumentError(
                f"mean and std must have one number per channel, each std above 0; they are {self.mean} and {self.std}"
            )

    @classmethod
    def of_dataset(cls, images: Array) -> Preprocessing:
        """Return the preprocessing "dataset" with the mean and standard deviation of training images.

        Parameters
        ----------
        images : (N, H, W, C) or (N, H, W)
            Stored images; a constant channel gets deviation 1, so that it becomes zeros.
        """
        images = images if hasattr(images, "extremes") else as_pixels(images)
        if len(images.shape) < 2:
            raise ShapeError(f"images must be a batch (N, H, W, C), (N, H, W) or (N, n); they are {images.shape}")
        pixels = PixelRange.of(images)
        scale, white = cls("scale", pixels=pixels), pixels.white
        count, total, square = 0, 0.0, 0.0
        reference: Any = None
        for start in range(0, len(images), _IMAGES_AT_ONCE):
            x = scale(images[start : start + _IMAGES_AT_ONCE], np.float64, white=white)
            x = x.reshape(-1, x.shape[-1])
            if reference is None:
                reference = x[0]
            x = x - reference  # sums of squares around a typical value lose fewer digits; a constant gives exactly 0
            count, total, square = count + len(x), total + x.sum(0), square + (x**2).sum(0)
        if count == 0:
            raise ArgumentError("the preprocessing 'dataset' needs at least one image, but got none")
        mean = np.asarray(total) / count
        deviation = np.sqrt(np.maximum(np.asarray(square) / count - mean**2, 0))
        deviation[deviation == 0] = 1
        return cls("dataset", tuple((reference + mean).tolist()), tuple(deviation.tolist()), pixels=pixels)

    def for_training_on(self, images: Any) -> Preprocessing:
        """Return the preprocessing with the pixel range of these images, or itself if it has one already."""
        return self if self.pixels is not None else replace(self, pixels=PixelRange.of(images))

    def white_of(self, images: Any) -> float:
        """Return the value of white in images: by the range of the training images if known, else by type.

        Raises
        ------
        ArgumentError
            They are certainly in another range than the training images.
        NonFiniteError
            One contains infinity or NaN.
        """
        if self.pixels is not None:
            return self.pixels.white_of(images)
        if images.dtype.kind != "f":
            return float(np.iinfo(images.dtype).max)
        require_finite(images)
        return 1.0

    def limits_of(self, images: Any) -> tuple[float, float]:
        """Return black and white in images; raises the errors of `white_of`."""
        white = self.white_of(images)
        return self.pixels.limits if self.pixels is not None and self.pixels.is_signed else (0.0, white)

    def __call__(self, images: Array, dtype: Any = np.float32, *, white: float | None = None) -> Array:
        """Return the images as floats.

        Parameters
        ----------
        images : (N, H, W, C), (N, H, W) or (N, n)
            A batch of integers from 0 to 65535, booleans or floats; (N, H, W) gets one channel.
        dtype : float32 or float64
            Type of the result.
        white : float, optional
            The result of `white_of` for all images that the batch is part of; determined from the batch by default.

        Returns
        -------
        (N, H, W, C) or (N, n)
            A new array, or the same one if there is nothing to do.

        Raises
        ------
        ShapeError
            The images are not a batch, or do not have the channels that mean and std are for.
        ArgumentError
            The images are not numbers, are certainly in another range than the training images, or dtype is not a float
            type.
        NonFiniteError
            White is not given, and an image contains infinity or NaN.
        """
        dtype = float_type(dtype)
        images = as_pixels(images)
        if images.ndim == 3:
            images = images[..., np.newaxis]
        if images.ndim not in (2, 4):
            raise ShapeError(f"images must be a batch (N, H, W, C), (N, H, W) or (N, n); they are {images.shape}")
        white = self.white_of(images) if white is None else white
        if self.kind == "none":  # unchanged, in the units of the training images
            white /= self.pixels.white if self.pixels is not None else white
        # Divided, not multiplied by 1/255, so that the result equals x/255 of other libraries bit by bit.
        x = images.astype(dtype, copy=False)
        x = x if white == 1 else x / dtype.type(white)
        if self.kind == "image":
            return _each_normalized(x)
        if self.kind == "dataset":
            return self._normalized(x)
        return x

    def _normalized(self, x: Array) -> Array:
        mean, std = np.array(self.mean, x.dtype), np.array(self.std, x.dtype)
        if len(mean) not in (1, x.shape[-1]):
            raise ShapeError(f"mean and std are for {len(mean)} channels; the images {x.shape} have {x.shape[-1]}")
        normalized: Array = (x - mean) / std
        return normalized

    def to_dict(self) -> dict[str, Any]:
        """Return the preprocessing in a form that JSON can hold."""
        values: dict[str, Any] = {"kind": self.kind}
        if self.kind == "dataset":
            values |= {"mean": list(self.mean or ()), "std": list(self.std or ())}
        if self.resize != "stretch":
            values["resize"] = self.resize
        if self.pixels is not None:
            values["pixels"] = self.pixels.to_dict()
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Read what `to_dict` returned; raise ArgumentError for anything else.

        >>> Preprocessing.from_dict({"kind": "image"})
        Preprocessing(kind='image', mean=None, std=None, resize='stretch', pixels=None)
        """
        if not isinstance(values, Mapping):
            raise ArgumentError(f"a preprocessing must be a table with 'kind'; it is {values!r}")
        for name in values:
            if name not in _FIELDS:
                raise ArgumentError(f"a preprocessing has no {name!r}{did_you_mean(str(name), _FIELDS)}")
        kind, resize = values.get("kind", "scale"), values.get("resize", "stretch")
        pixels = None if values.get("pixels") is None else PixelRange.from_dict(values["pixels"])
        return cls(kind, values.get("mean"), values.get("std"), resize, pixels)


def _numbers(values: Any, name: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        numbers = ()
    if not numbers or not np.isfinite(numbers).all():
        raise ArgumentError(
            f"the preprocessing 'dataset' needs {name}, a finite number for each channel; it is {values!r}; "
            f"Preprocessing.of_dataset(images) computes them"
        )
    return numbers


def _each_normalized(x: Array) -> Array:
    axes = tuple(range(1, x.ndim))
    # In float64: rounding of a float32 mean would leave a constant image with a deviation of 1e-8, and amplify it to 1.
    mean = x.mean(axes, dtype=np.float64, keepdims=True)
    deviation = x.std(axes, dtype=np.float64, keepdims=True)
    is_constant = x.max(axes, keepdims=True) == x.min(axes, keepdims=True)
    deviation[is_constant] = np.inf
    normalized: Array = ((x - mean) / deviation).astype(x.dtype)
    return normalized
