"""The weight gradient by minimal filtering against direct convolution in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rot180 import kernels, ops
from rot180.kernels.feature_map import FeatureMap, new_map
from rot180.kernels.launching import threads_in_use, use_threads
from rot180.kernels.memory import aligned
from rot180.kernels.winograd_weights_calls import filters_weights, weight_gradient_by_tiles
from rot180.ops.geometry import Geometry, geometry

TAPS = (3, 5)


def geometry_of(taps: int, height: int, width: int, padding: Any) -> Geometry:
    return geometry(height, width, (taps, taps), stride=(1, 1), padding=padding, dilation=(1, 1), name="conv2d")


def drawn(seed: int, count: int, g: Geometry, channels: int, filters: int, dtype: Any, around: int = 0) -> Any:
    """Images and delta; beside delta, `around` pixels that nobody may read."""
    rng = np.random.default_rng(seed)
    x = new_map(count, (g.height, g.width, channels), g.padding, dtype)
    delta = new_map(count, (g.out_height, g.out_width, filters), ((around, around), (around, around)), dtype)
    delta.array[...] = np.nan
    for one in (x, delta):
        one.inside[...] = rng.standard_normal(one.inside.shape)
    return x, delta


def computed(x: FeatureMap, delta: FeatureMap, g: Geometry, threads: int = 2) -> np.ndarray:
    taps = g.kernel[0]
    dw = aligned((taps, taps, x.array.shape[3], delta.array.shape[3]), x.array.dtype)

    def scratch(shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
        made = aligned(shape, dtype or x.array.dtype)
        made[...] = np.nan  # whatever is read must have been written
        return made

    weight_gradient_by_tiles(x, delta, dw, g, threads=threads, scratch=scratch)()
    return dw


def exact(x: FeatureMap, delta: FeatureMap, g: Geometry, padding: Any) -> np.ndarray:
    taps = g.kernel[0]
    w = np.zeros((taps, taps, x.array.shape[3], delta.array.shape[3]))
    images, dy = x.inside.astype(np.float64), delta.inside.astype(np.float64)
    return ops.conv2d_backward(dy, images, w, padding=padding, algorithm="im2col", needs=("w",))[1]


def error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    data=st.data(),
    taps=st.sampled_from(TAPS),
    channels=st.sampled_from([1, 3, 8, 15, 16, 17, 33, 64, 65, 100]),
    filters=st.sampled_from([1, 3, 8, 15, 16, 17, 33, 64, 65, 100]),
    count=st.integers(1, 4),
    around=st.integers(0, 1),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_any_geometry(data: Any, taps: int, channels: int, filters: int, count: int, around: int, dtype: Any) -> None:
    sides = st.tuples(st.integers(0, 6), st.integers(0, 6))
    padding = data.draw(st.one_of(st.just("same"), st.just("valid"), st.tuples(sides, sides)))
    height, width = (taps + data.draw(st.integers(0, 12)) for _ in "hw")
    g = geometry_of(taps, height, width, padding)
    x, delta = drawn(0, count, g, channels, filters, dtype, around)
    found = computed(x, delta, g)
    assert error(found, exact(x, delta, g, padding)) < (1e-5 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize(
    ("count", "size", "channels", "filters"),
    [(20, 17, 24, 40), (3, 9, 200, 136), (4, 9, 24, 70), (40, 6, 150, 70), (12, 17, 33, 256)],
)
@pytest.mark.parametrize("taps", TAPS)
def test_same_bits_for_any_number_of_threads(taps: int, count: int, size: int, channels: int, filters: int) -> None:
    """Parts of the batch, shares of the channels or of the filters, and one block of tiles."""
    g = geometry_of(taps, size, size, "same")
    x, delta = drawn(1, count, g, channels, filters, np.float32)
    most = threads_in_use()
    found = []
    try:
        for running in range(1, most + 1):
            use_threads(running)
            found += [computed(x, delta, g, threads=planned) for planned in range(running, 5)]
    finally:
        use_threads(most)
    assert all(np.array_equal(one, found[0]) for one in found)


def test_one_panel_of_channels_is_divided_into_parts_of_the_batch() -> None:
    """However large the sums are: there is nothing else that several threads could divide."""
    g, shapes = geometry_of(3, 16, 16, "same"), []
    x, delta = drawn(1, 16, g, 32, 512, np.float32)

    def scratch(shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
        shapes.append(shape)
        return aligned(shape, dtype or np.float32)

    weight_gradient_by_tiles(x, delta, aligned((3, 3, 32, 512), np.float32), g, threads=2, scratch=scratch)
    _, _, sums, _ = shapes
    assert sums[0] == 4


def test_the_error_is_that_of_good_points() -> None:
    """With the points 0, 1, -1, 2, -2 it would be five times as large."""
    g = geometry_of(3, 32, 32, "same")
    x, delta = drawn(2, 16, g, 64, 64, np.float32)
    assert error(computed(x, delta, g), exact(x, delta, g, "same")) < 2e-6


@pytest.mark.parametrize("where", ["x", "delta"])
@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("taps", TAPS)
def test_what_is_not_finite_reaches_what_it_reaches_directly(taps: int, number: float, where: str) -> None:
    g = geometry_of(taps, 7, 6, ((1, 0), (2, 1)))
    for row, column in ((0, 0), (1, 2)):
        x, delta = drawn(3, 2, g, 5, 4, np.float64)
        one = x if where == "x" else delta
        one.inside[1, row, column, 3] = number
        with np.errstate(invalid="ignore"):
            directly = exact(x, delta, g, ((1, 0), (2, 1)))
        assert not np.isfinite(directly).all()
        assert not np.isfinite(computed(x, delta, g)[~np.isfinite(directly)]).any()


def test_auto_takes_it_where_it_is_faster() -> None:
    def auto(size: int, padding: str, channels: int, filters: int, count: int, groups: int = 1) -> bool:
        w_shape = (3, 3, channels // groups, filters)
        return filters_weights("auto", geometry_of(3, size, size, padding), groups, w_shape, count)

    assert auto(14, "same", 256, 256, 16)
    assert not auto(14, "same", 256, 256, 16, groups=2)
    assert not auto(14, "same", 3, 64, 16)  # most of a register would be empty
    assert not auto(7, "same", 512, 512, 1)  # few tiles for many sums
    assert not auto(3, "valid", 256, 256, 64)  # one output in a tile of 16
    assert not filters_weights("im2col", geometry_of(3, 14, 14, "same"), 1, (3, 3, 256, 256), 16)


@pytest.mark.parametrize(("algorithm", "count"), [("auto", 8), ("winograd", 1), ("winograd", 0)])
def test_the_twin_takes_it(algorithm: str, count: int) -> None:
    """Arrays without room after their end, as users pass them, with channels that end within a register."""
    rng = np.random.default_rng(4)
    x, w = rng.normal(size=(count, 20, 18, 19)), rng.normal(size=(3, 3, 19, 21))
    assert filters_weights(algorithm, geometry_of(3, 20, 18, "valid"), 1, w.shape, count)
    dy = rng.normal(size=(count, 18, 16, 21))
    found = kernels.conv2d_backward(dy, x, w, algorithm=algorithm, needs=("w",))[1]
    np.testing.assert_allclose(found, ops.conv2d_backward(dy, x, w, needs=("w",))[1], rtol=0, atol=1e-10)
