"""What deep networks add to a chain: joins, gates, resizing, transposed convolution, channels, further activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr

from rot180 import ops
from rot180.errors import ArgumentError, ShapeError
from rot180.inside.gradient_check import check_operation

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 5, 6, 4)) * 2
GATE = RNG.normal(size=(2, 4))
SLOPE = RNG.uniform(-0.5, 0.5, 4)
MASK = np.array([2.0, 0.0]).reshape(2, 1, 1, 1)
W = RNG.normal(size=(3, 2, 6, 4))
BIAS = RNG.normal(size=6)


def one(backward: Callable[..., Any], *names: str) -> Callable[..., Any]:
    """Name what backward returns."""

    def named(dy, **arrays):
        found = backward(dy, **arrays)
        return dict(zip(names, found if isinstance(found, tuple) else (found,), strict=True))

    return named


transpose = {"stride": (2, 3), "padding": (1, 0), "output_padding": (1, 2), "dilation": (1, 2)}

CASES: dict[str, tuple[Callable[..., Any], Callable[..., Any], dict[str, Any]]] = {
    "relu6": (ops.relu6, one(lambda dy, x: ops.relu6_backward(dy, ops.relu6(x)), "x"), {"x": 3 * X}),
    "hard_sigmoid": (
        ops.hard_sigmoid,
        one(lambda dy, x: ops.hard_sigmoid_backward(dy, ops.hard_sigmoid(x)), "x"),
        {"x": 2 * X},
    ),
    "hard_swish": (ops.hard_swish, one(ops.hard_swish_backward, "x"), {"x": 2 * X}),
    "elu": (lambda x: ops.elu(x, 0.7), one(lambda dy, x: ops.elu_backward(dy, x, 0.7), "x"), {"x": X}),
    "prelu": (ops.prelu, one(ops.prelu_backward, "x", "slope"), {"x": X, "slope": SLOPE}),
    "prelu, one slope": (ops.prelu, one(ops.prelu_backward, "x", "slope"), {"x": X, "slope": SLOPE[:1]}),
    "silu": (ops.silu, one(ops.silu_backward, "x"), {"x": X}),
    "gelu": (ops.gelu, one(ops.gelu_backward, "x"), {"x": X}),
    "gelu, tanh": (lambda x: ops.gelu(x, "tanh"), one(lambda dy, x: ops.gelu_backward(dy, x, "tanh"), "x"), {"x": X}),
    "add": (lambda x, gate: ops.add(x, gate, x), lambda dy, x, gate: _add(dy), {"x": X, "gate": X + 1}),
    "concatenate": (
        lambda x, gate: ops.concatenate(x, gate),
        one(lambda dy, x, gate: ops.concatenate_backward(dy, (4, 3)), "x", "gate"),
        {"x": X, "gate": X[..., :3]},
    ),
    "multiply": (ops.multiply, one(ops.multiply_backward, "x", "gate"), {"x": X, "gate": X - 1}),
    "gate": (ops.multiply, one(ops.multiply_backward, "x", "gate"), {"x": X, "gate": GATE}),
    "drop path": (lambda x: ops.dropout(x, MASK), one(lambda dy, x: ops.dropout_backward(dy, MASK), "x"), {"x": X}),
    "nearest": (
        lambda x: ops.resize2d(x, (7, 3)),
        one(lambda dy, x: ops.resize2d_backward(dy, x.shape), "x"),
        {"x": X},
    ),
    "bilinear": (
        lambda x: ops.resize2d(x, (7, 3), "bilinear"),
        one(lambda dy, x: ops.resize2d_backward(dy, x.shape, "bilinear"), "x"),
        {"x": X},
    ),
    "adaptive": (
        lambda x: ops.adaptive_avg_pool2d(x, (3, 4)),
        one(lambda dy, x: ops.adaptive_avg_pool2d_backward(dy, x.shape), "x"),
        {"x": X},
    ),
    "global average": (
        ops.global_avg_pool2d,
        one(lambda dy, x: ops.global_avg_pool2d_backward(dy, x.shape), "x"),
        {"x": X},
    ),
    "global maximum": (
        lambda x: ops.global_max_pool2d(x)[0],
        one(lambda dy, x: ops.global_max_pool2d_backward(dy, ops.global_max_pool2d(x)[1], x.shape), "x"),
        {"x": X},
    ),
    "local response": (
        lambda x: ops.local_response_norm(x, 2, alpha=0.5, k=2),
        one(lambda dy, x: ops.local_response_norm_backward(dy, x, 2, alpha=0.5, k=2), "x"),
        {"x": X},
    ),
    "shuffle": (
        lambda x: ops.channel_shuffle(x, 2),
        one(lambda dy, x: ops.channel_shuffle_backward(dy, 2), "x"),
        {"x": X},
    ),
    "slice": (
        lambda x: ops.channel_slice(x, 2, 1),
        one(lambda dy, x: ops.channel_slice_backward(dy, 4, 1), "x"),
        {"x": X},
    ),
    "transposed convolution": (
        lambda x, w, b: ops.conv_transpose2d(x, w, b, **transpose),
        one(lambda dy, x, w, b: ops.conv_transpose2d_backward(dy, x, w, **transpose), "x", "w", "b"),
        {"x": X, "w": W, "b": BIAS},
    ),
    "transposed, grouped": (
        lambda x, w, b: ops.conv_transpose2d(x, w, b, groups=2),
        one(lambda dy, x, w, b: ops.conv_transpose2d_backward(dy, x, w, groups=2), "x", "w", "b"),
        {"x": X, "w": W[:, :, :3], "b": BIAS},
    ),
}


def _add(dy):
    first, second, third = ops.add_backward(dy, 3)
    return {"x": first + third, "gate": second}


@pytest.mark.parametrize("name", CASES)
def test_gradient(name: str) -> None:
    forward, backward, arrays = CASES[name]
    check = check_operation(forward, backward, arrays)
    assert check.passed, check


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"drop path"}))
def test_float32_stays_float32(name: str) -> None:
    forward, backward, arrays = CASES[name]
    small = {key: array.astype(np.float32) for key, array in arrays.items()}
    y = forward(**small)
    assert y.dtype == np.float32
    assert all(gradient.dtype == np.float32 for gradient in backward(y, **small).values())
    np.testing.assert_allclose(y, forward(**arrays), rtol=2e-4, atol=2e-4)


def test_no_channels_have_no_slopes() -> None:
    nothing = np.zeros(0)
    dx, dslope = ops.prelu_backward(nothing, nothing, nothing)
    assert dx.shape == dslope.shape == (0,)


def test_gelu_keeps_the_digits_of_its_tail() -> None:
    x = np.array([-30.0, -8.0, -1.0, 0.0, 3.0])
    np.testing.assert_allclose(ops.gelu(x), x * ndtr(x), rtol=1e-13)
    np.testing.assert_allclose(ops.gelu(x[2:], "tanh"), ops.gelu(x[2:]), atol=1e-3)


@pytest.mark.parametrize("function", [ops.silu, ops.elu, ops.hard_swish, ops.relu6, ops.hard_sigmoid])
def test_activations_do_not_overflow(function) -> None:
    x = np.array([-1e4, -90, 0, 90, 1e4], np.float32)
    assert np.isfinite(function(x)).all()  # a warning is an error here


def test_transposed_convolution_is_the_data_gradient_of_convolution() -> None:
    dy = RNG.normal(size=(2, 4, 3, 4))
    y = RNG.normal(size=(2, 8, 6, 6))
    options = {"stride": 2, "padding": ((1, 1), (0, 0))}
    dx, _, _ = ops.conv2d_backward(dy, y, W, needs=("x",), **options)
    np.testing.assert_allclose(ops.conv_transpose2d(dy, W, stride=2, padding=(1, 0), output_padding=(1, 0)), dx)


def test_transposed_convolution_by_its_definition() -> None:
    x, w = RNG.normal(size=(1, 2, 3, 2)), RNG.normal(size=(2, 3, 4, 2))
    y = np.zeros((1, 4, 7, 4))
    for i, j, u, v in np.ndindex(2, 3, 2, 3):
        y[0, 2 * i + u, 2 * j + v] += w[u, v] @ x[0, i, j]
    np.testing.assert_allclose(ops.conv_transpose2d(x, w, stride=2), y)


def test_bilinear_resizing_of_a_plane_is_the_plane_inside() -> None:
    plane = np.arange(8.0).reshape(1, 1, 8, 1)
    found = ops.resize2d(plane, (1, 16), "bilinear").ravel()
    np.testing.assert_allclose(found[1:-1], np.arange(14) / 2 + 0.25)


def test_adaptive_means_that_divide_evenly_are_mean_pooling() -> None:
    np.testing.assert_allclose(ops.adaptive_avg_pool2d(X, (5, 3)), ops.avg_pool2d(X, (1, 2)))
    np.testing.assert_allclose(ops.adaptive_avg_pool2d(X, 1)[:, 0, 0], ops.global_avg_pool2d(X))


def test_the_first_of_equal_maxima_takes_delta() -> None:
    x = np.array([1.0, 5, 5, 0]).reshape(1, 2, 2, 1)
    y, winners = ops.global_max_pool2d(x)
    dx = ops.global_max_pool2d_backward(np.ones_like(y), winners, x.shape)
    assert dx.ravel().tolist() == [0, 1, 0, 0]


def test_errors() -> None:
    with pytest.raises(ShapeError, match="branches must have one shape; they have"):
        ops.add(X, X[:1])
    with pytest.raises(ShapeError, match="one shape but for the channels"):
        ops.concatenate(X, X[:, :2])
    with pytest.raises(ShapeError, match="at least one array"):
        ops.add()
    with pytest.raises(ShapeError, match="has 4 channels, but the branches"):
        ops.concatenate_backward(X, (2, 3))
    with pytest.raises(ShapeError, match="the gate must have the shape of x"):
        ops.multiply(X, GATE[:1])
    with pytest.raises(ShapeError, match="groups must divide"):
        ops.channel_shuffle(X, 3)
    with pytest.raises(ShapeError, match="groups must divide"):
        ops.channel_shuffle_backward(X, 3)
    with pytest.raises(ShapeError, match="the slice must lie inside the channels; x has 4, start=3, count=2"):
        ops.channel_slice(X, 2, 3)
    with pytest.raises(ShapeError, match="must lie inside the channels, 4; start=1, dy has 4"):
        ops.channel_slice_backward(X, 4, 1)
    with pytest.raises(ArgumentError, match="size must be at least 1"):
        ops.local_response_norm(X, 0)
    with pytest.raises(ShapeError, match="dy must have the shape of x"):
        ops.local_response_norm_backward(X[:1], X, 1)
    with pytest.raises(ArgumentError, match="unknown mode 'cubic'"):
        ops.resize2d(X, 3, "cubic")
    with pytest.raises(ShapeError, match="maps must have shape"):
        ops.global_avg_pool2d(X[0])
    with pytest.raises(ShapeError, match="dy must have the shape of y"):
        ops.global_avg_pool2d_backward(X[0, 0], X.shape)
    with pytest.raises(ArgumentError, match="unknown approximation 'erf'"):
        ops.gelu(X, "erf")
    with pytest.raises(ArgumentError, match="one value, or one per channel"):
        ops.prelu(X, np.ones(3))
    with pytest.raises(ShapeError, match="give the arrays of one forward pass"):
        ops.hard_swish_backward(X[:1], X)
    with pytest.raises(ShapeError, match="give the arrays of one forward pass"):
        ops.silu_backward(X[:1], X)
    with pytest.raises(ShapeError, match="dy must have the shape of x"):
        ops.multiply_backward(X[:1], X, GATE)
    with pytest.raises(ArgumentError, match="output_padding must be below the stride"):
        ops.conv_transpose2d(X, W, stride=2, output_padding=2)
    with pytest.raises(ShapeError, match="leaves nothing of the output"):
        ops.conv_transpose2d(X, W, padding=4)
    with pytest.raises(ShapeError, match="x has 3 channels but w takes 4"):
        ops.conv_transpose2d(X[..., :3], W)
    with pytest.raises(ShapeError, match="b must have one value per filter"):
        ops.conv_transpose2d(X, W, BIAS[:2])
    with pytest.raises(ShapeError, match="x must have shape"):
        ops.conv_transpose2d(X[0], W)
    with pytest.raises(ShapeError, match="dy must have the shape of the output"):
        ops.conv_transpose2d_backward(X, X, W)
