"""Minimal filtering: against direct convolution, against differences, and its rounding against what is predicted."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from rot180.errors import ArgumentError
from rot180.inside.gradient_check import check_operation
from rot180.nn import Conv2d, ConvTranspose2d
from rot180.ops.conv2d import conv2d, conv2d_backward
from rot180.ops.conv_transpose2d import conv_transpose2d, conv_transpose2d_backward
from rot180.ops.geometry import geometry
from rot180.ops.recorder import listening
from rot180.ops.winograd import POINTS, growth, matrices
from rot180.ops.winograd_rounding import rounding

UNIT = {np.float32: 2.0**-24, np.float64: 2.0**-53}


@st.composite
def filterings(draw: st.DrawFn) -> dict[str, Any]:
    """Odd and even sizes, with and without whole tiles, and every form and amount of padding."""
    r = draw(st.sampled_from([3, 5]))
    side = st.integers(0, 7)  # more than the kernel's reach: rows of nothing but padding
    padding: Any = draw(
        st.one_of(
            st.sampled_from(["valid", "same"]),
            side,
            st.tuples(side, side),
            st.tuples(st.tuples(side, side), st.tuples(side, side)),
        )
    )
    smallest = 1 if padding == "same" else r
    generator = np.random.default_rng(draw(st.integers(0, 2**16)))
    height, width = (draw(st.integers(smallest, 14)) for _ in range(2))
    images, channels, filters = draw(st.integers(0, 2)), draw(st.integers(1, 5)), draw(st.integers(1, 5))
    x = generator.normal(size=(images, height, width, channels))
    w, b = generator.normal(size=(r, r, channels, filters)), generator.normal(size=filters)
    return {"x": x, "w": w, "b": b, "padding": padding, "generator": generator}


@settings(max_examples=80, deadline=None, derandomize=True)
@given(case=filterings())
def test_all_three_passes_agree_with_direct_convolution(case: dict[str, Any]) -> None:
    x, w, b, padding = case["x"], case["w"], case["b"], case["padding"]
    y = conv2d(x, w, b, padding=padding)
    dy = case["generator"].normal(size=y.shape)
    originals = x.copy(), w.copy(), dy.copy()
    found = [
        conv2d(x, w, b, padding=padding, algorithm="winograd"),
        *conv2d_backward(dy, x, w, padding=padding, algorithm="winograd"),
    ]
    for array, expected in zip(found, [y, *conv2d_backward(dy, x, w, padding=padding)], strict=True):
        assert array.shape == expected.shape
        assert array.dtype == np.float64
        assert array.flags.c_contiguous
        np.testing.assert_allclose(array, expected, rtol=0, atol=1e-9)
    for original, array in zip(originals, (x, w, dy), strict=True):
        np.testing.assert_array_equal(original, array)


@pytest.mark.parametrize(("r", "padding"), [(3, "same"), (3, ((0, 3), (2, 1))), (5, "valid"), (5, 4)])
def test_gradients_are_the_slopes(r: int, padding: Any) -> None:
    generator = np.random.default_rng(180)
    arrays = {"x": (2, 7, 6, 2), "w": (r, r, 2, 3), "b": (3,)}
    options: dict[str, Any] = {"padding": padding, "algorithm": "winograd"}

    def backward(dy: np.ndarray, x: np.ndarray, w: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip("xwb", conv2d_backward(dy, x, w, **options), strict=True))

    check = check_operation(
        lambda x, w, b: conv2d(x, w, b, **options),
        backward,
        {name: generator.normal(size=shape) for name, shape in arrays.items()},
    )
    assert check.passed, check
    assert check.skipped == 0


@settings(max_examples=40, deadline=None, derandomize=True)
@given(case=filterings())
def test_rounding_stays_below_its_bound(case: dict[str, Any]) -> None:
    x, w, padding = case["x"].astype(np.float32), case["w"].astype(np.float32), case["padding"]
    g = geometry(x.shape[1], x.shape[2], w.shape[:2], padding=padding)
    y = conv2d(x, w, padding=padding, algorithm="winograd")
    dy = case["generator"].normal(size=y.shape).astype(np.float32)
    dx, dw, _ = conv2d_backward(dy, x, w, padding=padding, algorithm="winograd")
    exact = [a.astype(np.float64) for a in (x, w, dy)]
    dx64, dw64, _ = conv2d_backward(exact[2], exact[0], exact[1], padding=padding)
    for part, found, right, arguments in (
        ("forward", y, conv2d(exact[0], exact[1], padding=padding), (x, w)),
        ("data_gradient", dx, dx64, (dy, w)),
        ("weight_gradient", dw, dw64, (dy, x)),
    ):
        bound = UNIT[np.float32] * rounding(part, *arguments, g)  # type: ignore[arg-type]
        assert bound.shape == found.shape
        assert (np.abs(found - right) <= bound).all()


def test_the_bound_of_rounding_is_not_far_above_that_of_direct_convolution() -> None:
    """Which is one unit for each product and sum: 9 * 16 of the magnitudes' sum."""
    generator = np.random.default_rng(8)
    x, w = generator.normal(size=(2, 10, 9, 16)), generator.normal(size=(3, 3, 16, 2))
    bound = rounding("forward", x, w, geometry(10, 9, 3))
    direct = 9 * 16 * conv2d(np.abs(x), np.abs(w))
    assert (bound > 0.5 * direct).all()
    assert (bound < 8 * direct).all()


