"""What training images look like, and what is unlike them: never a false alarm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rot180
from rot180.errors import ArgumentError
from rot180.nn.image_statistics import ImageStatistics, StoredImages

WHOLE = (0.0, 255.0)


def alarms(known: ImageStatistics, images: Any) -> int:
    return sum(bool(known.unlike(images[number : number + 1], WHOLE)) for number in range(len(images)))


def known_of(images: Any, stored: StoredImages | None = None) -> ImageStatistics:
    known = ImageStatistics.of(images, WHOLE, stored)
    assert known is not None
    assert ImageStatistics.from_dict(json.loads(json.dumps(known.to_dict()))) == known
    return known


def test_no_digit_is_taken_for_a_negative_and_every_negative_is_told() -> None:
    data = rot180.load_data("digits")
    known = known_of(data.train_images)
    assert alarms(known, data.test_images) == 0
    assert alarms(known, 255 - data.test_images) == len(data.test_images)
    negative = known_of(255 - data.train_images)
    assert negative.unlike(data.test_images, WHOLE)[0].startswith("the background is dark, while that of the")


def test_no_digit_of_mnist_is_taken_for_a_negative(mnist_folder: Path) -> None:
    data = rot180.load_data(mnist_folder)
    known, test = known_of(data.train_images), data.test_images[:1000]
    assert alarms(known, test) == 0
    assert alarms(known, 255 - test) == 1000


def test_photographs_have_no_polarity() -> None:
    images = np.random.default_rng(0).integers(0, 256, (200, 1, 1, 3)).repeat(16, 1).repeat(16, 2).astype(np.uint8)
    known = known_of(images)
    assert alarms(known, images) == alarms(known, 255 - images) == 0


@pytest.mark.parametrize(
    ("size", "reason"), [((2401, 2500), "2401x2500, while no"), ((30, 37), "30x37, while every"), ((60, 2500), None)]
)
def test_sizes_are_those_of_the_files(size: tuple[int, int], reason: str | None) -> None:
    images = np.zeros((3, 16, 16, 1), np.uint8)
    found = known_of(images, StoredImages(300, 300, are_gray=True)).unlike(images[:1], WHOLE, size=size)
    assert [text.partition(" training")[0] for text in found] == ([] if reason is None else [f"{reason}"])


def test_colors() -> None:
    gray = np.full((50, 8, 8, 3), 128, np.uint8)
    color = gray.copy()
    color[..., 0] = 255
    assert known_of(gray).unlike(color, WHOLE) == ("in color, while the training images are gray",)
    assert known_of(color).unlike(gray, WHOLE) == ("gray, while the training images are in color",)
    one = gray[..., :1]
    assert known_of(one).unlike(one, WHOLE, color=0.5) == ("in color, while the training images are gray",)
    # color photographs that became gray: how colorful they were is not known
    assert known_of(one, StoredImages(8, 8, are_gray=False)).unlike(one, WHOLE, color=0.5) == ()


def test_vectors_are_no_images() -> None:
    assert ImageStatistics.of(np.zeros((5, 64)), (0, 1)) is None


@pytest.mark.parametrize(
    "values", [[], {"background": [0, 1]}, {"background": [1, 0], "color": None, "sides": [8, 8]},
               {"background": [0, 1], "color": [0], "sides": [8, 8]}, {"background": [0, 1], "color": None, "sides": 8}]
)  # fmt: skip
def test_statistics_that_cannot_be_read(values: Any) -> None:
    with pytest.raises(ArgumentError, match="pairs background, color, sides"):
        ImageStatistics.from_dict(values)
