"""Softmax and its logarithm against differences, SciPy and large numbers."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

from rot180.errors import ShapeError
from rot180.inside.gradient_check import check_operation
from rot180.ops import log_softmax, log_softmax_backward, softmax, softmax_backward
from rot180.ops.recorder import listening

X = np.random.default_rng(0).normal(size=(3, 4, 5))
PAIRS = {"softmax": (softmax, softmax_backward), "log_softmax": (log_softmax, log_softmax_backward)}


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_against_scipy(axis):
    np.testing.assert_allclose(softmax(X, axis), scipy.special.softmax(X, axis), rtol=1e-13)
    np.testing.assert_allclose(log_softmax(X, axis), scipy.special.log_softmax(X, axis), rtol=1e-13)


@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("name", PAIRS)
def test_gradient(name, axis):
    forward, backward = PAIRS[name]
    check = check_operation(
        lambda x: forward(x, axis), lambda dy, x: {"x": backward(dy, forward(x, axis), axis)}, {"x": X}
    )
    assert check.passed, check


@pytest.mark.parametrize("name", PAIRS)
def test_the_gradient_sums_to_zero(name):
    forward, backward = PAIRS[name]
    dx = backward(np.random.default_rng(1).normal(size=X.shape), forward(X))
    np.testing.assert_allclose(dx.sum(axis=-1), 0, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_logits(dtype):
    x = np.array([[1e4, 0, -1e4], [1e4, 1e4, 1e4]], dtype)
    y, log_y = softmax(x), log_softmax(x)
    np.testing.assert_allclose(y, [[1, 0, 0], [1 / 3] * 3], rtol=1e-6)
    np.testing.assert_allclose(log_y, [[0, -1e4, -2e4], [-np.log(3)] * 3], rtol=1e-6)
    assert y.dtype == log_y.dtype == softmax_backward(y, y).dtype == log_softmax_backward(y, log_y).dtype == dtype


def test_names_are_recorded():
    names = []
    with listening(lambda name, array: names.append(name)):
        softmax_backward(X, softmax(X))
        log_softmax_backward(X, log_softmax(X))
    assert names == ["probabilities", "dx", "log_probabilities", "dx"]


@pytest.mark.parametrize("name", PAIRS)
def test_different_shapes_are_refused(name):
    with pytest.raises(ShapeError, match=rf"{name}_backward: dy must have the shape of y, \(3, 4, 5\); it is \(5,\)"):
        PAIRS[name][1](np.ones(5), X)
