"""What can go wrong, and what to catch.

    Rot180Error
    |-- ArgumentError        a value or keyword that cannot be used; also a ValueError
    |   |-- ShapeError       arrays with incompatible shapes
    |   |-- NotationError    a network notation that cannot be parsed; a caret marks the place
    |   `-- TooLargeError    more memory would be needed than is available; also a MemoryError
    |-- DataError            a file of images or labels that cannot be used
    |-- ModelError           a saved model or run that cannot be read or does not match
    |-- NonFiniteError       pixels, outputs, a loss or a gradient that is infinite or NaN
    `-- ParallelError        processes that train together have lost each other, or differ

    PixelWarning             a UserWarning: images whose range may differ from, or that look unlike, the training images

Every message states the rule, the value that breaks it, and what to do. The command line prints it as one line and
exits with status 2; any other exception is a bug in this program and exits with status 1.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ArgumentError",
    "DataError",
    "ModelError",
    "NonFiniteError",
    "NotationError",
    "ParallelError",
    "PixelWarning",
    "Rot180Error",
    "ShapeError",
    "TooLargeError",
]


class Rot180Error(Exception):
    """Base class of all errors that a user can cause and fix. The message is one line."""

    def __init__(self, message: str = "") -> None:
        super().__init__(" ".join(message.split()) if self._is_one_line and "\n" in message else message)

    _is_one_line = True


class ArgumentError(Rot180Error, ValueError):
    """A value or keyword that cannot be used."""


class ShapeError(ArgumentError):
    """Arrays with incompatible shapes."""


class NotationError(ArgumentError):
    """A network notation that cannot be parsed. The message ends with the text and a caret under the error."""

    _is_one_line = False


class TooLargeError(ArgumentError, MemoryError):
    """More memory would be needed than is available; raised before it is allocated."""


class DataError(Rot180Error):
    """A file of images or labels that cannot be used."""


class ModelError(Rot180Error):
    """A saved model or run that cannot be read or does not match."""


class NonFiniteError(Rot180Error):
    """Pixels, outputs, a loss or a gradient that is infinite or NaN.

    Attributes
    ----------
    step : int
        Number of updates done before.
    layer, array : str
        Where it occurred: `fc1`, `the output of fc1`; the layer is empty for the images and the loss.
    """

    def __init__(self, message: str, *, step: int = 0, layer: str = "", array: str = "") -> None:
        super().__init__(message)
        self.step, self.layer, self.array = step, layer, array


class ParallelError(Rot180Error):
    """Processes that train together have lost each other, or differ where they must not."""


class PixelWarning(UserWarning):
    """Images whose range may differ from that of a model's training images, or that look unlike them."""


def short(value: object) -> str:
    """Return a value as shown in a message: an array by shape and dtype, anything else in at most 60 characters.

    >>> import numpy as np
    >>> short(np.zeros((2, 3))), short("a.png"), short([1, 2])
    ('an array (2, 3) of float64', "'a.png'", '[1, 2]')
    """
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"an array {value.shape} of {value.dtype}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'stride'?"` for a word close to a known one, and a list of the known ones otherwise.

    >>> did_you_mean("strides", ["stride", "padding"])
    "; did you mean 'stride'?"
    >>> did_you_mean("banana", ["stride", "padding"])
    '; known: padding, stride'
    """
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known) or 'none'}"
