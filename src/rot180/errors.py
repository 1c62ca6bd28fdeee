"""What can go wrong, and what to catch.

    Rot180Error
    |-- ArgumentError        a value or keyword that cannot be used; also a ValueError
    |   |-- ShapeError       arrays whose shapes do not fit together
    |   |-- NotationError    a network text that cannot be read; shows a caret under the place
    |   `-- TooLargeError    what would take more memory than there is; also a MemoryError
    |-- DataError            a file of images or labels that is not what it should be
    |-- ModelError           a saved model or run that cannot be read or does not fit
    `-- NonFiniteError       pixels, outputs, a loss or a gradient are infinite or NaN

    PixelWarning             a UserWarning: images that may be in another range than the training images, or unlike them

Every message says the rule, what came, and what to do. The command line prints it as one line and exits 2; any other
exception is a fault of this program and exits 1.
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
    "PixelWarning",
    "Rot180Error",
    "ShapeError",
    "TooLargeError",
]


class Rot180Error(Exception):
    """The root of every error that a user can cause and mend. Its message is one line."""

    def __init__(self, message: str = "") -> None:
        super().__init__(" ".join(message.split()) if self._is_one_line and "\n" in message else message)

    _is_one_line = True


class ArgumentError(Rot180Error, ValueError):
    """A value or keyword that cannot be used."""


class ShapeError(ArgumentError):
    """Arrays whose shapes do not fit together."""


class NotationError(ArgumentError):
    """A network text that cannot be read. The message ends with the text and a caret under the place."""

    _is_one_line = False


class TooLargeError(ArgumentError, MemoryError):
    """What would take more memory than there is; raised before it is taken."""


class DataError(Rot180Error):
    """A file of images or labels that is not what it should be."""


class ModelError(Rot180Error):
    """A saved model or run that cannot be read, or that does not fit."""


class NonFiniteError(Rot180Error):
    """Pixels, outputs, a loss or a gradient are infinite or NaN.

    Attributes
    ----------
    step : int
        Updates done before.
    layer, array : str
        Where it arose: `fc1`, `the output of fc1`; the layer is empty for the images and the loss.
    """

    def __init__(self, message: str, *, step: int = 0, layer: str = "", array: str = "") -> None:
        super().__init__(message)
        self.step, self.layer, self.array = step, layer, array


class PixelWarning(UserWarning):
    """Images that may be in another range than a model's training images, or that look unlike them."""


def short(value: object) -> str:
    """Return a value as a message shows it: an array by shape and type, anything else by at most 60 letters.

    >>> import numpy as np
    >>> short(np.zeros((2, 3))), short("a.png"), short([1, 2])
    ('an array (2, 3) of float64', "'a.png'", '[1, 2]')
    """
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"an array {value.shape} of {value.dtype}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'stride'?"` for a word close to a known one, else a list of the known ones.

    >>> did_you_mean("strides", ["stride", "padding"])
    "; did you mean 'stride'?"
    >>> did_you_mean("banana", ["stride", "padding"])
    '; known: padding, stride'
    """
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known) or 'none'}"
