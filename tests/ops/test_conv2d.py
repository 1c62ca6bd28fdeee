"""Convolution: against scipy, against its own definition, against differences, and on the edges."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from scipy.signal import correlate

from rot180 import kernels, ops
from rot180.errors import ArgumentError, ShapeError
from rot180.inside.gradient_check import check_operation
from rot180.ops.conv2d import ALGORITHMS, choose_algorithm, conv2d, conv2d_backward
from rot180.ops.conv_im2col import col2im, im2col
from rot180.ops.geometry import geometry
from rot180.ops.recorder import listening

GENERAL = [name for name in ALGORITHMS if name != "winograd"]  # which is for some shapes only: test_winograd
FAST = [name for name in (*GENERAL, "auto") if name != "loops"]
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, Any]:
    """Shapes and arguments that fit together: rectangular, padded in every form, strided, dilated, grouped."""
    small = st.integers(1, 3)
    kernel, dilation, stride = (draw(st.tuples(small, small)) for _ in range(3))
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    side = st.integers(0, 3)
    padding: Any = draw(
        st.one_of(
            st.sampled_from(["valid", "same"]),
            side,
            st.tuples(side, side),
            st.tuples(st.tuples(side, side), st.tuples(side, side)),
        )
    )
    groups = draw(small)
    channels, filters = groups * draw(small), groups * draw(small)
    height, width = (r + draw(st.integers(0, 4)) for r in reach)
    return {
        "x_shape": (draw(st.integers(1, 2)), height, width, channels),
        "w_shape": (*kernel, channels // groups, filters),
        "arguments": {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups},
        "seed": draw(st.integers(0, 2**16)),
    }


def draw_arrays(case: dict[str, Any], dtype: Any = np.float64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(case["seed"])
    x = generator.normal(size=case["x_shape"]).astype(dtype)
    w = generator.normal(size=case["w_shape"]).astype(dtype)
    return x, w, generator.normal(size=w.shape[3]).astype(dtype)


def scipy_conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride, padding, dilation, groups) -> np.ndarray:
    """Correlate map by map with scipy, at stride 1, with the kernel's gaps written out as zeros; then thin."""
    g = geometry(x.shape[1], x.shape[2], w.shape[:2], stride=stride, padding=padding, dilation=dilation)
    x_pad = np.pad(x, ((0, 0), *g.padding, (0, 0)))
    gaps = np.zeros((*(d * (k - 1) + 1 for d, k in zip(g.dilation, g.kernel, strict=True)), *w.shape[2:]))
    gaps[:: g.dilation[0], :: g.dilation[1]] = w
    per_group, filters_per_group = w.shape[2], w.shape[3] // groups
    y = np.zeros((x.shape[0], g.out_height, g.out_width, w.shape[3]))
    for n in range(x.shape[0]):
        for f in range(w.shape[3]):
            first = f // filters_per_group * per_group
            for c in range(per_group):
                full = correlate(x_pad[n, :, :, first + c], gaps[:, :, c, f], mode="valid", method="direct")
                y[n, :, :, f] += full[:: g.stride[0], :: g.stride[1]]
    return y + b


