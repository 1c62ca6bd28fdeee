"""The checker is checked: it must pass what is right, and fail each classical mistake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rot180.errors import ArgumentError, NonFiniteError, ShapeError
from rot180.inside.gradient_check import check_gradient, check_gradients, check_operation
from rot180.ops.conv2d import conv2d, conv2d_backward
from rot180.ops.conv_layout import pad, tap, windows
from rot180.ops.conv_rotation import pad_delta, rotate180
from rot180.ops.geometry import geometry

Array = np.ndarray
Gradients = dict[str, Array]


def draw(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


ARRAYS = {"x": draw(2, 6, 6, 2, seed=1), "w": draw(3, 3, 2, 3, seed=2), "b": draw(3, seed=3)}


def forward(x: Array, w: Array, b: Array) -> Array:
    return conv2d(x, w, b, padding=1)


def right(dy: Array, x: Array, w: Array, b: Array) -> Gradients:
    dx, dw, db = conv2d_backward(dy, x, w, padding=1)
    return {"x": dx, "w": dw, "b": db}


def unrotated_kernel(dy: Array, x: Array, w: Array, b: Array) -> Gradients:
    delta_pad = pad_delta(dy, geometry(6, 6, 3, padding=1))
    exchanged = rotate180(w)[::-1, ::-1]
    return right(dy, x, w, b) | {"x": conv2d(delta_pad, exchanged)}


def channel_axes_of_another_filter(dy: Array, x: Array, w: Array, b: Array) -> Gradients:
    return right(dy, x, w, b) | {"w": np.roll(conv2d_backward(dy, x, w, padding=1)[1], 1, axis=3)}


def uncropped_padding(dy: Array, x: Array, w: Array, b: Array) -> Gradients:
    padded = pad(x, geometry(6, 6, 3, padding=1))
    dx_pad, _, _ = conv2d_backward(dy, padded, w)
    return right(dy, x, w, b) | {"x": dx_pad[:, :6, :6]}  # the right size, but not shifted by the padding


def columns_assigned_not_added(dy: Array, x: Array, w: Array, b: Array) -> Gradients:
    g = geometry(6, 6, 3, padding=1)
    dwindows = np.tensordot(dy, w, axes=((3,), (3,)))
    dx_pad = np.zeros_like(pad(x, g))
    for u in range(3):
        for v in range(3):
            tap(dx_pad, g, u, v)[...] = dwindows[:, :, :, u, v]
    return right(dy, x, w, b) | {"x": dx_pad[:, 1:-1, 1:-1].copy()}


def forgotten_bias(dy: Array, x: Array, w: Array, b: Array) -> Gradients:
    return right(dy, x, w, b) | {"b": np.zeros_like(b)}


def bias_of_one_image(dy: Array, x: Array, w: Array, b: Array) -> Gradients:
    return right(dy, x, w, b) | {"b": dy[0].sum(axis=(0, 1))}


def one_filter_only(dy: Array, x: Array, w: Array, b: Array) -> Gradients:
    dw = right(dy, x, w, b)["w"]
    dw[..., 1:] = 0
    return right(dy, x, w, b) | {"w": dw}


def slightly_off(dy: Array, x: Array, w: Array, b: Array) -> Gradients:
    return right(dy, x, w, b) | {"w": right(dy, x, w, b)["w"] * (1 + 3e-6)}


def test_a_right_backward_passes() -> None:
    check = check_operation(forward, right, ARRAYS)
    assert check.passed, check
    assert check.max_error < 1e-9
    assert check.skipped == 0
    assert check.checked == 20 + 4 + 20 + 4 + 3 + 4
    assert str(check).startswith("right: largest relative error")


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        (unrotated_kernel, "x"),
        (uncropped_padding, "x"),
        (columns_assigned_not_added, "x"),
        (channel_axes_of_another_filter, "w"),
        (one_filter_only, "w"),
        (slightly_off, "w"),
        (forgotten_bias, "b"),
        (bias_of_one_image, "b"),
    ],
)
@pytest.mark.parametrize("options", [{}, {"coordinates": 0}, {"directions": 0}])
def test_a_wrong_derivative_is_found(wrong: Callable[..., Gradients], name: str, options: dict[str, int]) -> None:
    check = check_operation(forward, wrong, ARRAYS, **options)
    assert not check.passed
    assert check.max_error > 1e-6
    assert check.worst_name == name
    assert f"WRONG: largest relative error {check.max_error:.1e} at {name}" in str(check)


POOL = geometry(6, 6, 2, stride=2)


def max_pool(x: Array) -> Array:
    return windows(x, POOL).max(axis=(3, 4))


def delta_to_the_first_maximum(dy: Array, x: Array) -> Gradients:
    dx = np.zeros_like(x)
    for n, i, j, c in np.ndindex(*dy.shape):
        window = x[n, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c]
        u, v = np.unravel_index(window.argmax(), (2, 2))
        dx[n, 2 * i + u, 2 * j + v, c] += dy[n, i, j, c]
    return {"x": dx}


def delta_to_every_maximum(dy: Array, x: Array) -> Gradients:
    up = lambda a: a.repeat(2, axis=1).repeat(2, axis=2)  # noqa: E731
    return {"x": np.where(x == up(max_pool(x)), up(dy), 0.0)}


@pytest.mark.parametrize("levels", [2, 4])
def test_delta_to_every_tied_maximum_is_found(levels: int) -> None:
    x = {"x": np.random.default_rng(0).integers(0, levels, size=(2, 6, 6, 2)).astype(np.float64)}
    check = check_operation(max_pool, delta_to_the_first_maximum, x)
    assert check.passed, check
    assert check.skipped > 0
    assert not check_operation(max_pool, delta_to_every_maximum, x).passed


def test_without_ties_every_maximum_is_the_first() -> None:
    x = {"x": draw(2, 6, 6, 2)}
    assert check_operation(max_pool, delta_to_every_maximum, x).passed


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_a_kink_is_skipped_whatever_is_claimed_there(slope: float) -> None:
    x = np.array([0.0, 1.0, -1.0, 2.0])
    claimed = np.where(x == 0, slope, x > 0)
    check = check_gradient(lambda x: np.maximum(x, 0).sum(), x, claimed, directions=0)
    assert check.passed, check
    assert (check.checked, check.skipped) == (3, 1)


def test_a_kink_close_by_is_avoided_by_shorter_steps() -> None:
    for distance in np.geomspace(1e-7, 1e-2, 60):
        x = np.array([1.0])
        check = check_gradient(
            lambda x, distance=distance: float(np.maximum(x[0] - 1 - distance, 0) + np.sin(x[0])), x, np.cos(x)
        )
        assert check.max_error <= 1e-6, (distance, check)
        assert check.checked > 0 or distance < 1e-6


def test_a_point_that_is_all_kinks_does_not_pass() -> None:
    check = check_gradient(lambda x: np.abs(x).sum(), np.zeros(3), np.zeros(3))
    assert not check.passed
    assert check.checked == 0
    assert check.unchecked == ("x",)
    assert "nothing could be checked" in str(check)


def test_an_array_of_which_nothing_was_checked_does_not_pass() -> None:
    arrays = {"kink": np.zeros(2), "smooth": np.ones(2)}
    check = check_gradients(
        lambda a: np.abs(a["kink"]).sum() + np.sum(a["smooth"] ** 2),
        arrays,
        {"kink": np.zeros(2), "smooth": 2 * np.ones(2)},
    )
    assert check.max_error < 1e-9
    assert not check.passed
    assert str(check).endswith("nothing checked in kink")


def test_a_gradient_that_is_zero_and_should_be_passes() -> None:
    # Softmax does not feel a shift: the slope along it is zero but for rounding.
    def log_sum(a: dict[str, Array]) -> float:
        z = a["z"] + a["shift"]
        return float(np.log(np.exp(z).sum()) - z[0])

    z = draw(5)
    softmax = np.exp(z) / np.exp(z).sum()
    check = check_gradients(
        log_sum, {"z": z, "shift": np.zeros(1)}, {"z": softmax - np.eye(5)[0], "shift": np.zeros(1)}
    )
    assert check.passed, check


def test_one_wrong_entry_of_many_is_found_by_directions() -> None:
    x = draw(100_000)
    dx = np.cos(x)
    assert check_gradient(lambda x: np.sin(x).sum(), x, dx, coordinates=2).passed
    dx[41_234] += 1.0
    assert not check_gradient(lambda x: np.sin(x).sum(), x, dx, coordinates=2).passed


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("height", [1e-8, 1.0, 1e8])
def test_units_do_not_matter(scale: float, height: float) -> None:
    x = scale * draw(30)
    f = lambda x: height * np.sum(np.tanh(x / scale) ** 2)  # noqa: E731
    t = np.tanh(x / scale)
    dx = height * 2 * t * (1 - t**2) / scale
    assert check_gradient(f, x, dx).max_error < 1e-8
    assert not check_gradient(f, x, dx * (1 + 1e-5)).passed


def test_nothing_is_changed_and_the_draws_are_repeatable() -> None:
    x = draw(4, 3)
    before = x.copy()
    dx = 3 * x**2
    first = check_gradient(lambda x: np.sum(x**3), x, dx, seed=5)
    assert first == check_gradient(lambda x: np.sum(x**3), x, dx, seed=5)
    np.testing.assert_array_equal(x, before)


def test_a_gradient_that_is_not_finite_is_wrong() -> None:
    check = check_gradient(lambda x: np.sum(x), np.ones(3), np.array([1.0, np.nan, 1.0]))
    assert check.max_error == np.inf
    assert not check.passed


def test_empty_arrays_and_scalars() -> None:
    check = check_gradients(
        lambda a: float(a["s"] ** 2),
        {"s": np.array(3.0), "none": np.zeros(0)},
        {"s": np.array(6.0), "none": np.zeros(0)},
    )
    assert check.passed, check


@pytest.mark.parametrize(
    ("x", "dx", "error", "match"),
    [
        (np.ones(2, np.float32), np.ones(2), ArgumentError, "x must be a float64 array, .* it is float32"),
        (np.ones(2), np.ones(3), ShapeError, r"the gradient of x must have its shape \(2,\); it has \(3,\)"),
        (np.array([np.inf]), np.ones(1), NonFiniteError, "the function is inf at the given arrays"),
    ],
)
def test_what_cannot_be_checked_is_refused(x: Any, dx: Any, error: type, match: str) -> None:
    with pytest.raises(error, match=match):
        check_gradient(lambda x: np.sum(x), x, dx)


def test_a_gradient_of_nothing_is_refused() -> None:
    with pytest.raises(ArgumentError, match="a gradient for 'y', but no array of that name"):
        check_gradients(lambda a: 0.0, {"x": np.ones(1)}, {"y": np.ones(1)})
