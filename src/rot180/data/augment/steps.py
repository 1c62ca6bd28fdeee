"""The steps of data augmentation and how they are written: `resizedcrop:0.25,flip,randaugment:2:9`."""

from __future__ import annotations

import math
from typing import NamedTuple

from rot180.data.augment.augmentation import Augmentation
from rot180.errors import ArgumentError, did_you_mean


class Number(NamedTuple):
    """A number of a step: its default, its largest sensible value, and whether it must be whole."""

    default: float
    largest: float
    is_whole: bool = False


class Step(NamedTuple):
    """An augmentation step: its numbers, and a description."""

    numbers: tuple[Number, ...]
    description: str


STEPS = {
    "resizedcrop": Step((Number(0.08, 1),), "enlarge a random part with at least this share of the area"),
    "rotate": Step((Number(10, 180),), "rotate by up to this many degrees"),
    "scale": Step((Number(0.1, 0.9),), "enlarge or shrink by up to this fraction"),
    "elastic": Step((Number(1.0, 20),), "distort like handwriting, displacing each pixel by about this many pixels"),
    "shift": Step((Number(2, 1000, True),), "shift by up to this many pixels"),
    "crop": Step((Number(4, 1000, True),), "pad with this many pixels and crop to the original size at random"),
    "flip": Step((Number(0.5, 1),), "flip left to right with this probability"),
    "altflip": Step((), "flip left to right in every other epoch, half of the images in the first"),
    "randaugment": Step(
        (Number(2, 14, True), Number(9, 30)), "apply this many of 14 operations, drawn at random, at this magnitude"
    ),
    "trivialaugment": Step((), "apply one of 14 operations with any magnitude, both drawn at random"),
    "brightness": Step((Number(0.2, 1),), "brighten or darken by up to this fraction of white"),
    "contrast": Step((Number(0.2, 0.99),), "scale deviations from the image's mean by up to this fraction"),
    "cutout": Step((Number(8, 1000, True),), "cover a square with this many pixels a side"),
    "erase": Step((Number(0.25, 1),), "cover a rectangle with this probability"),
    "mixup": Step((Number(0.2, 10),), "mix pairs of images and their labels in proportions drawn from Beta(a, a)"),
    "cutmix": Step(
        (Number(1, 10),), "paste a rectangle from another image and mix the labels by area, drawn from Beta(a, a)"
    ),
}
"""All steps, in the order in which they are applied; all that move pixels to fractional positions come first."""

BORDERS = ("black", "reflect")
"""What fills the area that rotating, scaling, distorting or shifting exposes: black, or a reflection of the image."""

WITH_BORDER = ("rotate", "scale", "elastic", "shift", "crop", "randaugment", "trivialaugment")
"""Steps that expose such an area."""

EXCLUSIVE = (("flip", "altflip"), ("randaugment", "trivialaugment"))
"""Steps of which only one makes sense."""


def parse_augmentation(text: str) -> Augmentation | None:
    """Parse a list of steps, each with or without its numbers; `none` stands for no augmentation.

    Raises
    ------
    ArgumentError
        A step is unknown or given twice, its numbers are invalid, or two steps exclude each other.

    Examples
    --------
    >>> str(parse_augmentation("flip, randaugment:2, shift:1, border:reflect"))
    'shift:1,flip:0.5,randaugment:2:9,border:reflect'
    """
    if text.strip() == "none":
        return None
    found: dict[str, tuple[float, ...]] = {}
    border = None
    for word in map(str.strip, text.split(",")):
        name, *given = word.split(":")
        if name not in (*STEPS, "border"):
            advice = "; none stands alone" if name == "none" else did_you_mean(name, (*STEPS, "border", "none"))
            raise ArgumentError(f"no augmentation is called {name!r}{advice}")
        if name in found or (name == "border" and border is not None):
            raise ArgumentError(f"the augmentation {name} is given twice; give it once")
        if name == "border":
            border = ":".join(given)
            if border not in BORDERS:
                raise ArgumentError(f"the border is black or reflect, as in border:reflect; got {word!r}")
            continue
        found[name] = _numbers(name, given)
    for first, second in EXCLUSIVE:
        if first in found and second in found:
            raise ArgumentError(f"{first} and {second} exclude each other; give one of them")
    if border is not None and not found.keys() & set(WITH_BORDER):
        raise ArgumentError(f"border has an effect only with {', '.join(WITH_BORDER)}; add one of these")
    return Augmentation(tuple((name, found[name]) for name in STEPS if name in found), border or "black")


def _numbers(name: str, given: list[str]) -> tuple[float, ...]:
    """Return the numbers of a step; those that are not given have their defaults."""
    numbers, description = STEPS[name]
    if len(given) > len(numbers):
        most = ("no number", "one number", "at most two numbers")[len(numbers)]
        raise ArgumentError(f"the augmentation {name} takes {most} ({description}); got {':'.join(given)!r}")
    values = []
    for number, text in zip(numbers, [*given, *[None] * len(numbers)], strict=False):
        try:
            value = number.default if text is None else float(text)
        except ValueError:
            value = math.nan
        if not 0 < value <= number.largest:
            raise ArgumentError(
                f"the augmentation {name} takes a number above 0 and at most {number.largest:g} ({description}); "
                f"got {text!r}"
            )
        if number.is_whole and value != int(value):
            raise ArgumentError(f"the augmentation {name} takes a whole number ({description}); got {text!r}")
        values.append(value)
    return tuple(values)