def close(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    return bool(np.abs(a - b).max(initial=0.0) <= tolerance * max(np.abs(b).max(initial=0.0), 1e-30))


@pytest.mark.parametrize("algorithm", ["auto", *GENERAL])
@settings(max_examples=25, deadline=None, derandomize=True)
@given(case=convolutions())
def test_forward_is_what_scipy_computes(algorithm: str, case: dict[str, Any]) -> None:
    x, w, b = draw_arrays(case)
    expected = scipy_conv2d(x, w, b, **case["arguments"])
    assert close(conv2d(x, w, b, algorithm=algorithm, **case["arguments"]), expected, 1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(case=convolutions())
def test_algorithms_agree(dtype: Any, case: dict[str, Any]) -> None:
    x, w, b = draw_arrays(case, dtype)
    arguments = case["arguments"]
    y = conv2d(x, w, b, algorithm="loops", **arguments)
    dy = np.random.default_rng(case["seed"] + 1).normal(size=y.shape).astype(dtype)
    expected = conv2d_backward(dy, x, w, algorithm="loops", **arguments)
    originals = dy.copy(), x.copy(), w.copy()
    for algorithm in FAST:
        assert close(conv2d(x, w, b, algorithm=algorithm, **arguments), y, TOLERANCE[dtype]), algorithm
        gradients = conv2d_backward(dy, x, w, algorithm=algorithm, **arguments)
        for name, gradient, reference in zip(("dx", "dw", "db"), gradients, expected, strict=True):
            assert close(gradient, reference, TOLERANCE[dtype]), (algorithm, name)
            assert gradient.flags.c_contiguous, (algorithm, name)
    for original, array in zip(originals, (dy, x, w), strict=True):
        np.testing.assert_array_equal(original, array)


@pytest.mark.parametrize("algorithm", GENERAL)
@pytest.mark.parametrize(
    ("x_shape", "w_shape", "arguments"),
    [
        ((2, 5, 6, 2), (3, 2, 2, 3), {}),
        ((1, 6, 5, 2), (2, 3, 2, 2), {"stride": 2, "padding": "same"}),
        ((1, 7, 6, 2), (3, 2, 2, 2), {"stride": (2, 3), "padding": ((1, 0), (2, 1)), "dilation": (1, 2)}),
        ((1, 6, 6, 4), (3, 3, 2, 4), {"groups": 2, "padding": 1}),
        ((2, 5, 5, 3), (3, 3, 1, 3), {"groups": 3, "padding": "same", "dilation": 2}),
        ((1, 5, 5, 3), (2, 2, 1, 6), {"groups": 3, "stride": 2}),
        ((1, 3, 3, 1), (2, 2, 1, 1), {"padding": 4}),  # windows that see nothing but padding
    ],
)
def test_gradients_are_the_slopes(algorithm: str, x_shape: Any, w_shape: Any, arguments: dict[str, Any]) -> None:
    x, w, b = draw_arrays({"seed": 0, "x_shape": x_shape, "w_shape": w_shape})

    def backward(dy: np.ndarray, x: np.ndarray, w: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
        gradients = conv2d_backward(dy, x, w, algorithm=algorithm, **arguments)
        return dict(zip("xwb", gradients, strict=True))

    check = check_operation(
        lambda x, w, b: conv2d(x, w, b, algorithm=algorithm, **arguments), backward, {"x": x, "w": w, "b": b}
    )
    assert check.passed, check
    assert check.skipped == 0


@pytest.mark.parametrize("algorithm", ["auto", *GENERAL])
def test_pixels_that_no_window_reaches_get_no_gradient(algorithm: str) -> None:
    x, w = np.ones((1, 8, 7, 1)), np.ones((2, 2, 1, 1))
    dx, dw, _ = conv2d_backward(np.ones((1, 3, 2, 1)), x, w, stride=3, algorithm=algorithm)
    expected = np.zeros((8, 7))
    for i in (0, 3, 6):
        for j in (0, 3):
            expected[i : i + 2, j : j + 2] = 1
    np.testing.assert_array_equal(dx[0, :, :, 0], expected)
    np.testing.assert_array_equal(dw[:, :, 0, 0], np.full((2, 2), 6.0))


@pytest.mark.parametrize("algorithm", ["auto", *GENERAL])
@pytest.mark.parametrize("groups", [1, 2])
def test_an_empty_batch_stays_empty(algorithm: str, groups: int) -> None:
    x, w = np.ones((0, 5, 5, 2), np.float32), np.ones((3, 3, 2 // groups, 4), np.float32)
    y = conv2d(x, w, np.ones(4, np.float32), groups=groups, algorithm=algorithm)
    dx, dw, db = conv2d_backward(y, x, w, groups=groups, algorithm=algorithm)
    assert y.shape == (0, 3, 3, 4)
    assert dx.shape == x.shape
    assert not dw.any()
    assert dw.shape == w.shape
    assert not db.any()


@pytest.mark.parametrize("algorithm", ["auto", *GENERAL])
def test_arrays_need_not_be_contiguous(algorithm: str) -> None:
    x, w, _ = draw_arrays({"seed": 3, "x_shape": (2, 6, 5, 2), "w_shape": (3, 2, 2, 4)})
    y = conv2d(x, w)
    dy = np.asfortranarray(y)
    turned = np.asfortranarray(x), np.asfortranarray(w)
    assert close(conv2d(*turned, algorithm=algorithm), y, 1e-12)
    for gradient, expected in zip(
        conv2d_backward(dy, *turned, algorithm=algorithm), conv2d_backward(y, x, w), strict=True
    ):
        assert close(gradient, expected, 1e-12)


@pytest.mark.parametrize("algorithm", ["auto", *GENERAL])
def test_float64_wins_over_float32(algorithm: str) -> None:
    x, w = np.ones((1, 4, 4, 1), np.float32), np.ones((2, 2, 1, 1))
    y = conv2d(x, w, algorithm=algorithm)
    assert y.dtype == np.float64
    assert conv2d(x, w.astype(np.float32), np.ones(1)).dtype == np.float64
    assert {a.dtype for a in conv2d_backward(y, x, w, algorithm=algorithm)} == {np.dtype(np.float64)}


def test_only_what_is_needed_is_computed() -> None:
    x, w = np.ones((1, 4, 4, 1)), np.ones((2, 2, 1, 1))
    dy = conv2d(x, w)
    dx, dw, db = conv2d_backward(dy, x, w, needs=("w",))
    assert (dx is None, dw is None, db is None) == (True, False, True)
    assert conv2d_backward(dy, x, w, needs=()) == (None, None, None)
    with pytest.raises(ArgumentError, match="needs names 'x', 'w' and 'b'; it has 'z'"):
        conv2d_backward(dy, x, w, needs="xz")


def test_the_journey_of_the_second_layer_of_the_named_network() -> None:
    x, w = np.ones((32, 14, 14, 32), np.float32), np.ones((5, 5, 32, 64), np.float32)
    names: dict[str, tuple[int, ...]] = {}
    with listening(lambda name, array: names.update({name: array.shape})):
        y = conv2d(x, w, padding="same", algorithm="im2col")
        assert names == {
            "x_pad": (32, 18, 18, 32),
            "x_col": (6272, 800),
            "w_col": (800, 64),
            "y_col": (6272, 64),
            "y": (32, 14, 14, 64),
        }
        names.clear()
        conv2d_backward(y, x, w, padding="same", algorithm="im2col")
    assert next(iter(names)) == "delta"
    assert names["delta_pad"] == (32, 18, 18, 64)
    assert names["w_rot"] == (5, 5, 64, 32)
    assert names["delta_col"] == (6272, 1600)
    assert (names["dx"], names["dw"], names["db"]) == (x.shape, w.shape, (64,))
    assert [name for name in names if name in ("dx", "dw", "db")] == ["dx", "dw", "db"]


@pytest.mark.parametrize("algorithm", GENERAL)
def test_every_algorithm_names_its_arrays(algorithm: str) -> None:
    x, w = np.ones((1, 4, 4, 2)), np.ones((3, 3, 1, 2))
    names: list[str] = []
    with listening(lambda name, _: names.append(name)):
        conv2d_backward(conv2d(x, w, padding=1, groups=2, algorithm=algorithm), x, w, padding=1, groups=2)
    assert {"x_pad", "y", "delta", "dx", "dw", "db"} <= set(names)


def test_auto_chooses_for_the_shapes() -> None:
    g = geometry(32, 32, 3, padding="same")
    assert choose_algorithm("forward", (8, 32, 32, 64), g, 64, 64) == "offsets"
    assert choose_algorithm("forward", (8, 32, 32, 64), g, 8) == "offsets"
    assert choose_algorithm("data_gradient", (8, 32, 32, 64), g, 8) == "im2col"
    assert choose_algorithm("data_gradient", (8, 32, 32, 8), g, 64) == "offsets"
    assert choose_algorithm("weight_gradient", (8, 32, 32, 1), g, 64) == "windows"
    assert choose_algorithm("weight_gradient", (8, 32, 32, 64), g, 8) == "offsets"


@settings(max_examples=60, deadline=None, derandomize=True)
@given(case=convolutions())
def test_col2im_is_the_adjoint_of_im2col(case: dict[str, Any]) -> None:
    arguments = {key: value for key, value in case["arguments"].items() if key != "groups"}
    x, w, _ = draw_arrays(case)
    kernel = w.shape[:2]
    x_col = im2col(x, kernel, **arguments)
    c = np.random.default_rng(case["seed"]).normal(size=x_col.shape)
    forth, back = np.vdot(x_col, c), np.vdot(x, col2im(c, x.shape, kernel, **arguments))
    assert abs(forth - back) <= 1e-12 * np.abs(x_col * c).sum() + 1e-30


def test_col2im_gives_the_data_gradient() -> None:
    x, w, _ = draw_arrays({"seed": 5, "x_shape": (2, 7, 6, 3), "w_shape": (3, 2, 3, 4)})
    arguments: dict[str, Any] = {"stride": 2, "padding": 1, "dilation": (1, 2)}
    dy = np.random.default_rng(6).normal(size=conv2d(x, w, **arguments).shape)
    dx_col = dy.reshape(-1, 4) @ w.reshape(-1, 4).T
    dx, _, _ = conv2d_backward(dy, x, w, **arguments)
    assert close(col2im(dx_col, x.shape, (3, 2), **arguments), dx, 1e-12)


def test_unfolding_refuses_what_does_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"im2col: x must have shape \(N, H, W, C\); it has \(4, 4\)"):
        im2col(np.ones((4, 4)), 2)
    with pytest.raises(ShapeError, match=r"unfold to rows of shape \(9, 4\) but x_col has \(4, 9\)"):
        col2im(np.ones((4, 9)), (1, 4, 4, 1), 2)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(case=convolutions())
def test_three_ways_to_unfold_give_the_same_bits(case: dict[str, Any]) -> None:
    arguments = {key: value for key, value in case["arguments"].items() if key != "groups"}
    x, w, _ = draw_arrays(case)
    found = [im2col(x, w.shape[:2], **arguments, method=method) for method in ("strides", "indices", "loops")]
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
        assert other.flags.c_contiguous
        assert other.dtype == x.dtype
        assert not np.shares_memory(other, x)
    with pytest.raises(ArgumentError, match=r"im2col: unknown method 'loop'; did you mean 'loops'\?"):
        im2col(x, w.shape[:2], **arguments, method="loop")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(case=convolutions())
def test_an_unfolded_input_gives_the_same_bits_as_unfolding_it(case: dict[str, Any]) -> None:
    x, w, b = draw_arrays(case)
    arguments = case["arguments"]
    x_col = im2col(x, w.shape[:2], **{key: value for key, value in arguments.items() if key != "groups"})
    y = conv2d(x, w, b, **arguments, x_col=x_col)
    np.testing.assert_array_equal(y, conv2d(x, w, b, **arguments, algorithm="im2col"))
    dx, dw, db = conv2d_backward(y, x, w, **arguments, x_col=x_col)
    expected = conv2d_backward(y, x, w, **arguments, algorithm="im2col", needs=("w",))[1]
    np.testing.assert_array_equal(dw, expected)
    for found, whole in zip((dx, db), conv2d_backward(y, x, w, **arguments)[::2], strict=True):
        np.testing.assert_array_equal(found, whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x_col: x_col[:-1], r"x \(2, 5, 5, 3\) unfolds to \(18, 27\) but x_col has \(17, 27\); pass im2col of"),
        (lambda x_col: x_col.astype(np.float32), "x_col must have the type of x, float64; it is float32"),
        (lambda x_col: x_col.tolist(), "x_col must be a float32 or float64 array; it is list"),
        (lambda x_col: x_col + 1, "x_col is not the unfolded x: its last row is not the last window; unfold x again"),
    ],
)
@pytest.mark.parametrize("room", [ops, kernels])
def test_an_unfolded_input_that_does_not_fit_is_refused(room: Any, change: Any, message: str) -> None:
    x, w = np.random.default_rng(0).normal(size=(2, 5, 5, 3)), np.ones((3, 3, 3, 2))
    wrong, dy = change(im2col(x, 3)), np.ones((2, 3, 3, 2))
    for name, call in (
        ("conv2d", lambda: room.conv2d(x, w, x_col=wrong)),
        ("conv2d_backward", lambda: room.conv2d_backward(dy, x, w, x_col=wrong)),
    ):
        with pytest.raises(ArgumentError, match=f"{name}: {message}"):
            call()
    with pytest.raises(ArgumentError, match="x_col is for the algorithm 'im2col'; it is 'offsets'; leave one of them"):
        room.conv2d(x, w, algorithm="offsets", x_col=im2col(x, 3))
    np.testing.assert_allclose(room.conv2d(x, w, x_col=im2col(x, 3)), conv2d(x, w))


X, W = np.zeros((2, 6, 6, 4), np.float32), np.zeros((3, 3, 4, 8), np.float32)


@pytest.mark.parametrize(
    ("x", "w", "arguments", "error", "match"),
    [
        (
            np.zeros((64, 32, 32, 3), np.float32),
            np.zeros((5, 5, 1, 8), np.float32),
            {},
            ShapeError,
            r"^conv2d: x has 3 channels but w expects 1 \(x \(64, 32, 32, 3\), w \(5, 5, 1, 8\)\); give .*=3$",
        ),
        (X, W, {"groups": 2}, ShapeError, "x has 4 channels but w expects 8 in 2 groups"),
        (X, W, {"groups": 3}, ShapeError, "groups must divide channels and filters; groups=3"),
        (X, W, {"groups": 0}, ArgumentError, "groups must be an int, at least 1; it is 0"),
        (X, W, {"groups": True}, ArgumentError, "groups must be an int, at least 1; it is True"),
        (
            X[0],
            W,
            {},
            ShapeError,
            r"x must have shape \(N, H, W, C\); it has \(6, 6, 4\); for one image give x\[None\]",
        ),
        (X, W[0], {}, ShapeError, r"w must have shape \(KH, KW, C // groups, F\); it has \(3, 4, 8\)"),
        (X[..., :0], W[:, :, :0], {}, ShapeError, "at least one channel and one filter"),
        (X.astype(np.uint8), W, {}, ArgumentError, "x must be a float32 or float64 array; it is uint8; convert it"),
        (X, W.astype(np.float16), {}, ArgumentError, "w must be a float32 or float64 array; it is float16"),
        (X.tolist(), W, {}, ArgumentError, "x must be a float32 or float64 array; it is list"),
        (X, W, {"algorithm": "im2cool"}, ArgumentError, "unknown algorithm 'im2cool'; did you mean 'im2col'"),
        (X, W, {"stride": 0}, ArgumentError, "stride must be an int or a pair of ints, each at least 1; it is 0"),
        (X, W, {"dilation": 3}, ShapeError, "conv2d: the window is 7 pixels high but the padded image only 6"),
        (X, W, {"b": np.zeros(7, np.float32)}, ShapeError, r"b must have one value per filter, shape \(8,\)"),
        (X, W, {"b": np.zeros(8, np.int64)}, ArgumentError, "b must be a float32 or float64 array; it is int64"),
    ],
)
def test_what_does_not_fit_is_refused(x: Any, w: Any, arguments: dict[str, Any], error: type, match: str) -> None:
    with pytest.raises(error, match=match):
        conv2d(x, w, **arguments)


def test_backward_refuses_a_delta_of_another_shape() -> None:
    with pytest.raises(
        ShapeError, match=r"dy must have the shape of the output, \(2, 4, 4, 8\); it has \(2, 6, 6, 8\)"
    ):
        conv2d_backward(np.zeros((2, 6, 6, 8), np.float32), X, W)
    with pytest.raises(ArgumentError, match="dy must be a float32 or float64 array; it is int64"):
        conv2d_backward(np.zeros((2, 4, 4, 8), np.int64), X, W)
    with pytest.raises(ArgumentError, match="conv2d_backward: unknown algorithm 'fft'"):
        conv2d_backward(np.zeros((2, 4, 4, 8), np.float32), X, W, algorithm="fft", needs=())
