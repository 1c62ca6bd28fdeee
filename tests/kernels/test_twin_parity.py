"""Every other compiled twin against the reference: signatures, and values on drawn shapes."""

import inspect
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rot180 import kernels, ops
from rot180.errors import ArgumentError, ShapeError
from rot180.kernels.twin_linear import linear, linear_backward

floats = st.sampled_from([np.float32, np.float64])
drawn = settings(max_examples=40, deadline=None, derandomize=True)


def close(ours, reference, dtype, atol=None, scale=1e-3):
    reference = np.asarray(reference)
    assert np.asarray(ours).dtype == reference.dtype
    largest = np.abs(reference[np.isfinite(reference)]).max(initial=scale)
    np.testing.assert_allclose(
        ours, reference, rtol=0, atol=(atol or (3e-6 if dtype == np.float32 else 1e-13)) * largest
    )


@pytest.mark.parametrize("name", kernels.__all__)
def test_signatures_are_those_of_the_reference(name):
    twin = getattr(import_module(f"rot180.kernels.{kernels._HOMES[name]}"), name)
    assert inspect.signature(twin) == inspect.signature(getattr(ops, name))


def test_importing_the_kernels_does_not_import_numba():
    code = "import sys, rot180.kernels; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'conv3d'"):
        kernels.conv3d  # noqa: B018


@drawn
@given(
    data=st.data(),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.one_of(st.none(), st.tuples(st.integers(1, 5), st.integers(1, 5))),
    extra=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    images=st.integers(0, 3),
    channels=st.sampled_from([1, 3, 16, 19, 40]),
    ceil_mode=st.booleans(),
    counting=st.booleans(),
    dtype=floats,
)
def test_pooling(data, kernel, stride, extra, images, channels, ceil_mode, counting, dtype):
    sides = [st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)) for k in kernel]
    padding = data.draw(st.one_of(st.just("same"), st.just("valid"), st.tuples(*sides)))
    shape = (images, kernel[0] + extra[0], kernel[1] + extra[1], channels)
    rng = np.random.default_rng(0)
    x = rng.integers(-4, 4, size=shape).astype(dtype)  # many equal values
    x[rng.random(shape) < 0.05] = np.nan
    x[rng.random(shape) < 0.3] = -np.inf
    where = {"stride": stride, "padding": padding, "ceil_mode": ceil_mode}
    try:
        y, winners = ops.max_pool2d(x, kernel, **where)
    except ArgumentError:  # with this stride a window lies wholly in the padding
        with pytest.raises(ArgumentError, match="every window must hold a pixel"):
            kernels.max_pool2d(x, kernel, **where)
        return
    ours, places = kernels.max_pool2d(x, kernel, **where)
    np.testing.assert_array_equal(ours, y)
    np.testing.assert_array_equal(places, winners)
    dy = rng.normal(size=y.shape).astype(dtype)
    close(
        kernels.max_pool2d_backward(dy, winners, shape, kernel, **where),
        ops.max_pool2d_backward(dy, winners, shape, kernel, **where),
        dtype,
    )
    x = rng.normal(size=shape).astype(dtype)
    where["count_include_pad"] = counting
    close(kernels.avg_pool2d(x, kernel, **where), ops.avg_pool2d(x, kernel, **where), dtype)
    close(
        kernels.avg_pool2d_backward(dy, shape, kernel, **where),
        ops.avg_pool2d_backward(dy, shape, kernel, **where),
        dtype,
    )


@pytest.mark.parametrize("where", [{"stride": 2, "padding": 5}, {"stride": 1, "padding": ((0, 0), (0, 2))}])
@pytest.mark.parametrize("room", [kernels, ops])
def test_windows_wholly_in_the_padding_are_refused(room, where):
    x = np.ones((1, 3, 3, 1))
    for pool in (room.avg_pool2d, room.max_pool2d):
        with pytest.raises(ArgumentError, match="every window must hold a pixel of the image"):
            pool(x, 2, **where)
    with pytest.raises(ArgumentError, match="every window must hold a pixel of the image"):
        room.avg_pool2d_backward(x, x.shape, 2, **where)


