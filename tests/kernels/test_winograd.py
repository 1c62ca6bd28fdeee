"""Minimal filtering, compiled, against the reference: drawn geometries, both ways to store weights, NaN, threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rot180 import kernels, ops
from rot180.kernels import winograd_calls
from rot180.kernels.feature_map import NO_PADDING, new_map
from rot180.kernels.finishing import Finish, biased
from rot180.kernels.launching import most_threads, threads_in_use, use_threads
from rot180.kernels.memory import aligned
from rot180.kernels.simd import lane_count_of
from rot180.kernels.tile import TILE_VECTORS
from rot180.kernels.winograd_calls import Winograd, delta_room, image_room
from rot180.kernels.winograd_transforms import CLOSED
from rot180.ops.geometry import geometry

FEW = pytest.mark.parametrize("few", [False, True], ids=["many tiles", "few tiles"])


@pytest.fixture
def either(few, monkeypatch):
    monkeypatch.setattr(winograd_calls, "is_few", lambda *sizes: few)


def close(found, expected, dtype):
    """Within five times the error of direct convolution."""
    assert (found.dtype, found.shape) == (dtype, expected.shape)
    largest = np.abs(expected).max(initial=0.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=(1e-5 if dtype == np.float32 else 2e-14) * largest)


@FEW
@pytest.mark.usefixtures("either")
@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    data=st.data(),
    taps=st.sampled_from([3, 5]),
    sizes=st.tuples(st.integers(1, 15), st.integers(1, 15)),
    channels=st.sampled_from([1, 3, 16, 17, 40, 130]),
    filters=st.sampled_from([1, 5, 8, 16, 31, 48, 70]),
    images=st.integers(0, 3),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_any_geometry(data, taps, sizes, channels, filters, images, dtype):
    sides = st.tuples(st.integers(0, 6), st.integers(0, 6))
    padding = data.draw(st.one_of(st.just("same"), st.tuples(sides, sides)))
    if padding != "same":
        reach = [size + sum(side) for size, side in zip(sizes, padding, strict=True)]
        padding = "same" if min(reach) < taps else padding
    rng = np.random.default_rng(180)
    x, w = rng.normal(size=(images, *sizes, channels)), rng.normal(size=(taps, taps, channels, filters))
    y = ops.conv2d(x, w, b := rng.normal(size=filters), padding=padding)
    dy = rng.normal(size=y.shape)
    dx = ops.conv2d_backward(dy, x, w, padding=padding, needs=("x",))[0]
    x, w, b, dy = (a.astype(dtype) for a in (x, w, b, dy))
    options = {"padding": padding, "algorithm": "winograd"}
    close(kernels.conv2d(x, w, b, **options), y, dtype)
    close(kernels.conv2d_backward(dy, x, w, needs=("x",), **options)[0], dx, dtype)


def prepared(rng, few, channels=20, filters=37):
    """A convolution in maps that lie anywhere in their buffers, surrounded by NaN where nothing is to be written."""
    g = geometry(9, 7, (3, 3), stride=1, padding="same")
    w = aligned((3, 3, channels, filters))
    w[...] = rng.normal(size=w.shape)
    calls = Winograd(w, g, count=3, threads=most_threads(), scratch=poisoned)
    x = new_map(3, (9, 7, channels), image_room(g), np.float32)
    x.inside[...] = rng.normal(size=x.inside.shape)
    delta = new_map(3, (9, 7, filters), delta_room(g), np.float32)
    delta.inside[...] = rng.normal(size=delta.inside.shape)
    return calls, x, delta


def poisoned(shape, dtype=None):
    array = aligned(shape, dtype or np.float32)
    array[...] = np.nan
    return array


def made(calls, target, before=np.nan):
    target.array[...] = np.nan
    target.inside[...] = before
    for call in calls:
        call()
    outside = target.array.copy()
    outside[:, target.top : target.top + target.height, target.left : target.left + target.width] = np.nan
    assert np.isnan(outside).all()
    return target.inside.copy()


@FEW
@pytest.mark.usefixtures("either")
def test_outputs_are_finished_in_place(few):
    rng = np.random.default_rng(0)
    calls, x, delta = prepared(rng, few)
    bias, scale = rng.normal(size=(2, 37)).astype(np.float32)
    y = new_map(3, (9, 7, 37), ((1, 3), (2, 0)), np.float32)
    added = new_map(3, (9, 7, 37), ((2, 0), (0, 1)), np.float32)
    added.inside[...] = rng.normal(size=added.inside.shape)
    plain = ops.conv2d(*(np.float64(a) for a in (x.inside, calls.w, bias)), padding="same")
    close(made(calls.forward(x, y, Finish(np.ones_like(bias), bias, (0.0, 6.0))), y), np.clip(plain, 0, 6), np.float32)
    scaled = (plain - bias) * scale + bias + added.inside
    close(made(calls.forward(x, y, Finish(scale, bias, (0.0, np.inf), added)), y), np.maximum(scaled, 0), np.float32)
    dx = new_map(3, (9, 7, 20), ((0, 1), (1, 1)), np.float32)
    arguments = (np.float64(a) for a in (delta.inside, x.inside, calls.w))
    expected = ops.conv2d_backward(*arguments, padding="same", needs=("x",))[0]
    close(made(calls.data_gradient(delta, dx, x), dx), np.where(x.inside > 0, expected, 0), np.float32)
    for gate in (None, x):
        before = rng.normal(size=dx.inside.shape).astype(np.float32)
        found = made(calls.data_gradient(delta, dx, gate, add=True), dx, before)
        close(found, np.where(x.inside > 0, before + expected, 0) if gate else before + expected, np.float32)


@FEW
@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("taps", [3, 5])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("relu", [False, True])
def test_outputs_are_pooled(few, taps, padding, relu):
    rng = np.random.default_rng(0)
    g = geometry(11, 14, (taps, taps), stride=1, padding=padding)
    w, bias, scale = aligned((taps, taps, 6, 37)), *rng.normal(size=(2, 37)).astype(np.float32)
    w[...] = rng.normal(size=w.shape)
    calls = Winograd(w, g, count=3, threads=most_threads(), scratch=poisoned)
    x = new_map(3, (11, 14, 6), image_room(g), np.float32)
    x.inside[...] = rng.normal(size=x.inside.shape)
    plain = ops.conv2d(np.float64(x.inside), np.float64(w), padding=padding) * scale + bias
    expected, places = ops.max_pool2d(plain, 2)
    y = new_map(3, expected.shape[1:], ((1, 0), (2, 1)), np.float32)
    winners = np.full(expected.shape, 7, np.uint8)
    limits = (0.0, np.inf) if relu else (-np.inf, np.inf)
    close(made(calls.pooled(x, y, winners, Finish(scale, bias, limits)), y), np.clip(expected, *limits), np.float32)
    # The largest two are only ordered up to rounding.
    at = np.where(winners == CLOSED, places, winners)
    chosen = np.take_along_axis(windows(plain, expected.shape), at[..., None], axis=-1)[..., 0]
    close(chosen.astype(np.float32), expected, np.float32)
    assert np.array_equal(winners == CLOSED, (y.inside <= 0) & relu)


def windows(images, shape):
    """(N, OH, OW, F, 4): the windows of 2x2."""
    count, height, width, filters = shape
    cut = images[:, : 2 * height, : 2 * width].reshape(count, height, 2, width, 2, filters)
    return cut.transpose(0, 1, 3, 5, 2, 4).reshape(*shape, 4)


def both_passes(calls, x, delta):
    """The outputs, and delta of the input."""
    y, dx = (new_map(3, (9, 7, size), NO_PADDING, np.float32) for size in (37, x.array.shape[3]))
    return made(calls.forward(x, y, biased(np.zeros(37, np.float32))), y), made(calls.data_gradient(delta, dx), dx)


@FEW
@pytest.mark.usefixtures("either")
def test_threads_make_no_difference(few):
    calls, x, delta = prepared(np.random.default_rng(0), few)
    found = []
    before = threads_in_use()
    for threads in range(1, before + 1):
        use_threads(threads)
        y, dx = (new_map(3, (9, 7, size), NO_PADDING, np.float32) for size in (37, 20))
        found.append(
            (made(calls.forward(x, y, biased(np.zeros(37, np.float32))), y), made(calls.data_gradient(delta, dx), dx))
        )
    use_threads(before)
    for y, dx in found[1:]:
        assert np.array_equal(y, found[0][0])
        assert np.array_equal(dx, found[0][1])


def test_both_ways_compute_the_same_bits(monkeypatch):
    found = []
    for few in (False, True):
        monkeypatch.setattr(winograd_calls, "is_few", lambda *sizes, few=few: few)
        calls, x, delta = prepared(np.random.default_rng(0), few, channels=300, filters=200)
        y, dx = (new_map(3, (9, 7, size), NO_PADDING, np.float32) for size in (200, 300))
        bias = biased(np.zeros(200, np.float32))
        found.append((made(calls.forward(x, y, bias), y), made(calls.data_gradient(delta, dx), dx)))
    for ours, theirs in zip(*found, strict=True):
        assert np.array_equal(ours, theirs)


def all_passes(channels, images, size, dtype):
    """Outputs that are plain, added to, gated, added to and gated, and pooled, of as many filters as channels."""
    rng = np.random.default_rng(180)
    height, width = size
    g = geometry(height, width, (3, 3), stride=1, padding="same")
    w, scale, shift = aligned((3, 3, channels, channels), dtype), *rng.normal(size=(2, channels)).astype(dtype)
    w[...] = rng.normal(size=w.shape)
    calls = Winograd(w, g, count=images, threads=most_threads(), scratch=lambda s, d=None: poisoned(s, d or dtype))

    def a_map(sides, *shape):
        return new_map(images, (*(shape or size), channels), sides, dtype)

    x, delta, added = a_map(image_room(g)), a_map(delta_room(g)), a_map(((2, 0), (0, 1)))
    for one in (x, delta, added):
        one.inside[...] = rng.normal(size=one.inside.shape)
    targets = [a_map(((1, 3), (2, 0))) for _ in range(3)]
    half = a_map(((0, 1), (1, 0)), height // 2, width // 2)
    winners = np.zeros(half.inside.shape, np.uint8)
    limits = (-0.5, 6.0)
    ways = [
        (calls.forward(x, targets[0], Finish(scale, shift, limits)), targets[0]),
        (calls.forward(x, targets[1], Finish(scale, shift, limits, added)), targets[1]),
        (calls.data_gradient(delta, targets[2], x), targets[2]),
        (calls.pooled(x, half, winners, Finish(scale, shift, limits)), half),
    ]
    sums = (made(calls.data_gradient(delta, added, gate, add=True), added, 0.5) for gate in (None, x))
    return [*(made(prepared, target) for prepared, target in ways), *sums, winners]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("registers", [1, TILE_VECTORS])
@pytest.mark.parametrize("size", [(8, 16), (5, 30), (13, 9), (4, 5)], ids=str)
def test_sums_in_place_of_pixels_are_the_same_bits(registers, size, dtype, monkeypatch):
    monkeypatch.setattr(winograd_calls, "is_few", lambda *sizes: False)
    arguments = registers * lane_count_of(dtype), 3, size, dtype
    before = threads_in_use()
    found = []
    for threads in range(1, before + 1):
        use_threads(threads)
        found.append(all_passes(*arguments))
    use_threads(before)
    monkeypatch.setattr(winograd_calls, "is_in_place", lambda *sizes: False)
    found.append(all_passes(*arguments))
    for arrays in found[1:]:
        assert all(map(np.array_equal, arrays, found[0]))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("taps", [3, 5])
def test_what_is_not_finite_reaches_all_that_it_reaches_in_direct_convolution(taps, bad):
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(1, 11, 9, 4)), rng.normal(size=(taps, taps, 4, 5))
    w[:, :, :, 2] = 0  # 0 * NaN, and 0 * infinity, is NaN
    for row in range(11):
        spoiled = x.copy()
        spoiled[0, row, row % 9, 1] = bad
        direct = kernels.conv2d(spoiled, w, padding="same", algorithm="windows")
        found = kernels.conv2d(spoiled, w, padding="same", algorithm="winograd")
        assert np.isfinite(found[np.isfinite(direct)]).any()
        assert not np.isfinite(found[~np.isfinite(direct)]).any()
    for cell in range(taps * taps):
        spoiled = w.copy()
        spoiled[cell // taps, cell % taps, 1, 3] = bad
        found = kernels.conv2d(x, spoiled, padding="same", algorithm="winograd")
        assert not np.isfinite(found[~np.isfinite(kernels.conv2d(x, spoiled, padding="same", algorithm="loops"))]).any()
        assert np.isfinite(found[..., :3]).all()
