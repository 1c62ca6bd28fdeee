"""The range of pixels: found from the training images, stored in the model, required of all later images."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, NonFiniteError, PixelWarning
from rot180.ops.types import Array

WHITES = (1, 3, 7, 15, 16, 31, 63, 255, 1023, 4095, 16383, 65535)
"""Common values of white. 127 and 511 are not among them: uint8 images that reach 100 are dark photographs."""

BEYOND = 1.25
"""How far floats may exceed their range, as after resizing with a sharpening filter."""

SIGNED = -0.25
"""Floats below this fraction of their largest value, negated, are taken as normalized: zero is not black."""

NEARLY_BLACK, DARK = 1 / 15, 1 / 4
"""Fractions of white. Images that stay below the first have another range; below the second they may have."""


@dataclass(frozen=True)
class PixelRange:
    """The range of a model's training images, in the units of the stored images.

    Parameters
    ----------
    low : float
        Black, 0; negative for floats that are already normalized, which are not scaled.
    high : float
        White: 255 for ordinary uint8 images, 1 for floats in 0 to 1, 16 for integers 0 to 16.
    floats : bool
        Whether the images are floats.

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
        their type unless all of them are below a quarter of it. Floats up to 1 have the range 0 to 1.

        Raises
        ------
        NonFiniteError
            An image contains infinity or NaN.
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
        """Black and white of the training images; for normalized images, their smallest and largest value."""
        return self.low if self.is_signed else 0.0, self.high

    @property
    def white(self) -> float:
        """The divisor of the training images: white, or 1 if they are already normalized."""
        return 1.0 if self.is_signed else self.high

    def white_of(self, images: Any, whose: str = "the model was trained on") -> float:
        """Return the value of white in other images, from their type and values.

        The same range, and the full range of another type, are accepted: after training on uint8, uint16 that reaches
        65535 and floats from 0 to 1.

        Parameters
        ----------
        images : (N, ...)
            uint8, uint16 or floats (`as_pixels`), or an object with `extremes`.
        whose : str
            The beginning of the phrase by which messages refer to this range.

        Returns
        -------
        float
            The value of white.

        Raises
        ------
        ArgumentError
            The images are certainly in another range.
        NonFiniteError
            One contains infinity or NaN.

        Warns
        -----
        PixelWarning
            The images may be in another range.
        """
        low, high = extremes(images)
        if self.is_signed:
            return self._signed(images, low, high, whose)
        if low < SIGNED * max(high, 1):
            raise self._refusal(images, low, high, whose, "pass them as they were before normalization")
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
        """Return one line on the white of images of this type; empty if it is the usual one."""
        if self.is_signed:
            return f"pixels are {self.text}: they are taken as already normalized, and not scaled"
        ordinary = 1 if dtype.kind == "f" else np.iinfo(dtype).max
        return "" if self.high == ordinary else f"pixels are {self.text}: {self.high:g} is taken as white"

    def to_dict(self) -> dict[str, Any]:
        """Return the range in a form that JSON can hold."""
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
            raise ArgumentError(f"a pixel range must be a table of low, high and floats; it is {str(values)[:80]}")
        return cls(float(low), float(high), floats)  # type: ignore[arg-type]

    def _signed(self, images: Any, low: float, high: float, whose: str) -> float:
        largest = max(-self.low, self.high)
        if images.dtype.kind != "f" or max(-low, high) > 10 * largest:
            raise self._refusal(images, low, high, whose, "normalize them in the same way")
        if low >= 0 and len(images) > 1 and high > 0:
            warnings.warn(
                f"no pixel of the images is below 0, but {self._said(whose)}; check that they are normalized alike",
                PixelWarning,
                stacklevel=3,
            )
        return 1.0

    def _doubt_darkness(self, images: Any, high: float, white: float, whose: str) -> None:
        """Refuse several images that are nearly black, but warn of a single one; warn of several very dark ones."""
        if not 0 < high <= DARK * white:
            return
        if high <= NEARLY_BLACK * white and len(images) > 1:
            advice = f"convert them to that range, as with images * ({self.high:g} / {_smallest_white(high):g})"
            raise self._refusal(images, 0.0, high, whose, advice)
        if high <= NEARLY_BLACK * white or len(images) > 1:
            warnings.warn(
                f"the brightest pixel of the images is {high:g}, but white is {white:g}; if {high:g} is bright, "
                f"scale them: {self._said(whose)}",
                PixelWarning,
                stacklevel=4,
            )

    def _said(self, whose: str) -> str:
        """Return a clause on this range, which a catalog translates as a whole."""
        return f"{whose} {self.text}"

    def _refusal(self, images: Any, low: float, high: float, whose: str, advice: str) -> ArgumentError:
        return ArgumentError(
            f"pixels must be in the range of the training images: {self._said(whose)}; these are {images.dtype} from "
            f"{low:.4g} to {high:.6g}; {advice}"
        )