@drawn
@given(shape=st.sampled_from([(), (0,), (5,), (3, 17), (2, 3, 5, 7), (8_192,), (8_200, 2)]), dtype=floats)
def test_elementwise(shape, dtype):
    rng = np.random.default_rng(0)
    x, dy = ((3 * rng.normal(size=shape)).astype(dtype) for _ in range(2))
    for name in ("relu", "leaky_relu", "sigmoid", "tanh"):
        y = getattr(ops, name)(x)
        close(getattr(kernels, name)(x), y, dtype)
        saved = x if name == "leaky_relu" else y
        backward = f"{name}_backward"
        close(getattr(kernels, backward)(dy, saved), getattr(ops, backward)(dy, saved), dtype)
    for name in ("noisy_relu", "noisy_relu_backward", "dropout", "dropout_backward"):
        close(getattr(kernels, name)(x, dy), getattr(ops, name)(x, dy), dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values(dtype):
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-30, -1e-30, 90, -90, 1000, -1000, -87.2, -708.5], dtype)
    for name in ("relu", "sigmoid", "tanh"):
        with np.errstate(all="ignore"):
            reference = getattr(ops, name)(x)
        # Where exp(x) is no normal number it is 0, at most the smallest normal number away.
        np.testing.assert_allclose(
            getattr(kernels, name)(x), reference, rtol=4 * np.finfo(dtype).eps, atol=2 * np.finfo(dtype).tiny
        )


@pytest.mark.parametrize(("dtype", "wider"), [(np.float32, np.float64), (np.float64, np.longdouble)])
def test_sigmoid_and_tanh_are_accurate_to_the_last_digits(dtype, wider):
    x = np.concatenate([np.linspace(-20, 20, 40_001), np.geomspace(1e-20, 1, 5_001)]).astype(dtype)
    for name, exact in (("tanh", np.tanh(x.astype(wider))), ("sigmoid", 1 / (1 + np.exp(-x.astype(wider))))):
        units = np.abs(getattr(kernels, name)(x) - exact) / np.spacing(np.abs(exact).astype(dtype))
        assert units.max() < 3


@drawn
@given(
    n=st.integers(1, 40),
    k=st.sampled_from([1, 2, 10, 37]),
    scale=st.sampled_from([1, 30]),
    smoothing=st.sampled_from([0.0, 0.1, 1.0]),
    dtype=floats,
)
def test_softmax_and_losses(n, k, scale, smoothing, dtype):
    rng = np.random.default_rng(n * k)
    z, dy = ((scale * rng.normal(size=(n, k))).astype(dtype) for _ in range(2))
    dense = rng.random((n, k)).astype(dtype) + dtype(0.01)
    dense /= dense.sum(axis=1, keepdims=True)
    for target in (rng.integers(0, k, n), dense):
        loss, p = ops.cross_entropy(z, target, label_smoothing=smoothing)
        ours, probabilities = kernels.cross_entropy(z, target, label_smoothing=smoothing)
        assert ours == pytest.approx(loss, rel=1e-5, abs=1e-5)
        close(probabilities, p, dtype)
        close(
            kernels.cross_entropy_backward(p, target, label_smoothing=smoothing),
            ops.cross_entropy_backward(p, target, label_smoothing=smoothing),
            dtype,
        )
        assert kernels.squared_error(z, target) == pytest.approx(ops.squared_error(z, target), rel=1e-5)
        close(kernels.squared_error_backward(z, target), ops.squared_error_backward(z, target), dtype)
    loose = 1e-5 if dtype == np.float32 else 1e-13
    for axis in (0, 1):
        y = ops.softmax(z, axis)
        close(kernels.softmax(z, axis), y, dtype)
        close(kernels.softmax_backward(dy, y, axis), ops.softmax_backward(dy, y, axis), dtype, loose, 30)
    y = ops.log_softmax(z)
    close(kernels.log_softmax(z), y, dtype)
    close(kernels.log_softmax_backward(dy, y), ops.log_softmax_backward(dy, y), dtype, loose, 30)


