"""Pooling against plain loops, differences, a Kronecker product and hand-made windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rot180.errors import ArgumentError, ShapeError
from rot180.inside.gradient_check import check_operation
from rot180.ops import avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward
from rot180.ops.geometry import geometry
from rot180.ops.recorder import listening

GEOMETRIES = [
    {"kernel_size": 2},
    {"kernel_size": (2, 3), "stride": (1, 2)},
    {"kernel_size": 3, "stride": 2, "padding": "same"},
    {"kernel_size": 3, "stride": 1, "padding": ((1, 0), (2, 1))},
    {"kernel_size": 2, "stride": 3, "padding": 1},
    {"kernel_size": 3, "stride": 2, "ceil_mode": True},
    {"kernel_size": (2, 3), "stride": 4, "padding": (1, 1), "ceil_mode": True},
]


def starts(n, k, s, before, after, ceil_mode):
    """Give the starts of the windows along one axis, counted from the image.

    Rounded up, a window counts if the one before it left something over and if it does not start behind the image.
    """
    place = 0
    while place + k <= n + before + after or (ceil_mode and place - s + k < n + before + after and place < n + before):
        yield place - before
        place += s


def by_loops(x, kernel_size, stride, padding, ceil_mode=False):
    """Give each window's own pixels with their places, and how many pixels it has with padding, window by window."""
    size, (kh, kw) = x.shape[1:3], kernel_size
    steps = kernel_size if stride is None else stride
    (top, bottom), (left, right) = geometry(*size, kernel_size, stride=steps, padding=padding).padding
    for i, row in enumerate(starts(size[0], kh, steps[0], top, bottom, ceil_mode)):
        for j, column in enumerate(starts(size[1], kw, steps[1], left, right, ceil_mode)):
            taps = [(u * kw + v, row + u, column + v) for u in range(kh) for v in range(kw)]
            padded = [tap for tap in taps if tap[1] < size[0] + bottom and tap[2] < size[1] + right]
            inside = [tap for tap in padded if 0 <= tap[1] < size[0] and 0 <= tap[2] < size[1]]
            yield i, j, inside, len(padded)


