"""Activations against differences, SciPy and their edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from rot180 import ops
from rot180.errors import ShapeError
from rot180.inside.gradient_check import check_operation
from rot180.ops.recorder import listening

X = np.random.default_rng(0).normal(size=(2, 3, 4, 2)) * 2
NOISE = np.random.default_rng(1).normal(size=X.shape)


def noisy_relu(x):
    return ops.noisy_relu(x, NOISE.astype(x.dtype))


def leaky_relu(x):
    return ops.leaky_relu(x, 0.2)


def leaky_relu_backward(dy, x):
    return ops.leaky_relu_backward(dy, x, 0.2)


FROM_OUTPUT = {
    "relu": (ops.relu, ops.relu_backward),
    "noisy_relu": (noisy_relu, ops.noisy_relu_backward),
    "sigmoid": (ops.sigmoid, ops.sigmoid_backward),
    "tanh": (ops.tanh, ops.tanh_backward),
}


@pytest.mark.parametrize("name", FROM_OUTPUT)
def test_gradient_from_the_output(name):
    forward, backward = FROM_OUTPUT[name]
    check = check_operation(forward, lambda dy, x: {"x": backward(dy, forward(x))}, {"x": X})
    assert check.passed, check


@pytest.mark.parametrize("slope", [0.01, 0.2, 0.0, -0.5])
def test_leaky_relu_gradient(slope):
    check = check_operation(
        lambda x: ops.leaky_relu(x, slope), lambda dy, x: {"x": ops.leaky_relu_backward(dy, x, slope)}, {"x": X}
    )
    assert check.passed, check


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_type_is_carried(dtype):
    x = X.astype(dtype)
    for forward, backward in FROM_OUTPUT.values():
        y = forward(x)
        assert y.dtype == backward(y, y).dtype == dtype
    assert leaky_relu(x).dtype == leaky_relu_backward(x, x).dtype == dtype


def test_relu_takes_zero_as_the_derivative_at_zero():
    x = np.array([-1.0, -0.0, 0.0, 1e-300])
    np.testing.assert_array_equal(ops.relu_backward(np.ones(4), ops.relu(x)), [0, 0, 0, 1])


def test_relu_keeps_nan():
    assert np.isnan(ops.relu(np.array([np.nan]))).all()


def test_noisy_relu_adds_the_noise_first():
    np.testing.assert_array_equal(noisy_relu(X), np.maximum(0, X + NOISE))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_is_stable_and_precise(dtype):
    x = np.array([-1e4, -745, -100, -88, -40, -1, -1e-8, 0, 1e-8, 1, 40, 100, 1e4, -np.inf, np.inf], dtype)
    y = ops.sigmoid(x)  # a warning is an error here
    np.testing.assert_allclose(y, expit(x), rtol=4 * np.finfo(dtype).eps, atol=np.finfo(dtype).tiny)
    assert np.isfinite(ops.sigmoid_backward(np.ones_like(y), y)).all()


def test_tanh_is_the_sigmoid_of_the_double():
    np.testing.assert_allclose(ops.tanh(X), 2 * ops.sigmoid(2 * X) - 1, rtol=1e-12)


def test_sigmoid_derivative_is_taken_at_the_output():
    x = np.array([0.3])
    y = ops.sigmoid(x)
    at_output = ops.sigmoid_backward(np.ones(1), y)
    assert at_output == pytest.approx(np.exp(-x) / (1 + np.exp(-x)) ** 2, rel=1e-14)
    assert at_output != pytest.approx(x * (1 - x))


def test_names_are_recorded():
    names = []
    with listening(lambda name, array: names.append(name)):
        ops.relu_backward(X, ops.relu(X))
        ops.tanh_backward(X, ops.tanh(X))
    assert names == ["y", "gate", "dx"] * 2


@pytest.mark.parametrize(
    "name", ["relu_backward", "noisy_relu", "leaky_relu_backward", "sigmoid_backward", "tanh_backward"]
)
def test_different_shapes_are_refused(name):
    with pytest.raises(ShapeError, match=rf"{name}: \w+ must have the shape of [xy], \(.*\); it is \(.*\)"):
        getattr(ops, name)(np.ones((2, 1)), np.ones((2, 3)))
