"""Each transform against its matrices: tails of channels, cut tiles, finished outputs, nothing written outside."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from rot180.kernels.memory import aligned
from rot180.kernels.simd import lane_count_of
from rot180.kernels.winograd_transforms import (
    ADD,
    ADD_GATE,
    BIAS,
    DELTA,
    GATE,
    GRADIENT,
    IMAGE,
    POOL,
    WEIGHTS,
    transform_address,
    transform_matrix,
)
from rot180.ops.conv_winograd import OUTPUTS

UNTOUCHED = 180.0
CALL = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 2, *[ctypes.c_void_p] * 6, *[ctypes.c_int64] * 4, ctypes.c_void_p)


def run(taps, what, source, target, scale, shift, other, bounds, channels, limits):
    """Transform (h, w, C) to (H, W, C), of which `channels` are real; rows of `target` have a register more."""
    lanes = lane_count_of(source.dtype)
    whole, part = divmod(channels, lanes)
    if what < GRADIENT:
        whole, part = -(-channels // lanes), 0
    steps = np.array([step // source.itemsize for a in (source, target, other) for step in a.strides[:2]], np.int64)
    pointers = [a.ctypes.data for a in (source, target, scale, shift, other, bounds)]
    CALL(transform_address(source.dtype))(taps, what, *pointers, whole, part, *limits, steps.ctypes.data)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("taps", [3, 5])
@pytest.mark.parametrize("what", [IMAGE, WEIGHTS, DELTA, GRADIENT, BIAS, ADD, GATE, ADD_GATE])
def test_transform_is_its_matrices(taps, what, dtype):
    random = np.random.default_rng(180)
    matrix, _ = transform_matrix(taps, what)
    height, width = matrix.shape
    lanes = lane_count_of(dtype)
    for channels in (1, lanes - 1, lanes, 2 * lanes + 3):
        padded = -(-channels // lanes) * lanes
        source, target = aligned((width, width, padded), dtype), aligned((height, height, padded + 2), dtype)
        other, scale, shift = (aligned((*sides, padded), dtype) for sides in ((height, height), (), ()))
        for array in (source, other, scale, shift):
            array[:] = random.standard_normal(array.shape)
        target[:] = UNTOUCHED
        bounds = np.array([0.0, 0.7], dtype)
        limits = (height, height) if what < BIAS else (height - 1, max(1, height - 2))
        run(3 if what == IMAGE else taps, what, source, target, scale, shift, other, bounds, channels, limits)
        expected = np.einsum("ai,bj,ijc->abc", matrix, matrix, source, optimize=True)
        if what == ADD_GATE:
            expected = expected + UNTOUCHED
        if what in (GATE, ADD_GATE):
            expected = np.where(other > 0, expected, 0)
        elif what >= BIAS:
            expected = np.clip(expected * scale + shift + (other if what == ADD else 0), *bounds)
        real = channels if what >= GRADIENT else padded
        rows, columns = limits
        tolerance = 1e-5 if dtype == np.float32 else 1e-13
        found = target[:rows, :columns, :real]
        np.testing.assert_allclose(found, expected[:rows, :columns, :real], atol=tolerance * abs(expected).max())
        target[:rows, :columns, :real] = UNTOUCHED
        assert np.all(target == UNTOUCHED)


def test_of_equal_maxima_the_first_wins_and_a_nan_is_largest():
    lanes = lane_count_of(np.float32)
    source, target = aligned((6, 6, 16)), aligned((2, 2, 16))
    places = np.full((2, 2, 64), 7, np.uint8)
    ones, bounds = aligned((16,)) + 1, np.array([-np.inf, np.inf], np.float32)
    source[5, 5] = [np.nan, 5, -5, *[0] * 13]  # the last point: it alone reaches one output, at the last place
    steps = np.array([6 * 16, 16, 32, 16, 128, 64], np.int64)
    pointers = [a.ctypes.data for a in (source, target, ones, ones, places, bounds)]
    CALL(transform_address(source.dtype))(3, POOL, *pointers, 1, 0, 2, 2, steps.ctypes.data)
    assert np.isnan(target[1, 1, 0])
    assert target[1, 1, 1:4].tolist() == [6, 1, 1]
    assert places[1, 1, :4].tolist() == [3, 3, 0, 0]
    assert np.all(places[0, :, :lanes] == 0)
    assert np.all(places[:, :, lanes:] == 7)


@pytest.mark.parametrize("taps", [3, 5])
@pytest.mark.parametrize("what", [BIAS, ADD])
def test_a_nan_passes_the_bounds(taps, what):
    side = OUTPUTS[taps]
    source, target = aligned((6, 6, 16)), aligned((side, side, 16))
    source[1, 1] = np.nan
    run(
        taps,
        what,
        source,
        target,
        aligned((16,)),
        aligned((16,)),
        target,
        np.array([0, np.inf], np.float32),
        16,
        (side, side),
    )
    assert np.all(np.isnan(target))
