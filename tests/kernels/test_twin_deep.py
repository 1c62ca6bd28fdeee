"""The compiled twins of deeper networks' operations against the reference, on drawn shapes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_twin_parity import close

from rot180 import kernels, ops
from rot180.errors import ArgumentError, ShapeError

floats = st.sampled_from([np.float32, np.float64])
drawn = settings(max_examples=15, deadline=None, derandomize=True)
maps = st.tuples(
    st.integers(1, 5), st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 2, 3, 8, 16, 17, 40, 64, 130])
)


def arrays(shape, dtype, *more):
    rng = np.random.default_rng(abs(hash(shape)) % 1000)
    return [(3 * rng.normal(size=size)).astype(dtype) for size in (shape, *more)]


def compare(name, *arguments, dtype, atol=None, scale=1e-3, **options):
    ours, reference = (getattr(room, name)(*arguments, **options) for room in (kernels, ops))
    pairs = zip(ours, reference, strict=True) if isinstance(reference, tuple) else [(ours, reference)]
    for mine, expected in pairs:
        assert mine.shape == expected.shape
        close(mine, expected, dtype, atol, scale)
    return reference


@drawn
@given(shape=st.sampled_from([(), (0,), (5,), (3, 17), (2, 3, 5, 7), (8_200, 2)]), dtype=floats)
def test_activations(shape, dtype):
    x, dy = arrays(shape, dtype, shape)
    for name, options in (
        ("relu6", {}),
        ("hard_sigmoid", {}),
        ("hard_swish", {}),
        ("elu", {"alpha": 0.7}),
        ("silu", {}),
        ("gelu", {}),
        ("gelu", {"approximate": "tanh"}),
    ):
        y = compare(name, x, dtype=dtype, **options)
        saved = y if name in ("relu6", "hard_sigmoid") else x
        compare(f"{name}_backward", dy, saved, dtype=dtype, **options)


@pytest.mark.parametrize(("dtype", "units"), [(np.float32, 8), (np.float64, 30)])
def test_gelu_keeps_the_digits_of_its_tail(dtype, units):
    x = np.linspace(-8, 8, 4_001).astype(dtype)
    exact = ops.gelu(x.astype(np.float64))
    # In the tail, z^2 is rounded before it is exponentiated, which costs z^2 units.
    assert np.abs(kernels.gelu(x) / np.where(exact == 0, 1, exact) - (exact != 0)).max() < (
        units * (1 + 32) * np.finfo(dtype).eps
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values(dtype):
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-30, 90, -90, 1000, -1000, 3, -3, 6], dtype)
    for name in ("relu6", "hard_sigmoid", "hard_swish", "elu", "silu", "gelu"):
        with np.errstate(all="ignore"):
            reference = getattr(ops, name)(x)
        ours = getattr(kernels, name)(x)
        np.testing.assert_allclose(ours, reference, rtol=1e-6, atol=1e-6 if dtype == np.float32 else 1e-14)


@drawn
@given(shape=st.one_of(maps, st.tuples(st.integers(2, 70), st.sampled_from([1, 7, 64, 100]))), dtype=floats)
def test_batch_norm(shape, dtype):
    C = shape[-1]
    x, dy, gamma, beta = arrays(shape, dtype, shape, (C,), (C,))
    if x.size <= C:
        with pytest.raises(ShapeError, match="a channel needs at least two values"):
            kernels.batch_norm(x, gamma, beta)
        return
    _, mean, var = compare("batch_norm", x, gamma, beta, dtype=dtype, atol=2e-5 if dtype == np.float32 else 1e-11)
    compare("batch_norm_inference", x, gamma, beta, mean, var, dtype=dtype, atol=1e-5 if dtype == np.float32 else 1e-12)
    # With two values per channel dx is nearly zero, a difference of large numbers.
    compare(
        "batch_norm_backward", dy, x, gamma, mean, var,
        dtype=dtype, atol=5e-5 if dtype == np.float32 else 1e-11, scale=1.0,
    )  # fmt: skip


@drawn
@given(shape=maps, dtype=floats, data=st.data())
def test_normalization_within_an_image(shape, dtype, data):
    C = shape[-1]
    x, dy, gamma, beta = arrays(shape, dtype, shape, (C,), (C,))
    x += 20
    groups = data.draw(st.sampled_from([g for g in range(1, C + 1) if C % g == 0]))
    single = dtype == np.float32
    if x[0].size > groups:
        compare("group_norm", x, gamma, beta, groups, dtype=dtype, atol=5e-5 if single else 1e-10)
        tolerance = {"atol": 2e-4 if single else 1e-9, "scale": 1.0}
        compare("group_norm_backward", dy, x, gamma, groups, dtype=dtype, **tolerance)
        axes = data.draw(st.sampled_from([1, 3]))
        if C > 1 or axes == 3:
            many = arrays(shape[-axes:], dtype, shape[-axes:])
            compare("layer_norm", x, *many, axes=axes, dtype=dtype, atol=5e-5 if single else 1e-10)
            compare("layer_norm_backward", dy, x, many[0], axes=axes, dtype=dtype, **tolerance)


@pytest.mark.parametrize("mean", [0.0, 100.0, 10_000.0])
def test_moments_are_as_accurate_as_the_numbers(mean):
    """Float32 sums over 100 000 pixels, or E[x^2] - E[x]^2, would not be."""
    x = np.random.default_rng(0).normal(mean, 1, size=(100, 32, 32, 3)).astype(np.float32)
    x[0] = 0  # an image unlike the others
    exact = x.astype(np.float64)
    _, ours, var = kernels.batch_norm(x, np.ones(3, np.float32), np.zeros(3, np.float32))
    np.testing.assert_allclose(ours, exact.mean((0, 1, 2)), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(var, exact.var((0, 1, 2)), rtol=1e-6)


def test_moments_where_the_sample_for_the_pivot_is_unlike_the_rest():
    """The worst case: the variance loses as many digits as the sample is a small part of all numbers."""
    x = np.random.default_rng(0).normal(10_000, 1, size=(16, 16, 9, 20)).astype(np.float32)
    x[::2, 0] = 0  # each 32nd row of 256, the eight that are sampled
    exact = x.astype(np.float64)
    _, mean, var = kernels.batch_norm(x, np.ones(20, np.float32), np.zeros(20, np.float32))
    np.testing.assert_allclose(mean, exact.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(var, exact.var((0, 1, 2)), rtol=32 * 2 * np.finfo(np.float32).eps)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_pixel_that_is_not_finite_shows_in_the_moments_of_its_channel(value):
    x = np.random.default_rng(0).normal(size=(4, 6, 5, 3)).astype(np.float32)
    x[2, 3, 1, 1] = value
    y, mean, var = kernels.batch_norm(x, np.ones(3, np.float32), np.zeros(3, np.float32))
    for array in (mean, var, y[0, 0, 0]):
        assert np.isfinite(array).tolist() == [True, False, True]


@drawn
@given(shape=maps, dtype=floats, one=st.booleans())
def test_prelu(shape, dtype, one):
    x, dy, slope = arrays(shape, dtype, shape, (1 if one else shape[-1],))
    compare("prelu", x, slope, dtype=dtype)
    compare("prelu_backward", dy, x, slope, dtype=dtype, atol=1e-5 if dtype == np.float32 else None)


@drawn
@given(shape=maps, dtype=floats, size=st.integers(1, 6), data=st.data())
def test_across_channels(shape, dtype, size, data):
    x, dy = arrays(shape, dtype, shape)
    groups = data.draw(st.sampled_from([g for g in range(1, shape[-1] + 1) if shape[-1] % g == 0]))
    for name in ("channel_shuffle", "channel_shuffle_backward"):
        np.testing.assert_array_equal(getattr(kernels, name)(x, groups), getattr(ops, name)(x, groups))
    start = data.draw(st.integers(0, shape[-1] - 1))
    count = data.draw(st.integers(1, shape[-1] - start))
    y = ops.channel_slice(x, count, start)
    np.testing.assert_array_equal(kernels.channel_slice(x, count, start), y)
    back = kernels.channel_slice_backward(y, shape[-1], start)
    np.testing.assert_array_equal(back, ops.channel_slice_backward(y, shape[-1], start))
    options = {"alpha": 0.3, "beta": 0.75, "k": 2.0}
    compare("local_response_norm", x, size, dtype=dtype, **options)
    compare("local_response_norm_backward", dy, x, size, dtype=dtype, **options)


@drawn
@given(shape=maps, dtype=floats, more=st.lists(st.sampled_from([1, 3, 16, 21]), max_size=3))
def test_joins(shape, dtype, more):
    x, dy, gate = arrays(shape, dtype, shape, (shape[0], shape[3]))
    compare("add", x, *[dy] * len(more), dtype=dtype)
    branches = [x, *arrays(*[(*shape[:3], count) for count in more][:1] or [shape], dtype)]
    y = compare("concatenate", *branches, dtype=dtype)
    compare("concatenate_backward", y, tuple(branch.shape[-1] for branch in branches), dtype=dtype)
    for factor in (gate, dy):
        compare("multiply", x, factor, dtype=dtype)
        compare("multiply_backward", dy, x, factor, dtype=dtype, atol=1e-5 if dtype == np.float32 else None)


@drawn
@given(shape=maps, dtype=floats, size=st.tuples(st.integers(1, 11), st.integers(1, 11)))
def test_resizing(shape, dtype, size):
    x, dy, vectors = arrays(shape, dtype, (shape[0], *size, shape[3]), (shape[0], shape[3]))
    for mode in ("nearest", "bilinear"):
        compare("resize2d", x, size, mode, dtype=dtype)
        compare("resize2d_backward", dy, shape, mode, dtype=dtype)
    compare("adaptive_avg_pool2d", x, size, dtype=dtype, scale=1)  # a mean may be much smaller than what it rounds
    compare("adaptive_avg_pool2d_backward", dy, shape, dtype=dtype)
    compare("global_avg_pool2d", x, dtype=dtype, scale=1)
    compare("global_avg_pool2d_backward", vectors, shape, dtype=dtype)
    _, winners = compare("global_max_pool2d", np.round(x), dtype=dtype)  # many equal values
    compare("global_max_pool2d_backward", vectors, winners, shape, dtype=dtype)


def test_mistakes_are_refused():
    x = np.ones((2, 3, 3, 4))
    with pytest.raises(ShapeError, match=r"multiply: the gate must have the shape of x"):
        kernels.multiply(x, np.ones((2, 3)))
    with pytest.raises(ShapeError, match="the branches must have one shape"):
        kernels.add(x, np.ones((2, 3, 3, 5)))
    with pytest.raises(ShapeError, match="the branches have"):
        kernels.concatenate_backward(x, (1, 2))
    with pytest.raises(ArgumentError, match="unknown approximation 'tan'"):
        kernels.gelu(x, "tan")
    with pytest.raises(ArgumentError, match="slope holds one value, or one per channel"):
        kernels.prelu(x, np.ones(3))
    with pytest.raises(ShapeError, match=r"gamma must have shape \(4,\) for x"):
        kernels.batch_norm(x, np.ones(3), np.ones(4))
    with pytest.raises(ArgumentError, match="unknown mode"):
        kernels.resize2d(x, 2, "cubic")