@st.composite
def poolings(draw):
    """Draw integer-valued images, so that ties are frequent, and a geometry in which every window holds a pixel."""
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 4)))
    height, width = draw(st.integers(kernel[0], 8)), draw(st.integers(kernel[1], 8))
    stride = draw(st.one_of(st.none(), st.tuples(st.integers(1, 4), st.integers(1, 4))))
    before = [draw(st.integers(0, k - 1)) for k in kernel]
    after = [draw(st.integers(0, k - 1)) for k in kernel]
    numbers = tuple(zip(before, after, strict=True))
    padding = draw(st.sampled_from(["valid", "same", numbers]))
    n, c = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    generator = np.random.default_rng(draw(st.integers(0, 1000)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    x = generator.integers(-4, 4, size=(n, height, width, c)).astype(dtype)
    return x, kernel, {"stride": stride, "padding": padding, "ceil_mode": draw(st.booleans())}


@settings(max_examples=200, deadline=None, derandomize=True)
@given(poolings())
def test_max_pool_is_the_plain_loop(drawn):
    x, kernel, options = drawn
    y, winners = max_pool2d(x, kernel, **options)
    dy = np.random.default_rng(0).integers(1, 9, size=y.shape).astype(x.dtype)
    dx = max_pool2d_backward(dy, winners, x.shape, kernel, **options)
    expected_dx = np.zeros_like(x)
    windows = list(by_loops(x, kernel, **options))
    assert windows[-1][:2] == (y.shape[1] - 1, y.shape[2] - 1)
    for i, j, pixels, _ in windows:
        for n in range(x.shape[0]):
            for c in range(x.shape[3]):
                place, row, column = max(pixels, key=lambda p: x[n, p[1], p[2], c])  # the first of equal ones
                assert y[n, i, j, c] == x[n, row, column, c]
                assert winners[n, i, j, c] == place
                expected_dx[n, row, column, c] += dy[n, i, j, c]
    np.testing.assert_array_equal(dx, expected_dx)
    assert y.dtype == dx.dtype == x.dtype
    assert winners.dtype == np.int32
    assert dx.flags.c_contiguous


@settings(max_examples=200, deadline=None, derandomize=True)
@given(poolings(), st.booleans())
def test_avg_pool_is_the_plain_loop(drawn, count_include_pad):
    x, kernel, options = drawn
    windows = list(by_loops(x, kernel, **options))
    options = {**options, "count_include_pad": count_include_pad}
    y = avg_pool2d(x, kernel, **options)
    dy = np.random.default_rng(0).normal(size=y.shape).astype(x.dtype)
    dx = avg_pool2d_backward(dy, x.shape, kernel, **options)
    expected_y, expected_dx = np.zeros_like(y), np.zeros_like(x)
    for i, j, pixels, padded in windows:
        count = padded if count_include_pad else len(pixels)
        for _, row, column in pixels:
            expected_y[:, i, j] += x[:, row, column] / count
            expected_dx[:, row, column] += dy[:, i, j] / count
    np.testing.assert_allclose(y, expected_y, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(dx, expected_dx, rtol=1e-5, atol=1e-5)
    assert y.dtype == dx.dtype == x.dtype


@pytest.mark.parametrize("options", GEOMETRIES)
def test_max_pool_gradient(options):
    x = np.random.default_rng(1).permutation(2 * 7 * 6 * 3).reshape(2, 7, 6, 3) / 50.0

    def backward(dy, x):
        return {"x": max_pool2d_backward(dy, max_pool2d(x, **options)[1], x.shape, **options)}

    check = check_operation(lambda x: max_pool2d(x, **options)[0], backward, {"x": x})
    assert check.passed, check


@pytest.mark.parametrize("count_include_pad", [True, False])
@pytest.mark.parametrize("options", GEOMETRIES)
def test_avg_pool_gradient(options, count_include_pad):
    options = {**options, "count_include_pad": count_include_pad}
    x = np.random.default_rng(1).normal(size=(2, 7, 6, 3))
    check = check_operation(
        lambda x: avg_pool2d(x, **options), lambda dy, x: {"x": avg_pool2d_backward(dy, x.shape, **options)}, {"x": x}
    )
    assert check.passed, check


@pytest.mark.parametrize("kernel", [(2, 2), (3, 2), (1, 4)])
def test_avg_pool_backward_is_a_kronecker_product(kernel):
    dy = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    dx = avg_pool2d_backward(dy, (2, 3 * kernel[0], 4 * kernel[1], 5), kernel)
    block = np.ones(kernel) / (kernel[0] * kernel[1])
    np.testing.assert_allclose(dx, np.kron(dy, block[None, :, :, None]), rtol=1e-15)
    for n in range(2):
        for c in range(5):
            np.testing.assert_allclose(dx[n, :, :, c], np.kron(dy[n, :, :, c], block), rtol=1e-15)


def test_the_first_of_equal_maxima_takes_all_of_delta():
    x = np.full((1, 2, 4, 1), 7.0)
    y, winners = max_pool2d(x, 2)
    dx = max_pool2d_backward(np.array([[3.0, 5.0]]).reshape(y.shape), winners, x.shape, 2)
    np.testing.assert_array_equal(dx[0, :, :, 0], [[3, 0, 5, 0], [0, 0, 0, 0]])


def test_windows_rounded_up_as_in_pytorch():
    for n, kernel, stride, padding, out in (
        (112, 3, 2, 0, 56),
        (2, 3, 2, 0, 1),
        (5, 2, 2, 1, 3),
        (4, 2, 3, 1, 2),
        (3, 1, 3, 0, 1),
    ):
        x = np.ones((1, n, n, 1))
        y, _ = max_pool2d(x, kernel, stride=stride, padding=padding, ceil_mode=True)
        assert y.shape[1:3] == (out, out)
        np.testing.assert_array_equal(y, 1)
    mean = avg_pool2d(np.ones((1, 1, 3, 1)), (1, 2), padding=(0, 0), ceil_mode=True)
    np.testing.assert_array_equal(mean.ravel(), [1, 1])  # what is beyond the padding does not count
    with pytest.raises(ShapeError, match="the window is 4 pixels high but the padded image only 2"):
        max_pool2d(np.ones((1, 2, 2, 1)), 4, stride=2, ceil_mode=True)


def test_deltas_of_overlapping_windows_add():
    x = np.array([1.0, 9.0, 2.0]).reshape(1, 1, 3, 1)
    y, winners = max_pool2d(x, (1, 2), stride=1)
    dx = max_pool2d_backward(np.array([3.0, 5.0]).reshape(y.shape), winners, x.shape, (1, 2), stride=1)
    np.testing.assert_array_equal(dx.ravel(), [0, 8, 0])


def test_the_remainder_is_dropped_and_gets_no_gradient():
    x = np.random.default_rng(0).normal(size=(1, 5, 7, 1))
    y, winners = max_pool2d(x, 2)
    assert y.shape == (1, 2, 3, 1)
    for dx in (
        max_pool2d_backward(np.ones_like(y), winners, x.shape, 2),
        avg_pool2d_backward(np.ones_like(y), x.shape, 2),
    ):
        assert dx.shape == x.shape
        assert not dx[:, 4:].any()
        assert not dx[:, :, 6:].any()


def test_padding_never_wins():
    x = np.full((1, 2, 2, 1), -np.inf)
    _, winners = max_pool2d(x, 2, stride=1, padding=1)
    dx = max_pool2d_backward(np.ones(winners.shape), winners, x.shape, 2, stride=1, padding=1)
    assert dx.sum() == winners.size


@pytest.mark.parametrize("place", [0, 1, 3])
def test_nan_wins_and_takes_delta(place):
    x = np.array([1.0, 2.0, 3.0, 4.0])
    x[place] = np.nan
    y, winners = max_pool2d(x.reshape(1, 2, 2, 1), 2)
    assert np.isnan(y).all()
    assert winners.item() == place
    x[:] = np.nan
    assert max_pool2d(x.reshape(1, 2, 2, 1), 2)[1].item() == 0


def test_a_window_of_more_than_256_taps():
    x = np.arange(20 * 20, dtype=np.float32).reshape(1, 20, 20, 1)
    y, winners = max_pool2d(x, 20)
    assert (y.item(), winners.item()) == (399, 399)


def test_names_are_recorded():
    names = []
    x = np.ones((1, 3, 3, 1))
    with listening(lambda name, array: names.append(name)):
        y, winners = max_pool2d(x, 2, padding=1)
        max_pool2d_backward(y, winners, x.shape, 2, padding=1)
    assert names == ["x_pad", "winners", "y", "dx"]


def test_wrong_arguments_are_explained():
    x = np.ones((1, 4, 4, 1))
    with pytest.raises(ShapeError, match=r"max_pool2d: x must have four axes .* \(4, 4\)"):
        max_pool2d(np.ones((4, 4)), 2)
    with pytest.raises(ArgumentError, match="max_pool2d: x must be float32 or float64; it is uint8"):
        max_pool2d(x.astype(np.uint8), 2)
    with pytest.raises(ArgumentError, match="avg_pool2d: x must be float32 or float64; it is int64"):
        avg_pool2d(x.astype(np.int64), 2)
    with pytest.raises(ShapeError, match="max_pool2d: the window is 5 pixels high but the padded image only 4"):
        max_pool2d(x, 5)
    with pytest.raises(ArgumentError, match="every window must hold a pixel"):
        max_pool2d(x, 2, padding=2)
    with pytest.raises(ArgumentError, match="every window must hold a pixel"):
        avg_pool2d(x, 2, padding=((0, 2), (0, 0)), count_include_pad=False)
    with pytest.raises(ShapeError, match=r"dy must have the shape of y, \(1, 2, 2, 1\); it is \(1, 4, 4, 1\)"):
        avg_pool2d_backward(x, x.shape, 2)
    with pytest.raises(ShapeError, match="winners must have the shape of y"):
        max_pool2d_backward(x[:, :2, :2], np.zeros((1, 1, 1, 1), np.int32), x.shape, 2)