@pytest.mark.parametrize(("r", "channels", "limit"), [(3, 64, 3), (5, 64, 2.5)])
def test_it_rounds_about_twice_as_much_as_direct_convolution(r: int, channels: int, limit: float) -> None:
    generator = np.random.default_rng(180)
    x = generator.normal(size=(2, 16, 16, channels)).astype(np.float32)
    w = (generator.normal(size=(r, r, channels, 16)) / (r * channels**0.5)).astype(np.float32)
    exact = conv2d(x.astype(np.float64), w.astype(np.float64), padding="same")
    # One product after the other, as the definition adds them; a matrix product adds up in parts, and errs less.
    direct, taps = np.zeros(exact.shape, np.float32), np.pad(x, ((0, 0), *[(r // 2, r // 2)] * 2, (0, 0)))
    for u, v, c in np.ndindex(r, r, channels):
        direct += taps[:, u : u + 16, v : v + 16, c, None] * w[u, v, c]
    found = conv2d(x, w, padding="same", algorithm="winograd")
    errors = [float(np.sqrt(((y - exact) ** 2).mean())) for y in (direct, found)]
    assert errors[1] < limit * errors[0]


@pytest.mark.parametrize(("m", "r"), [(1, 1), (2, 3), (4, 3), (2, 5), (6, 3), (3, 4)])
def test_one_sum_stands_for_three_passes(m: int, r: int) -> None:
    points = [0.0, *(sign * p for p in (5 / 8, 3 / 2, 3) for sign in (1, -1))][: m + r - 2]
    at, g, bt = matrices(m, r, tuple(points))
    e, taps, pixels = (np.random.default_rng(size).normal(size=size) for size in (m, r, m + r - 1))
    np.testing.assert_allclose(at @ ((g @ taps) * (bt @ pixels)), np.correlate(pixels, taps))
    np.testing.assert_allclose(g.T @ ((at.T @ e) * (bt @ pixels)), np.correlate(pixels, e), rtol=1e-10)
    np.testing.assert_allclose(bt.T @ ((at.T @ e) * (g @ taps)), np.convolve(e, taps), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(("m", "r"), [(4, 3), (2, 5)])
def test_the_matrices_of_pixels_and_outputs_are_exact_in_float32(m: int, r: int) -> None:
    at, _, bt = matrices(m, r)
    for matrix in (at, bt):
        np.testing.assert_array_equal(matrix.astype(np.float32), matrix)
    with pytest.raises(
        ArgumentError, match=r"matrices: 4 outputs of 3 taps need 5 different points; they are \(0, 1, "
    ):
        matrices(4, 3, (0, 1, -1, 2, 2))


def test_the_points_govern_the_error_as_predicted() -> None:
    """In 200 random tiles, root mean square errors are as `growth` says, within a third."""
    generator = np.random.default_rng(180)
    for m, r, points in ((4, 3, POINTS), (4, 3, (0, 1, -1, 2, -2)), (2, 3, (0, 1, -1)), (2, 5, POINTS)):
        n = m + r - 1
        at, g, bt = matrices(m, r, points)
        x, w = generator.normal(size=(200, n, n)), generator.normal(size=(200, r, r))
        pixels, taps = (matrix @ a @ matrix.T for matrix, a in ((bt, x), (g, w)))
        unit = generator.uniform(-1, 1, size=pixels.shape)  # each product's own relative error
        error = at @ (unit * pixels * taps) @ at.T
        direct = np.sqrt((unit**2).mean() * r * r)
        assert abs(np.sqrt((error**2).mean()) / direct / growth(m, r, points) - 1) < 1 / 3


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("spoiled", ["x", "w", "dy"])
def test_what_is_not_finite_reaches_at_least_as_far_as_by_definition(bad: float, spoiled: str) -> None:
    generator = np.random.default_rng(3)
    arrays = {"x": (1, 11, 10, 2), "w": (3, 3, 2, 2), "dy": (1, 11, 10, 2)}
    x, w, dy = (generator.normal(size=shape) for shape in arrays.values())
    {"x": x, "w": w, "dy": dy}[spoiled][0, 2, 1, 1] = bad

    def passes(algorithm: str) -> list[Any]:
        with np.errstate(invalid="ignore"):
            y = conv2d(x, w, padding=1, algorithm=algorithm)
            return [y, *conv2d_backward(dy, x, w, padding=1, algorithm=algorithm)]

    expected = passes("loops")
    assert sum(not np.isfinite(array).all() for array in expected) >= 2
    for array, by_definition in zip(passes("winograd"), expected, strict=True):
        assert not np.isfinite(array[~np.isfinite(by_definition)]).any()


@pytest.mark.parametrize(
    ("kernel", "options", "came"),
    [
        ((3, 3), {"stride": 2}, "this is 3x3 with stride 2x2, dilation 1x1 and groups=1; choose 'auto' or 'im2col'"),
        ((3, 3), {"stride": (1, 2), "dilation": 2}, "this is 3x3 with stride 1x2, dilation 2x2 and"),
        ((5, 5), {"groups": 2}, "this is 5x5 with stride 1x1, dilation 1x1 and groups=2; choose"),
        ((1, 1), {}, "this is 1x1 with"),
        ((3, 5), {}, "this is 3x5 with"),
    ],
)
def test_other_geometries_are_refused(kernel: tuple[int, int], options: dict[str, Any], came: str) -> None:
    rule = "the algorithm 'winograd' is for 3x3 and 5x5 kernels with stride 1, dilation 1 and groups=1; "
    x, w = np.ones((1, 12, 12, 4)), np.ones((*kernel, 4 // options.get("groups", 1), 4))
    with pytest.raises(ArgumentError, match=f"^conv2d: {rule}{came}"):
        conv2d(x, w, algorithm="winograd", **options)
    with pytest.raises(ArgumentError, match=f"^conv2d_backward: {rule}{came}"):
        conv2d_backward(conv2d(x, w, **options), x, w, algorithm="winograd", **options)
    for layer in (Conv2d, ConvTranspose2d):
        with pytest.raises(ArgumentError, match=f"^{layer.__name__}: {rule}{came}"):
            layer(4, kernel, algorithm="winograd", **options)
        later = layer(4, kernel, name="conv1", **options)
        later.algorithm = "winograd"
        with pytest.raises(ArgumentError, match=f"^conv1: {rule}{came}"):
            later.output_shape((12, 12, 4))


def test_transposed_convolution_takes_it_as_well() -> None:
    generator = np.random.default_rng(5)
    x, w = generator.normal(size=(2, 6, 7, 3)), generator.normal(size=(3, 3, 2, 3))
    y = conv_transpose2d(x, w, padding=1)
    np.testing.assert_allclose(conv_transpose2d(x, w, padding=1, algorithm="winograd"), y, atol=1e-9)
    found = conv_transpose2d_backward(y, x, w, padding=1, algorithm="winograd")
    for gradient, expected in zip(found, conv_transpose2d_backward(y, x, w, padding=1), strict=True):
        np.testing.assert_allclose(gradient, expected, atol=1e-9)


def test_it_names_its_arrays() -> None:
    x, w = np.ones((2, 10, 9, 3)), np.ones((3, 3, 3, 5))
    shapes: dict[str, tuple[int, ...]] = {}
    with listening(lambda name, array: shapes.update({name: array.shape})):
        y = conv2d(x, w, padding=1, algorithm="winograd")
        assert shapes == {
            "x_pad": (2, 12, 11, 3),
            "x_tiles": (6, 6, 2, 3, 3, 3),
            "x_hat": (6, 6, 18, 3),
            "w_hat": (6, 6, 3, 5),
            "y_hat": (6, 6, 18, 5),
            "y": (2, 10, 9, 5),
        }
        shapes.clear()
        conv2d_backward(y, x, w, padding=1, algorithm="winograd")
    assert shapes["w_rot_hat"] == (6, 6, 5, 3)
    assert shapes["dx_hat"] == (6, 6, 18, 3)
    assert shapes["dy_tiles"] == (4, 4, 2, 3, 3, 5)
    assert shapes["dw_hat"] == (6, 6, 3, 5)
    assert [name for name in shapes if name in ("dx", "dw", "db")] == ["dx", "dw", "db"]