@drawn
@given(
    n=st.integers(0, 33),
    inputs=st.sampled_from([1, 7, 64, 130]),
    outputs=st.sampled_from([1, 10, 32, 33, 96]),
    bias=st.booleans(),
    dtype=floats,
)
def test_linear(n, inputs, outputs, bias, dtype):
    rng = np.random.default_rng(0)
    x, w, dy, b = (rng.normal(size=s).astype(dtype) for s in ((n, inputs), (inputs, outputs), (n, outputs), outputs))
    close(linear(x, w, b if bias else None), ops.linear(x, w, b if bias else None), dtype)
    for ours, reference in zip(linear_backward(dy, x, w), ops.linear_backward(dy, x, w), strict=True):
        close(ours, reference, dtype, 1e-5 if dtype == np.float32 else None)


RULES = [
    ("sgd_update", 0, {}),
    ("sgd_update", 1, {"momentum": 0.9}),
    ("sgd_update", 1, {"momentum": 0.9, "nesterov": True}),
    ("adam_update", 2, {"step": 3}),
    ("adam_update", 2, {"step": 3, "decoupled": True}),
    ("rmsprop_update", 1, {}),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weight_decay", [0.0, 0.02])
@pytest.mark.parametrize(("name", "states", "hyper"), RULES)
@pytest.mark.parametrize("shape", [(), (7, 5), (20_001,)])
def test_updates(name, states, hyper, weight_decay, dtype, shape):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype(dtype), rng.normal(size=shape).astype(dtype)]
    arrays += [np.asarray(rng.random(shape)).astype(dtype) for _ in range(states)]
    arrays = [np.asarray(array) for array in arrays]
    expected, ours = [a.copy() for a in arrays], [a.copy() for a in arrays]
    getattr(ops, name)(*expected, lr=0.01, weight_decay=weight_decay, **hyper)
    getattr(kernels, name)(*ours, lr=0.01, weight_decay=weight_decay, **hyper)
    for ours_now, expected_now in zip(ours, expected, strict=True):
        np.testing.assert_allclose(ours_now, expected_now, rtol=1e-6, atol=1e-6 if dtype == np.float32 else 1e-13)


@drawn
@given(rows=st.integers(1, 60), columns=st.integers(1, 60), dtype=floats)
def test_orthogonal_matrices(rows, columns, dtype):
    matrix = np.random.default_rng(0).normal(size=(rows, columns)).astype(dtype)
    # Small singular values, of which a square matrix may have some, are known less exactly.
    close(kernels.orthogonalize(matrix), ops.orthogonalize(matrix), dtype, 1e-3 if dtype == np.float32 else 1e-9)
    np.testing.assert_array_equal(kernels.orthogonalize(0 * matrix), 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(7, 5), (3, 3, 4, 40), (1, 1, 64, 9)])
def test_steps_along_them(shape, dtype):
    rng = np.random.default_rng(0)
    w, dw, m = (rng.normal(size=shape).astype(dtype) for _ in range(3))
    expected, ours = [w.copy(), dw.copy(), m.copy()], [np.asfortranarray(w), dw.copy(), m.copy()]
    ops.muon_update(*expected, lr=0.1, beta=0.8, weight_decay=0.1)
    kernels.muon_update(*ours, lr=0.1, beta=0.8, weight_decay=0.1)
    for ours_now, expected_now in zip(ours, expected, strict=True):
        close(ours_now, expected_now, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (7, 5), (20_001,)])
