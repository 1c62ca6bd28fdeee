"""Normalization against differences, its own invariants, and planted mistakes."""

from __future__ import annotations

import numpy as np
import pytest

from rot180 import ops
from rot180.errors import ArgumentError, ShapeError
from rot180.inside.gradient_check import check_operation

RNG = np.random.default_rng(0)
X = RNG.normal(1, 2, (3, 4, 5, 6))
GAMMA, BETA = RNG.normal(1, 0.3, 6), RNG.normal(0, 0.3, 6)


def batch_backward(dy, x, gamma, beta):
    _, mean, var = ops.batch_norm(x, gamma, beta)
    return ops.batch_norm_backward(dy, x, gamma, mean, var)


CASES = {
    "batch": (lambda x, gamma, beta: ops.batch_norm(x, gamma, beta)[0], batch_backward),
    "layer": (ops.layer_norm, lambda dy, x, gamma, beta: ops.layer_norm_backward(dy, x, gamma)),
    "group": (
        lambda x, gamma, beta: ops.group_norm(x, gamma, beta, 3),
        lambda dy, x, gamma, beta: ops.group_norm_backward(dy, x, gamma, 3),
    ),
    "instance": (ops.instance_norm, lambda dy, x, gamma, beta: ops.instance_norm_backward(dy, x, gamma)),
}

VECTORS = ("instance", (7, 6))
"""A vector has one value per channel: nothing to normalize."""


@pytest.mark.parametrize(
    ("name", "shape"),
    [(name, shape) for name in CASES for shape in [(3, 4, 5, 6), (7, 6), (2, 1, 3, 6)] if (name, shape) != VECTORS],
)
def test_gradients(name: str, shape: tuple[int, ...]) -> None:
    forward, backward = CASES[name]
    x = RNG.normal(1, 2, shape)

    def named(dy, x, gamma, beta):
        return dict(zip(("x", "gamma", "beta"), backward(dy, x, gamma, beta), strict=True))

    check = check_operation(forward, named, {"x": x, "gamma": GAMMA, "beta": BETA})
    assert check.passed, check


def test_layer_norm_over_whole_images() -> None:
    gamma, beta = RNG.normal(1, 0.3, (4, 5, 6)), RNG.normal(size=(4, 5, 6))

    def named(dy, x, gamma, beta):
        return dict(zip(("x", "gamma", "beta"), ops.layer_norm_backward(dy, x, gamma, axes=3), strict=True))

    check = check_operation(
        lambda x, gamma, beta: ops.layer_norm(x, gamma, beta, axes=3), named, {"x": X, "gamma": gamma, "beta": beta}
    )
    assert check.passed, check


@pytest.mark.parametrize("forgotten", ["mean", "variance"])
def test_a_forgotten_term_is_found(forgotten: str) -> None:
    def backward(dy, x, gamma, beta):
        _, mean, var = ops.batch_norm(x, gamma, beta)
        r = 1 / np.sqrt(var + 1e-5)
        xhat, g = (x - mean) * r, dy * gamma
        axes = (0, 1, 2)
        dx = g - g.mean(axes) * (forgotten != "mean") - xhat * (g * xhat).mean(axes) * (forgotten != "variance")
        return {"x": r * dx}

    check = check_operation(CASES["batch"][0], backward, {"x": X, "gamma": GAMMA, "beta": BETA})
    assert not check.passed


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_normalized_batch_has_mean_zero_and_variance_one(dtype) -> None:
    x = (1000 + X).astype(dtype)  # a large mean: E[x^2] - E[x]^2 would lose the variance in float32
    y, mean, var = ops.batch_norm(x, np.ones(6, dtype), np.zeros(6, dtype))
    assert y.dtype == mean.dtype == var.dtype == dtype
    np.testing.assert_allclose(y.mean((0, 1, 2)), 0, atol=2e-4)
    np.testing.assert_allclose(y.var((0, 1, 2)), 1, rtol=1e-3)
    np.testing.assert_allclose(mean, x.mean((0, 1, 2)), rtol=1e-5)


def test_what_normalization_takes_out_gets_no_gradient() -> None:
    _, mean, var = ops.batch_norm(X, GAMMA, BETA, eps=1e-12)
    dx, _, _ = ops.batch_norm_backward(RNG.normal(size=X.shape), X, GAMMA, mean, var, eps=1e-12)
    np.testing.assert_allclose(dx.sum((0, 1, 2)), 0, atol=1e-10)  # along the mean
    np.testing.assert_allclose((dx * (X - mean)).sum((0, 1, 2)), 0, atol=1e-8)  # along the spread


def test_inference_with_the_batch_statistics_is_training() -> None:
    y, mean, var = ops.batch_norm(X, GAMMA, BETA)
    np.testing.assert_allclose(ops.batch_norm_inference(X, GAMMA, BETA, mean, var), y, rtol=1e-12)


def test_the_moving_average_tends_to_the_unbiased_statistics() -> None:
    mean, var = np.zeros(6), np.ones(6)
    for _ in range(200):
        _, batch_mean, batch_var = ops.batch_norm(X, GAMMA, BETA)
        mean, var = ops.moving_average((mean, var), (batch_mean, batch_var), count=60)
    np.testing.assert_allclose(mean, X.mean((0, 1, 2)))
    np.testing.assert_allclose(var, X.var((0, 1, 2), ddof=1))


def test_one_group_is_layer_norm_over_the_image() -> None:
    ones, zeros = np.ones(6), np.zeros(6)
    whole = ops.layer_norm(X, np.ones((4, 5, 6)), np.zeros((4, 5, 6)), axes=3)
    np.testing.assert_allclose(ops.group_norm(X, ones, zeros, 1), whole)


def test_errors() -> None:
    with pytest.raises(ShapeError, match="at least two values to have a variance"):
        ops.batch_norm(np.zeros((1, 6)), GAMMA, BETA)
    with pytest.raises(ShapeError, match=r"gamma must have shape \(6,\)"):
        ops.batch_norm(X, GAMMA[:5], BETA)
    with pytest.raises(ShapeError, match="groups must divide the channels"):
        ops.group_norm(X, GAMMA, BETA, 4)
    with pytest.raises(ArgumentError, match="groups must be an int"):
        ops.group_norm(X, GAMMA, BETA, 0)
    with pytest.raises(ArgumentError, match="eps must be above 0"):
        ops.layer_norm(X, GAMMA, BETA, eps=0)
    with pytest.raises(ArgumentError, match="from 1 to 3"):
        ops.layer_norm(X, GAMMA, BETA, axes=4)
    with pytest.raises(ArgumentError, match="float32 or float64"):
        ops.batch_norm(np.zeros((4, 6), int), GAMMA, BETA)
    with pytest.raises(ShapeError, match="dy must have the shape of x"):
        ops.layer_norm_backward(X[:1], X, GAMMA)
    with pytest.raises(ShapeError, match=r"\(N, H, W, C\) or \(N, C\)"):
        ops.batch_norm(X[0], GAMMA, BETA)
    with pytest.raises(ArgumentError, match="count must be at least 2"):
        ops.moving_average((BETA, GAMMA), (BETA, GAMMA), count=1)
