"""Resampling against its definition, written out; and transformations one after another."""

from __future__ import annotations

import numpy as np
import pytest

from rot180.data.augment.look import Look
from rot180.data.augment.warp import matrix, then, turned, warp

GENERATOR = np.random.default_rng(0)


def pixel(image: np.ndarray, row: int, column: int, outside: float | None, repeats_edge: bool) -> np.ndarray:
    """Return one pixel of an image that goes on forever."""
    height, width, channels = image.shape
    if outside is None:
        row, column = (
            min(n % (2 * size), 2 * size - 1 - n % (2 * size)) for n, size in ((row, height), (column, width))
        )
    ring = 1 if repeats_edge else 0
    if not (-ring <= row < height + ring and -ring <= column < width + ring):
        return np.full(channels, outside)
    return image[min(max(row, 0), height - 1), min(max(column, 0), width - 1)]


@pytest.mark.parametrize("outside", [0.0, 7.0, None])
@pytest.mark.parametrize("repeats_edge", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_sampling_is_that_of_the_definition(outside: float | None, repeats_edge: bool, dtype: type) -> None:
    images = GENERATOR.integers(10, 250, (3, 4, 5, 2)).astype(dtype)
    places = GENERATOR.uniform(-14, 14, (2, 3, 4, 5)).astype(np.float32)
    transformations = matrix(*GENERATOR.normal(size=(4, 3)), shift=tuple(GENERATOR.normal(size=(2, 3))))
    look = Look(outside or 0, 240, "black" if outside is not None else "reflect")
    found = warp(images, transformations, look, places, repeats_edge=repeats_edge)
    assert found.dtype == dtype
    for n, i, j in np.ndindex(3, 4, 5):
        position = transformations[n] @ (i - 1.5, j - 2, 1) + places[:, n, i, j] + (1.5, 2)
        (row, column), (top, left) = position, np.floor(position).astype(int)
        expected = sum(
            pixel(images[n], top + u, left + v, outside, repeats_edge)
            * (row - top if u else 1 - row + top)
            * (column - left if v else 1 - column + left)
            for u in (0, 1)
            for v in (0, 1)
        )
        tolerance = 0.501 if images.dtype.kind == "u" else 1e-4
        np.testing.assert_allclose(found[n, i, j], np.minimum(expected, 240), rtol=0, atol=tolerance)


@pytest.mark.parametrize("border", ["black", "reflect"])
@pytest.mark.parametrize("place", [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e9])
def test_places_far_away_are_harmless(place: float, border: str) -> None:
    images = GENERATOR.integers(1, 256, (2, 3, 3, 1)).astype(np.float32)
    found = warp(images, np.repeat(matrix(), 2, 0), Look(0, 255, border), np.full((2, 2, 3, 3), place, np.float32))
    assert found.min() >= 0
    assert found.max() <= 255
    assert np.isnan(place) or border == "reflect" or not found.any()


def test_places_on_pixels_give_these_pixels_exactly() -> None:
    images = GENERATOR.integers(0, 65536, (2, 7, 6, 3), dtype=np.uint16)
    for angle, turns in ((0, 0), (np.pi, 2)):
        found = warp(images, np.repeat(turned(np.array([angle]), np.ones(1)), 2, 0), Look(0, 65535, "black"))
        np.testing.assert_array_equal(found, np.rot90(images, turns, axes=(1, 2)))


def test_one_after_another_is_their_product() -> None:
    first, second, third = (
        matrix(*GENERATOR.normal(size=(4, 5)), shift=tuple(GENERATOR.normal(size=(2, 5)))) for _ in "123"
    )
    np.testing.assert_allclose(then(then(first, second), third), then(first, then(second, third)), rtol=1e-10)
    place = np.array([3.0, -2.0, 1.0])
    by_steps = first[:, :, :2] @ (second @ place)[..., np.newaxis] + first[:, :, 2:]
    np.testing.assert_allclose(then(first, second) @ place, by_steps[..., 0])
