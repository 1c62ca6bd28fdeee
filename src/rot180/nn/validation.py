"""Checks of hyper-parameters and of the shapes that layers take."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, ShapeError
from rot180.ops.geometry import as_pair, geometry
from rot180.ops.types import FLOATS, Padding

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


def whole_number(value: Any, name: str, smallest: int = 1) -> int:
    """Check an int that must be at least `smallest`.

    >>> whole_number(3, "Linear: out_features")
    3
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < smallest:
        raise ArgumentError(f"{name} must be an int, at least {smallest}; it is {value!r}")
    return int(value)


def optional_whole_number(value: Any, name: str) -> int | None:
    """Check None, or an int that must be at least 1."""
    return None if value is None else whole_number(value, name)


def real_number(value: Any, name: str, low: float = 0.0, below: float = math.inf) -> float:
    """Check a number in [low, below).

    >>> real_number(0.5, "Dropout: rate", 0, 1)
    0.5
    """
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not is_number or not low <= float(value) < below:
        limit = f"at least {low:g}" + (f" and below {below:g}" if below < math.inf else " and finite")
        raise ArgumentError(f"{name} must be a number, {limit}; it is {value!r}")
    return float(value)


def positive_number(value: Any, name: str) -> float:
    """Check a finite number above zero.

    >>> positive_number(1e-5, "GroupNorm: eps")
    1e-05
    """
    if real_number(value, name) == 0:
        raise ArgumentError(f"{name} must be a number above 0 and finite; it is {value!r}")
    return float(value)


def maps_only(label: str, what: str, input_shape: tuple[int, ...]) -> None:
    """Raise ShapeError if a layer's input is not (height, width, channels)."""
    if len(input_shape) != 3:
        raise ShapeError(f"{label}: {what} takes (height, width, channels); it got {input_shape}")


def layer_name(value: Any) -> str:
    """Check a layer's name: letters, digits, `_` and `-`, at most 64; empty for an automatic name."""
    if value == "" or (isinstance(value, str) and _NAME.fullmatch(value)):
        return str(value)
    raise ArgumentError(
        f"a layer's name must be a letter followed by letters, digits, '_' or '-', at most 64 in all; it is {value!r}"
    )


def plain_padding(padding: Any) -> Padding:
    """Check a padding and return its simplest form.

    >>> plain_padding(((1, 1), (1, 1))), plain_padding((2, 1)), plain_padding(0)
    (1, (2, 1), 'valid')
    """
    if isinstance(padding, str) and padding in ("valid", "same"):
        return padding
    (top, bottom), (left, right) = geometry(1, 1, 1, padding=padding, name="padding").padding
    if top != bottom or left != right:
        return (top, bottom), (left, right)
    if top != left:
        return top, left
    return top or "valid"


def image_shape(value: Any) -> tuple[int, ...]:
    """Check the shape of one input: (H, W, C) or (n,)."""
    try:
        shape = tuple(value) if not isinstance(value, (int, np.integer)) else (value,)
    except TypeError:
        shape = ()
    if len(shape) not in (1, 3):
        raise ArgumentError(f"input_shape must be (height, width, channels) or (n,); it is {value!r}")
    return tuple(whole_number(n, "each number of input_shape") for n in shape)


def float_type(value: Any) -> np.dtype[Any]:
    """Return float32 or float64, given by type or name.

    >>> float_type("float64")
    dtype('float64')
    """
    try:
        dtype: np.dtype[Any] = np.dtype(value)
    except TypeError:
        dtype = np.dtype(object)
    if value is None or dtype not in FLOATS:  # NumPy interprets None as float64
        raise ArgumentError(f"dtype must be float32 or float64; it is {value!r}")
    return dtype


__all__ = [
    "as_pair",
    "float_type",
    "image_shape",
    "layer_name",
    "maps_only",
    "optional_whole_number",
    "plain_padding",
    "positive_number",
    "real_number",
    "whole_number",
]