def test_the_moving_average(dtype, shape):
    rng = np.random.default_rng(0)
    w, average = (np.asarray(rng.normal(size=shape), dtype) for _ in range(2))
    expected, ours = average.copy(), average.copy()
    ops.ema_update(expected, w, decay=0.9)
    kernels.ema_update(ours, w, decay=0.9)
    close(ours, expected, dtype)
    close(ours, 0.9 * average + 0.1 * w, dtype)
    turned = np.zeros(shape[::-1], dtype).T
    kernels.ema_update(turned, w, decay=0.5)
    close(turned, 0.5 * w, dtype)


def test_updates_of_views_change_what_they_show():
    w, g = np.ones((4, 6)), np.ones((6, 4))
    kernels.sgd_update(w[:, ::2], g[:3].T, lr=0.5)
    np.testing.assert_array_equal(w, [[0.5, 1.0] * 3] * 4)


def test_mistakes_are_refused():
    with pytest.raises(ShapeError, match="dw must have the shape of w"):
        kernels.sgd_update(np.ones(3), np.ones(4), lr=1.0)
    for ema_update in (ops.ema_update, kernels.ema_update):
        with pytest.raises(ShapeError, match=r"average must have the shape of w, \(4,\); it is \(3,\)"):
            ema_update(np.ones(3), np.ones(4), decay=0.9)
    with pytest.raises(ArgumentError, match="needs a velocity"):
        kernels.sgd_update(np.ones(3), np.ones(3), lr=1.0, momentum=0.9)
    with pytest.raises(ArgumentError, match="step counts from 1"):
        kernels.adam_update(np.ones(3), np.ones(3), np.ones(3), np.ones(3), step=0, lr=1.0)
    with pytest.raises(ArgumentError, match="must be a float32 or float64 array"):
        kernels.relu(np.arange(3))
    with pytest.raises(ShapeError, match="the axis must hold at least one number"):
        kernels.softmax(np.ones((3, 0)))
    with pytest.raises(ShapeError, match="relu_backward: dy must have the shape of y"):
        kernels.relu_backward(np.ones(3), np.ones(4))
    with pytest.raises(ShapeError, match="w expects 4"):
        linear(np.ones((2, 3)), np.ones((4, 5)))


@pytest.mark.parametrize("margin", [3.0, 12.0, 20.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_delta_keeps_its_digits_where_the_network_is_right(margin, smoothing):
    """p - t is small there, and rounding p/N before t/N is taken off would leave nothing of it."""
    from rot180.kernels.loss import cross_entropy_of_labels

    logits = np.zeros((100, 10), np.float32)
    labels = np.arange(100) % 10
    logits[np.arange(100), labels] = margin
    dlogits, losses, hits = np.empty_like(logits), np.zeros(100), np.zeros(100, np.int64)
    cross_entropy_of_labels(logits, labels, smoothing, 100, dlogits, losses, hits)
    exact = ops.cross_entropy(logits.astype(np.float64), labels, label_smoothing=smoothing)[1]
    exact = ops.cross_entropy_backward(exact, labels, label_smoothing=smoothing)
    np.testing.assert_allclose(dlogits, exact, rtol=0, atol=1e-6 * np.abs(exact).max())
    assert hits.all()


def test_a_mask_with_one_value_per_image() -> None:
    x, mask = np.random.default_rng(0).normal(size=(3, 5, 7, 2)), np.array([2.0, 0.0, 2.0]).reshape(3, 1, 1, 1)
    for name in ("dropout", "dropout_backward"):
        np.testing.assert_array_equal(getattr(kernels, name)(x, mask), getattr(ops, name)(x, mask))


def test_no_twin_has_the_name_of_a_kernel_file():
    """Importing the file would put the module in the place of the function."""
    from pathlib import Path

    files = {path.stem for path in Path(kernels.__file__).parent.glob("*.py")}
    assert not files & set(kernels.__all__)
