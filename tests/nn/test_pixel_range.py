"""Which range pixels are in: found from training images, asked of all others."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rot180.errors import ArgumentError, NonFiniteError, PixelWarning
from rot180.nn import Preprocessing
from rot180.nn.pixel_range import PixelRange, as_pixels

RAMP = np.arange(256).reshape(4, 8, 8)


def images(high: float, dtype: Any = np.uint8, count: int = 4) -> np.ndarray:
    return (RAMP[:count] / RAMP[:count].max() * high).astype(dtype)


@pytest.mark.parametrize(
    ("given", "white"),
    [
        (images(255), 255),
        (images(100), 255),
        (images(0), 255),
        (images(1), 1),
        (images(16), 16),
        (images(10), 15),
        (images(60), 63),
        (images(65535, np.uint16), 65535),
        (images(30000, np.uint16), 65535),
        (images(4000, np.uint16), 4095),
        (images(1023, np.uint16), 1023),
        (images(255, np.uint16), 255),
        (images(1, np.float32), 1),
        (images(0.3, np.float64), 1),
        (images(1.1, np.float64), 1),
        (images(255, np.float32), 255),
        (images(16, np.float32), 16),
        (images(1e6, np.float32), 1e6),
    ],
)
def test_white_is_found_from_the_training_images(given: np.ndarray, white: float) -> None:
    found = PixelRange.of(given)
    assert (found.low, found.high, found.floats) == (0, white, given.dtype.kind == "f")
    assert found.white_of(given) == white
    assert PixelRange.from_dict(json.loads(json.dumps(found.to_dict()))) == found


WHOLE = PixelRange.of(images(255))


@pytest.mark.parametrize(
    ("trained", "given", "white"),
    [
        (images(255), images(65535, np.uint16), 65535),
        (images(255), images(255, np.uint16), 255),
        (images(255), images(1, np.float32), 1),
        (images(255), images(255, np.float32), 255),
        (images(65535, np.uint16), images(255), 255),
        (images(1, np.float32), images(255), 255),
        (images(1, np.float32), images(65535, np.uint16), 65535),
        (images(1, np.float32), images(1), 1),
        (images(255, np.float32), images(255), 255),
        (images(16), images(255), 255),
        (images(16), images(16, np.float32), 16),
        (images(16), images(15), 16),
        (images(16), images(1, np.float32), 1),
        (images(4095, np.uint16), images(255), 255),
        (images(4095, np.uint16), images(65535, np.uint16), 65535),
        (images(1), images(255), 255),
    ],
)
def test_what_can_only_mean_one_thing_is_converted(trained: np.ndarray, given: np.ndarray, white: float) -> None:
    preprocessing = Preprocessing().for_training_on(trained)
    assert preprocessing.white_of(given) == white
    np.testing.assert_array_equal(preprocessing(given)[..., 0], given.astype(np.float32) / np.float32(white))
    # "none" keeps the training's own units
    none = Preprocessing("none").for_training_on(trained)(given, np.float64)[..., 0]
    np.testing.assert_allclose(none, given * (PixelRange.of(trained).white / white), rtol=1e-6)


@pytest.mark.parametrize(
    ("trained", "given", "message"),
    [
        (images(1, np.float32), images(255, np.float32), "floats from 0 to 1; .* from 0 to 255; divide them by 255"),
        (images(1, np.float32), images(16, np.float64), "float64 from 0 to 16; divide them by 16"),
        (images(1, np.float32), images(16), r"uint8 from 0 to 16; .* images \* \(1 / 16\)"),
        (images(255), images(16), r"integers from 0 to 255; .* uint8 from 0 to 16; .* images \* \(255 / 16\)"),
        (images(255), images(1), r"uint8 from 0 to 1; .* images \* \(255 / 1\)"),
        (images(255), images(4095, np.uint16), r"uint16 from 0 to 4095; .* images \* \(255 / 4095\)"),
        (images(255), images(300, np.float32), "float32 from 0 to 300; scale them to integers from 0 to 255"),
        (images(255, np.float32), images(1, np.float32), r"float32 from 0 to 1; .* images \* \(255 / 1\)"),
        (images(16, np.float32), images(255, np.float32), "scale them to floats from 0 to 16"),
        (images(255), images(2, np.float32) - 1, "float32 from -1 to 1; .* before normalization"),
        (images(2, np.float32) - 1, images(255), "floats from -1 to 1; .* normalize them in the same way"),
        (images(2, np.float32) - 1, images(255, np.float32), "normalize them in the same way"),
    ],
)  # fmt: skip
def test_what_is_surely_another_range_is_refused(trained: np.ndarray, given: np.ndarray, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        PixelRange.of(trained).white_of(given)


@pytest.mark.parametrize(
    ("trained", "given", "message"),
    [
        (images(255), images(16, count=1), "the brightest pixel of the images is 16, but white is 255"),
        (images(255), images(63), "the brightest pixel of the images is 63"),
        (images(65535, np.uint16), images(16383, np.uint16), "is 16383, but white is 65535"),
        (images(2, np.float32) - 1, images(1, np.float32), "no pixel of the images is below 0"),
    ],
)
def test_what_may_be_another_range_is_told(trained: np.ndarray, given: np.ndarray, message: str) -> None:
    with pytest.warns(PixelWarning, match=message):
        assert PixelRange.of(trained).white_of(given) > 0


def test_black_images_and_dark_photographs_say_nothing() -> None:
    for given in (images(0), images(63, count=1), images(100)):
        assert WHOLE.white_of(given) == 255


def test_floats_normalized_before_stay_as_they_are() -> None:
    given = np.random.default_rng(0).normal(size=(5, 4, 4, 1)).astype(np.float32)
    preprocessing = Preprocessing().for_training_on(given)
    assert preprocessing.pixels is not None
    assert preprocessing.pixels.is_signed
    assert preprocessing(given) is given


def test_without_a_known_range_the_type_tells() -> None:
    assert [Preprocessing().white_of(images(1, dtype)) for dtype in (np.uint8, np.uint16, np.float32)] == [
        255,
        65535,
        1,
    ]


@pytest.mark.parametrize(
    ("given", "dtype", "largest"),
    [
        (RAMP, np.uint8, 255),
        (RAMP.astype(">i2"), np.uint8, 255),
        (RAMP * 2, np.uint16, 510),
        (RAMP > 100, np.uint8, 255),
        (RAMP.astype(np.float16), np.float32, 255),
        (RAMP.astype(">f8"), np.float64, 255),
        (RAMP.astype(np.longdouble), np.float64, 255),
        ([[1, 2]], np.uint8, 2),
    ],
)
def test_types_that_images_are_in(given: Any, dtype: Any, largest: int) -> None:
    found = as_pixels(given)
    assert found.dtype == dtype
    assert found.dtype.isnative
    assert found.max() == largest


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("a.png", "images must be numbers, an array"),
        (None, "images must be numbers; they are objects"),
        ([[1], [2, 3]], "these have different shapes"),
        ([1j], "they are complex128"),
        ([70000], "must be integers from 0 to 255, or to 65535; they are from 70000"),
        ([-1, 3], "they are from -1 to 3"),
    ],
)
def test_what_is_no_image_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        as_pixels(given)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_pixel_that_is_not_finite_is_named(value: float) -> None:
    given = images(1, np.float32)
    given[2, 0, :3] = value
    message = r"1 of 4 images contain infinity or NaN, the first is image 2 \(3 of 64 values\)"
    for ask in (PixelRange.of, WHOLE.white_of):
        with pytest.raises(NonFiniteError, match=message):
            ask(given)


@pytest.mark.parametrize(
    "values",
    [None, {}, {"low": 0, "high": 255}, {"low": 0, "high": 0, "floats": True}, {"low": 0, "high": "1", "floats": False},
     {"low": 1, "high": 2, "floats": False}, {"low": 0, "high": float("inf"), "floats": True}, [0, 255, False]],
)  # fmt: skip
def test_a_range_that_cannot_be_read(values: Any) -> None:
    with pytest.raises(ArgumentError, match=re.escape("a pixel range must be a table of low, high and floats")):
        PixelRange.from_dict(values)


@pytest.mark.parametrize("names", ["a.png", Path("a.png"), ["a.png", "b.png"], [Path("a.png")]])
def test_names_of_files_are_no_pixels_and_the_error_says_how_to_read_them(names):
    with pytest.raises(ArgumentError, match=r"names of files, read each with rot180\.data\.read_image"):
        as_pixels(names)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_bad_pixel_is_found_without_looking_at_each(value):
    x = np.ones((3, 4, 4, 1), np.float32)
    Preprocessing()(x)
    x[1, 2, 3] = value
    with pytest.raises(NonFiniteError, match="1 of 3 images contain infinity or NaN, the first is image 1"):
        Preprocessing()(x)
    with pytest.raises(NonFiniteError):
        Preprocessing()(x[:, ::-1])
    Preprocessing()(np.full((3, 4, 4, 1), 1e30, np.float32))  # the sum of squares overflows, the pixels are finite