def as_pixels(images: Any, name: str = "images") -> Array:
    """Return an array of uint8, uint16, float32 or float64, the types of images.

    Booleans become 0 and 255; other integers uint8 if none is above 255, else uint16; float16 becomes float32, and
    longer floats float64.

    Raises
    ------
    ArgumentError
        The values are not numbers, or are integers below 0 or above 65535.

    Examples
    --------
    >>> as_pixels(np.array([0, 255])).dtype, as_pixels(np.array([0, 256], ">i4")).dtype
    (dtype('uint8'), dtype('uint16'))
    """
    try:
        images = np.asarray(images)
    except ValueError:  # a list of images of different sizes
        raise ArgumentError(f"{name} must be an array of numbers; these have different shapes") from None
    dtype = images.dtype
    kind = dtype.kind
    if kind not in "bfiu":
        if kind in "SU" or (kind == "O" and images.size and isinstance(images.flat[0], (str, PathLike))):
            raise ArgumentError(
                f"{name} must be numbers, an array (N, H, W, C), but they are text; if these are names of files, read "
                "each with rot180.data.read_image, or use the command rot180 predict"
            )
        found = "objects" if kind == "O" else str(dtype)[:40]
        raise ArgumentError(f"{name} must be numbers; they are {found}; pass an array (N, H, W, C)")
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
                f"{name} must be integers from 0 to 255, or to 65535; they are from {low:g} to {high:g}"
            )
        wanted = np.uint8 if high <= 255 else np.uint16
    converted: Array = images.astype(wanted, copy=False)
    return converted


def extremes(images: Any) -> tuple[float, float]:
    """Return the smallest and the largest pixel; (0, 0) if there are no images.

    Raises
    ------
    NonFiniteError
        An image contains infinity or NaN; the message counts images from 0.
    """
    known = getattr(images, "extremes", None)
    if known is not None:
        return float(known[0]), float(known[1])
    if not images.size:
        return 0.0, 0.0
    low, high = float(images.min()), float(images.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        refuse_non_finite(images)
    return low, high


def require_finite(images: Any) -> None:
    """Raise NonFiniteError, as `extremes` does, in a fraction of its time.

    The sum of squares of finite pixels is finite unless it overflows; only then is each pixel looked at.
    """
    if not isinstance(images, np.ndarray) or not images.flags.c_contiguous:
        extremes(images)
    elif not math.isfinite(np.vdot(images, images)):
        refuse_non_finite(images)


def refuse_non_finite(images: Array) -> None:
    """Raise NonFiniteError for the first image that contains infinity or NaN, if any."""
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
            f"pixels must be finite numbers; {count} of {len(images)} images contain infinity or NaN, the first is "
            f"image {first} ({values} of {images[first].size} values); correct the data",
            array="the images",
        )


def to_show(images: Any, limits: tuple[float, float]) -> Any:
    """Return images for pictures: unchanged if black and white are those of their type, else scaled to 0 to 1.

    >>> to_show(np.array([0, 8, 16], np.uint8), (0, 16)).tolist(), to_show(np.array([0, 255], np.uint8), (0, 255)).dtype
    ([0.0, 0.5, 1.0], dtype('uint8'))
    """
    black, white = limits
    if limits == (0, 1 if images.dtype.kind == "f" else np.iinfo(images.dtype).max):
        return images
    return ((np.asarray(images, np.float32) - np.float32(black)) / np.float32(white - black or 1)).clip(0, 1)


def _smallest_white(high: float) -> float:
    return float(next((white for white in WHITES if white >= high), high))
