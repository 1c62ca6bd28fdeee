"""In which range pixels are: found from the training images, kept by the model, asked of all that it is given later."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, NonFiniteError, PixelWarning
from rot180.ops.types import Array

WHITES = (1, 3, 7, 15, 16, 31, 63, 255, 1023, 4095, 16383, 65535)
"""What white is in common use. 127 and 511 are not: uint8 images that reach 100 are dark photographs."""

BEYOND = 1.25
"""How far floats may leave their range, as sharp ways of resizing make them."""

SIGNED = -0.25
"""Floats below this share of their largest were normalized by someone: their zero is not black."""

NEARLY_BLACK, DARK = 1 / 15, 1 / 4
"""Shares of white. Images that stay below the first hold another range; below the second they may."""


@dataclass(frozen=True)
class PixelRange:
    """The range of a model's training images, in the units in which they are stored.

    Parameters
    ----------
    low : float
        Black, 0; below 0 for floats that were normalized before, which are not scaled.
    high : float
        White: 255 for ordinary uint8 images, 1 for floats in 0 to 1, 16 for integers 0 to 16.
    floats : bool
        Whether they were floats.

    Examples
    --------
    >>> digits = PixelRange.of(np.arange(256, dtype=np.uint8).reshape(4, 8, 8))
    >>> digits.high, digits.white_of(np.full((2, 8, 8), 65535, np.uint16)), digits.white_of(np.ones((2, 8, 8)))
    (255.0, 65535.0, 1.0)
    >>> PixelRange.of(np.arange(17).reshape(1, 1, 17)).high
    16.0
    """

    low: float
    high: float
    floats: bool

    @classmethod
    def of(cls, images: Any) -> PixelRange:
        """Return the range that training images are in.

        White is the smallest value of `WHITES` that the images do not exceed; for integers it is the largest value of
        their type unless all of them are below a quarter of it. Floats up to 1 are in 0 to 1.

        Raises
        ------
        NonFiniteError
            An image holds infinities or NaN.
        """
        low, high = extremes(images)
        if images.dtype.kind == "f":
            if low < SIGNED * max(high, 1):
                return cls(low, high, floats=True)
            return cls(0.0, 1.0 if high <= BEYOND else _smallest_white(high), floats=True)
        full = float(np.iinfo(images.dtype).max)
        return cls(0.0, _smallest_white(high) if 0 < high <= DARK * full else full, floats=False)

    @property
    def is_signed(self) -> bool:
        """Whether zero is not black."""
        return self.low < 0

    @property
    def limits(self) -> tuple[float, float]:
        """Black and white of the training images; of images normalized before, their smallest and largest value."""
        return self.low if self.is_signed else 0.0, self.high

    @property
    def white(self) -> float:
        """What the training images are divided by: white, or 1 where they were normalized before."""
        return 1.0 if self.is_signed else self.high

    def white_of(self, images: Any, whose: str = "the model was trained on") -> float:
        """Return what is white in other images, from their type and values.

        The same range, and the whole range of another type, are read as what they are: after training on uint8, uint16
        that reaches 65535 and floats in 0 to 1.

        Parameters
        ----------
        images : (N, ...)
            uint8, uint16 or floats (`as_pixels`), or what knows its `extremes`.
        whose : str
            How messages begin to speak of this range.

        Returns
        -------
        float
            The value that stands for white.

        Raises
        ------
        ArgumentError
            The images are surely in another range.
        NonFiniteError
            One holds infinities or NaN.

        Warns
        -----
        PixelWarning
            They may be in another range.
        """
        low, high = extremes(images)
        if self.is_signed:
            return self._signed(images, low, high, whose)
        if low < SIGNED * max(high, 1):
            raise self._refusal(images, low, high, whose, "give them as they were before they were normalized")
        if images.dtype.kind == "f":
            if high <= BEYOND and not (self.floats and self.high > 1):
                return 1.0
            if high > (BEYOND * self.high if self.floats else self.high):
                advice = f"divide them by {_smallest_white(high):g}" if self.high == 1 else f"scale them to {self.text}"
                raise self._refusal(images, low, high, whose, advice)
            white = self.high
        else:
            full = float(np.iinfo(images.dtype).max)
            white = self.high if high <= self.high <= full else full
        self._doubt_darkness(images, high, white, whose)
        return white

    @property
    def text(self) -> str:
        """The range in words: "integers from 0 to 255"."""
        return f"{'floats' if self.floats else 'integers'} from {self.low:.4g} to {self.high:.6g}"

    def note(self, dtype: Any) -> str:
        """Return in a line what is taken for white in images of this type; empty where that is no surprise."""
        if self.is_signed:
            return f"pixels are {self.text}: they are taken as normalized already, and not scaled"
        ordinary = 1 if dtype.kind == "f" else np.iinfo(dtype).max
        return "" if self.high == ordinary else f"pixels are {self.text}: {self.high:g} is taken for white"

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {"low": self.low, "high": self.high, "floats": self.floats}

    @classmethod
    def from_dict(cls, values: Any) -> PixelRange:
        """Read what `to_dict` returned; raise ArgumentError for anything else.

        >>> PixelRange.from_dict({"low": 0, "high": 255, "floats": False}).text
        'integers from 0 to 255'
        """
        given = values if isinstance(values, Mapping) and values.keys() == {"low", "high", "floats"} else {}
        low, high, floats = given.get("low"), given.get("high"), given.get("floats")
        numbers = [isinstance(number, (int, float)) and math.isfinite(number) for number in (low, high)]
        if not (all(numbers) and isinstance(floats, bool) and low <= 0 and high >= low and (high > 0 or low < 0)):  # type: ignore[operator]
            raise ArgumentError(f"a pixel range is a table of low, high and floats; it is {str(values)[:80]}")
        return cls(float(low), float(high), floats)  # type: ignore[arg-type]

    def _signed(self, images: Any, low: float, high: float, whose: str) -> float:
        largest = max(-self.low, self.high)
        if images.dtype.kind != "f" or max(-low, high) > 10 * largest:
            raise self._refusal(images, low, high, whose, "normalize them as those were")
        if low >= 0 and len(images) > 1 and high > 0:
            warnings.warn(
                f"no pixel of the images is below 0, but {whose} {self.text}; check that they are normalized as those",
                PixelWarning,
                stacklevel=3,
            )
        return 1.0

    def _doubt_darkness(self, images: Any, high: float, white: float, whose: str) -> None:
        """Refuse several images that are nearly black, warn of one; warn of several that are very dark."""
        if not 0 < high <= DARK * white:
            return
        if high <= NEARLY_BLACK * white and len(images) > 1:
            advice = f"give them in that range, such as images * ({self.high:g} / {_smallest_white(high):g})"
            raise self._refusal(images, 0.0, high, whose, advice)
        if high <= NEARLY_BLACK * white or len(images) > 1:
            warnings.warn(
                f"the brightest pixel of the images is {high:g}, where white is {white:g}; if {high:g} is bright, "
                f"scale them: {whose} {self.text}",
                PixelWarning,
                stacklevel=4,
            )

    def _refusal(self, images: Any, low: float, high: float, whose: str, advice: str) -> ArgumentError:
        return ArgumentError(
            f"pixels must be in the range of the training images: {whose} {self.text}; these are {images.dtype} from "
            f"{low:.4g} to {high:.6g}; {advice}"
        )


def as_pixels(images: Any, name: str = "images") -> Array:
    """Return an array of uint8, uint16, float32 or float64, the types that images are in.

    Truth values become 0 and 255; other integers uint8 where none is above 255, else uint16; float16 becomes float32,
    longer floats float64.

    Raises
    ------
    ArgumentError
        These are no numbers, or integers below 0 or above 65535.

    Examples
    --------
    >>> as_pixels(np.array([0, 255])).dtype, as_pixels(np.array([0, 256], ">i4")).dtype
    (dtype('uint8'), dtype('uint16'))
    """
    try:
        images = np.asarray(images)
    except ValueError:  # a list of images of different sizes
        raise ArgumentError(f"{name} must be an array of numbers; these have different shapes") from None
    kind, dtype = images.dtype.kind, images.dtype
    if kind not in "bfiu":
        found = "objects" if kind == "O" else str(dtype)[:40]
        raise ArgumentError(f"{name} must be numbers; they are {found}; give an array (N, H, W, C)")
    if kind == "b":
        return np.where(images, np.uint8(255), np.uint8(0))
    if kind == "f":
        wanted: Any = np.float32 if dtype.itemsize <= 4 else np.float64
    elif dtype in (np.uint8, np.uint16):
        wanted = dtype.newbyteorder("=")
    else:
        low, high = extremes(images)
        if low < 0 or high > 65535:
            raise ArgumentError(
                f"{name} of integers must be from 0 to 255, or to 65535; they are from {low:g} to {high:g}"
            )
        wanted = np.uint8 if high <= 255 else np.uint16
    converted: Array = images.astype(wanted, copy=False)
    return converted


def extremes(images: Any) -> tuple[float, float]:
    """Return the smallest and the largest pixel; (0, 0) of no images.

    Raises
    ------
    NonFiniteError
        An image holds infinities or NaN; the message counts from 0.
    """
    known = getattr(images, "extremes", None)
    if known is not None:
        return float(known[0]), float(known[1])
    if not images.size:
        return 0.0, 0.0
    low, high = float(images.min()), float(images.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        refuse_non_finite(images)
    return low, high


def refuse_non_finite(images: Array) -> None:
    """Raise NonFiniteError for the first image that holds infinities or NaN, if one does."""
    step = max(1, 2**24 // max(1, images[:1].size))
    is_bad = np.concatenate(
        [
            ~np.isfinite(some.reshape(len(some), -1)).all(axis=1)
            for some in (images[start : start + step] for start in range(0, len(images), step))
        ]
    )
    if is_bad.any():
        first, count = int(is_bad.argmax()), int(is_bad.sum())
        values = int((~np.isfinite(images[first])).sum())
        raise NonFiniteError(
            f"pixels must be finite numbers; {count} of {len(images)} images hold infinities or NaN, the first is "
            f"image {first} ({values} of {images[first].size} values); mend the data",
            array="the images",
        )


def to_show(images: Any, limits: tuple[float, float]) -> Any:
    """Return images as pictures take them: as they are where black and white are those of their type, else from 0 to 1.

    >>> to_show(np.array([0, 8, 16], np.uint8), (0, 16)).tolist(), to_show(np.array([0, 255], np.uint8), (0, 255)).dtype
    ([0.0, 0.5, 1.0], dtype('uint8'))
    """
    black, white = limits
    if limits == (0, 1 if images.dtype.kind == "f" else np.iinfo(images.dtype).max):
        return images
    return ((np.asarray(images, np.float32) - np.float32(black)) / np.float32(white - black or 1)).clip(0, 1)


def _smallest_white(high: float) -> float:
    return float(next((white for white in WHITES if white >= high), high))
