"""The gradients of convolution are convolutions again: each identity against the definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.signal import convolve2d, correlate2d

from rot180.ops.conv2d import conv2d, conv2d_backward
from rot180.ops.conv_identities import (
    bias_gradient_by_sum,
    data_gradient_by_rotation,
    weight_gradient_by_correlation,
)
from rot180.ops.conv_layout import crop, fold, pad, windows
from rot180.ops.conv_rotation import pad_delta, rotate180, spread
from rot180.ops.geometry import geometry

CASES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 5, 6, 2), (3, 2, 2, 3), {}),
    ((2, 6, 7, 2), (5, 3, 2, 3), {"padding": "same"}),
    ((1, 7, 8, 1), (3, 2, 1, 2), {"stride": (3, 2)}),  # pixels left over in both directions
    ((2, 9, 7, 2), (2, 3, 2, 2), {"stride": 2, "dilation": (3, 1), "padding": ((0, 2), (1, 0))}),
    ((1, 8, 8, 4), (3, 3, 2, 6), {"groups": 2, "stride": 2, "padding": "same", "dilation": 2}),
    ((2, 5, 5, 3), (3, 3, 1, 3), {"groups": 3, "padding": 1}),
    ((1, 3, 4, 1), (2, 2, 1, 1), {"padding": 4}),  # more padding than the kernel reaches: delta is cut
    ((1, 4, 4, 1), (1, 1, 1, 2), {"stride": 3, "padding": (3, 2)}),
    ((1, 2, 2, 1), (2, 2, 1, 1), {"padding": 7, "stride": 5}),
]


@pytest.fixture(params=range(len(CASES)))
def case(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    x_shape, w_shape, arguments = CASES[request.param]
    generator = np.random.default_rng(request.param)
    x, w = generator.normal(size=x_shape), generator.normal(size=w_shape)
    dy = generator.normal(size=conv2d(x, w, algorithm="loops", **arguments).shape)
    return dy, x, w, arguments


def test_dx_is_delta_convolved_with_the_rotated_kernel(case: Any) -> None:
    dy, x, w, arguments = case
    dx, _, _ = conv2d_backward(dy, x, w, algorithm="loops", needs="x", **arguments)
    rotated = data_gradient_by_rotation(dy, w, x.shape, **arguments)
    np.testing.assert_allclose(rotated, dx, rtol=0, atol=1e-12 * np.abs(dx).max(initial=1))


def test_dw_is_the_correlation_of_input_and_delta(case: Any) -> None:
    dy, x, w, arguments = case
    _, dw, _ = conv2d_backward(dy, x, w, algorithm="loops", needs="w", **arguments)
    correlated = weight_gradient_by_correlation(dy, x, w.shape[:2], **arguments)
    np.testing.assert_allclose(correlated, dw, rtol=0, atol=1e-12 * np.abs(dw).max(initial=1))


def test_db_is_the_sum_of_delta(case: Any) -> None:
    dy, x, w, arguments = case
    _, _, db = conv2d_backward(dy, x, w, needs="b", **arguments)
    np.testing.assert_array_equal(bias_gradient_by_sum(dy), db)
    # A bias is the weight of an image of ones.
    ones = np.ones((*dy.shape[:3], 1))
    np.testing.assert_allclose(weight_gradient_by_correlation(dy, ones, 1)[0, 0, 0], db, rtol=1e-12)


def test_the_identities_of_one_channel_in_scipys_words() -> None:
    generator = np.random.default_rng(0)
    x, w = generator.normal(size=(6, 5)), generator.normal(size=(3, 2))
    dy = generator.normal(size=(4, 4))
    dx, dw, _ = conv2d_backward(dy[None, :, :, None], x[None, :, :, None], w[:, :, None, None])
    # scipy's `convolve` rotates the kernel itself, and "full" is padding by KH-1 and KW-1.
    np.testing.assert_allclose(dx[0, :, :, 0], convolve2d(dy, w, mode="full"), rtol=1e-12)
    np.testing.assert_allclose(dw[:, :, 0, 0], correlate2d(x, dy, mode="valid"), rtol=1e-12)


def test_the_rotated_kernel_in_groups() -> None:
    w = np.random.default_rng(0).normal(size=(3, 2, 2, 6))
    turned = rotate180(w, groups=3)
    assert turned.shape == (3, 2, 2, 6)
    for group in range(3):
        own = slice(2 * group, 2 * group + 2)
        np.testing.assert_array_equal(turned[..., own], np.rot90(w[..., own], 2).swapaxes(2, 3))
    np.testing.assert_array_equal(rotate180(turned, groups=3), w)


def test_delta_is_spread_to_what_stride_1_would_have_given() -> None:
    dy = np.arange(1.0, 7.0).reshape(1, 2, 3, 1)
    np.testing.assert_array_equal(
        spread(dy, (3, 2))[0, :, :, 0], [[1, 0, 2, 0, 3], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [4, 0, 5, 0, 6]]
    )
    assert spread(dy, 1) is dy


def test_delta_is_padded_for_the_image_alone() -> None:
    g = geometry(5, 6, (3, 3), padding=((0, 2), (2, 1)))
    delta = np.ones((1, g.out_height, g.out_width, 1))
    padded = pad_delta(delta, g)[0, :, :, 0]
    assert padded.shape == (5 + 2, 6 + 2)
    np.testing.assert_array_equal(padded.any(axis=1), [False, False, True, True, True, True, True])
    # On the left the padding is all that the kernel reaches, and no zeros are left to add; on the right one is.
    np.testing.assert_array_equal(padded.any(axis=0), [True] * 7 + [False])


def test_moving_values_and_moving_them_back_are_adjoint() -> None:
    g = geometry(7, 6, (2, 3), stride=(2, 1), dilation=(3, 1), padding=((1, 0), (2, 1)))
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2, 7, 6, 2))
    x_windows = windows(pad(x, g), g)
    c = generator.normal(size=x_windows.shape)
    assert np.vdot(x_windows, c) == pytest.approx(np.vdot(x, crop(fold(c, g), g)), rel=1e-12)
