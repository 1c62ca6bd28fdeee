"""The compiled convolution against the reference, for drawn shapes of every kind."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rot180 import kernels, ops
from rot180.errors import ArgumentError, ShapeError


def close(ours, reference, dtype):
    assert ours.dtype == reference.dtype == dtype
    assert ours.shape == reference.shape
    largest = np.abs(reference).max() if reference.size else 0.0
    np.testing.assert_allclose(
        ours, reference, rtol=0, atol=(2e-5 if dtype == np.float32 else 1e-12) * (largest + 1e-3)
    )


def parity(x_shape, w_shape, dtype=np.float32, seed=0, **geometry):
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=x_shape).astype(dtype), rng.normal(size=w_shape).astype(dtype)
    b = rng.normal(size=w_shape[3]).astype(dtype)
    y = ops.conv2d(x, w, b, **geometry)
    close(kernels.conv2d(x, w, b, **geometry), y, dtype)
    dy = rng.normal(size=y.shape).astype(dtype)
    pairs = zip(kernels.conv2d_backward(dy, x, w, **geometry), ops.conv2d_backward(dy, x, w, **geometry), strict=True)
    for ours, reference in pairs:
        close(ours, reference, dtype)


small = st.integers(1, 3)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    data=st.data(),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(small, small),
    dilation=st.tuples(small, small),
    groups=st.sampled_from([1, 1, 1, 2, 5]),
    per_group=st.tuples(st.sampled_from([1, 2, 3, 17]), st.sampled_from([1, 2, 9, 35])),
    images=st.integers(0, 3),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_any_geometry(data, kernel, stride, dilation, groups, per_group, images, dtype):
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    sides = st.tuples(st.integers(0, 4), st.integers(0, 4))
    padding = data.draw(st.one_of(st.just("same"), st.just("valid"), st.tuples(sides, sides)))
    height, width = (r + data.draw(st.integers(0, 9)) for r in reach)
    channels, filters = groups * per_group[0], groups * per_group[1]
    parity(
        (images, height, width, channels),
        (*kernel, per_group[0], filters),
        dtype,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    data=st.data(),
    kernel=st.tuples(st.integers(1, 8), st.integers(1, 12)),
    stride=st.tuples(small, small),
    dilation=st.tuples(small, small),
    channels=st.sampled_from([2, 3, 15, 16, 24, 33, 80, 130]),
    multiplier=st.sampled_from([1, 1, 1, 2, 3]),
    images=st.integers(0, 3),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_depthwise(data, kernel, stride, dilation, channels, multiplier, images, dtype):
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    sides = st.tuples(st.integers(0, 4), st.integers(0, 4))
    padding = data.draw(st.one_of(st.just("same"), st.just("valid"), st.tuples(sides, sides)))
    height, width = (r + data.draw(st.integers(0, 17)) for r in reach)
    parity(
        (images, height, width, channels),
        (*kernel, 1, channels * multiplier),
        dtype,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=channels,
    )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    stride=st.tuples(small, small),
    sides=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    channels=st.sampled_from([1, 2, 8, 17, 32, 65, 1024]),
    filters=st.sampled_from([1, 3, 16, 24, 33, 70, 512]),
    images=st.integers(0, 3),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_pointwise(stride, sides, channels, filters, images, dtype):
    parity((images, *sides, channels), (1, 1, channels, filters), dtype, stride=stride)


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "geometry"),
    [
        ((3, 28, 28, 1), (5, 5, 1, 32), {"padding": "same"}),
        ((3, 14, 14, 32), (5, 5, 32, 64), {"padding": "same"}),
        ((2, 31, 17, 3), (7, 7, 3, 40), {"stride": 2, "padding": 3}),
        ((3, 45, 40, 4), (3, 3, 4, 33), {"padding": "same"}),  # more pixels than a lot of the weight gradient
        ((2, 9, 9, 40), (3, 3, 1, 40), {"padding": "same", "groups": 40}),
        ((3, 60, 60, 144), (3, 3, 1, 144), {"padding": "same", "groups": 144}),  # large enough to be prefetched
        ((2, 9, 9, 33), (1, 1, 33, 65), {}),
        ((3, 8, 5, 1024), (1, 1, 1024, 40), {}),  # pixels 4096 bytes apart
        ((40, 9, 8, 130), (1, 1, 130, 260), {"stride": (2, 3)}),  # several runs
        ((20, 9, 8, 500), (1, 1, 500, 260), {}),
        ((1, 12, 5, 2), (3, 2, 2, 3), {"padding": ((5, 0), (7, 6)), "stride": (4, 3)}),  # windows wholly on padding
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_named_shapes(x_shape, w_shape, geometry, dtype):
    parity(x_shape, w_shape, dtype, **geometry)


def test_only_what_is_needed():
    x, w = np.ones((1, 4, 4, 2)), np.ones((3, 3, 2, 5))
    dx, dw, db = kernels.conv2d_backward(np.ones((1, 2, 2, 5)), x, w, needs=("w",))
    assert dx is None
    assert db is None
    assert dw.shape == w.shape


def test_views_read_only_and_mixed_types():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5, 8, 8, 2)).transpose(1, 0, 2, 3)[:, ::-1]
    x.flags.writeable = False
    w = rng.normal(size=(3, 3, 2, 4)).astype(np.float32)
    close(kernels.conv2d(x, w, algorithm="loops"), ops.conv2d(x, w), np.float64)


def test_wrong_arguments_are_refused_as_by_the_reference():
    x, w = np.ones((1, 4, 4, 2)), np.ones((3, 3, 3, 5))
    with pytest.raises(ShapeError, match="x has 2 channels but w expects 3"):
        kernels.conv2d(x, w)
    with pytest.raises(ArgumentError, match="must be a float32 or float64 array"):
        kernels.conv2d(x.astype(int), w)
    with pytest.raises(ShapeError, match="dy must have the shape of the output"):
        kernels.conv2d_backward(np.ones((1, 1, 2, 5)), x, np.ones((3, 3, 2, 5)))
    with pytest.raises(ShapeError, match="one value per filter"):
        kernels.conv2d(x, np.ones((3, 3, 2, 5)), np.ones(4))
