"""A 1x1 convolution with those that follow in inference, and sums with another map, over drawn shapes."""

import numpy as np
import pytest

from rot180 import ops
from rot180.kernels import expansion_calls, inverted_residual_calls
from rot180.kernels.call import Call
from rot180.kernels.convolution_calls import Convolution
from rot180.kernels.expansion_calls import expand_and_convolve_calls
from rot180.kernels.feature_map import FeatureMap, new_map
from rot180.kernels.finishing import Finish
from rot180.kernels.inverted_residual_calls import Convolved, inverted_residual
from rot180.kernels.memory import aligned
from rot180.kernels.pointwise_calls import Pointwise
from rot180.ops.geometry import Geometry, geometry

TOLERANCE = {np.float64: 1e-12, np.float32: 1e-4}


def scratch(dtype):
    def fill(shape, kind=None):
        array = aligned(shape, kind or dtype)
        array[...] = np.nan  # undefined, and not zero
        return array

    return fill


def roomy(array, dtype):
    found = aligned(array.shape, dtype)
    found[...] = array
    return found


def padded(array, sides, dtype):
    found = new_map(len(array), array.shape[1:], sides, dtype)
    found.inside[...] = array
    return found


def a_finish(rng, filters, dtype, added=None):
    limits = [(0.0, 6.0), (0.0, np.inf), (-np.inf, np.inf), (-0.5, 0.5)][rng.integers(4)]
    scale, shift = (rng.normal(size=filters).astype(dtype) for _ in "ab")
    return Finish(scale, shift, limits, added)


def finished(sums, finish):
    """The reference: clamp(sums * scale + shift + added)."""
    total = sums * finish.scale + finish.shift
    if finish.added is not None:
        total = total + finish.added.inside
    return total.clip(*finish.limits)


def a_geometry(rng, size, most):
    kernel = tuple(int(rng.integers(1, most + 1)) for _ in "hw")
    options = {
        "stride": tuple(int(rng.integers(1, 4)) for _ in "hw"),
        "padding": (int(rng.integers(0, 4)), int(rng.integers(0, 4))),
        "dilation": tuple(int(rng.integers(1, 3)) for _ in "hw"),
    }
    reach = [(k - 1) * d + 1 - 2 * p for k, d, p in zip(kernel, options["dilation"], options["padding"], strict=True)]
    size = tuple(max(n, r, 1) for n, r in zip(size, reach, strict=True))
    return geometry(*size, kernel, **options), options


def run(calls: tuple[Call | None, Call]) -> None:
    for call in calls:
        if call is not None:
            call()


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", [0, 1 << 14, 1 << 24])
def test_expansion(dtype, size, monkeypatch):
    """With buffers of few rows, which move on through the image, and with buffers of all its rows."""
    monkeypatch.setattr(expansion_calls, "CACHED_BUFFER", size)
    rng = np.random.default_rng(0)
    for _ in range(12):
        g, options = a_geometry(rng, rng.integers(1, 30, 2), 5)
        C, F, N = int(rng.integers(1, 40)), int(rng.choice((1, 3, 16, 24, 33, 96))), int(rng.integers(1, 4))
        x, w = rng.normal(size=(N, g.height, g.width, C)), rng.normal(size=(1, 1, C, F)) / np.sqrt(C)
        deep = rng.normal(size=(*g.kernel, 1, F))
        first, second = a_finish(rng, F, dtype), a_finish(rng, F, dtype)
        middle = finished(ops.conv2d(x, w), first)
        expected = finished(ops.conv2d(middle, deep, groups=F, **options), second)
        y = padded(np.full(expected.shape, np.nan), ((1, 0), (0, 2)), dtype)
        call = expand_and_convolve_calls(
            padded(x, ((0, 1), (2, 0)), dtype), roomy(w, dtype), first, roomy(deep, dtype), g, y, second,
            threads=4, scratch=scratch(dtype),
        )  # fmt: skip
        call()
        np.testing.assert_allclose(y.inside, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * 10)
        border = y.array.copy()
        border[:, 1:, : g.out_width] = 0
        assert not border.any()


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("image", "some"), [(1 << 24, 0), (0, 0), (0, 1 << 13)])
def test_an_inverted_residual(dtype, image, some, monkeypatch):
    """All rows at once, row by row, and a few at a time: the same bits as the separate kernels."""
    monkeypatch.setattr(inverted_residual_calls, "CACHED_IMAGE", image)
    monkeypatch.setattr(inverted_residual_calls, "CACHED_ROWS", some)
    rng = np.random.default_rng(2)
    for _ in range(8):
        g, options = a_geometry(rng, rng.integers(1, 20, 2), 5)
        C, F, N = int(rng.integers(1, 40)), int(rng.choice((1, 16, 24, 33, 96))), int(rng.integers(1, 4))
        K = int(rng.choice((9, 16, 24, 70)))
        x = padded(rng.normal(size=(N, g.height, g.width, C)), ((0, 1), (2, 0)), dtype)
        w, narrow = (roomy(rng.normal(size=(1, 1, a, b)) / np.sqrt(a), dtype) for a, b in ((C, F), (F, K)))
        deep = roomy(rng.normal(size=(*g.kernel, 1, F)), dtype)
        middle = finished(ops.conv2d(x.inside, w), first := a_finish(rng, F, dtype))
        middle = finished(ops.conv2d(middle, deep, groups=F, **options), second := a_finish(rng, F, dtype))
        sums = ops.conv2d(middle, narrow)
        shortcut = padded(rng.normal(size=sums.shape), ((0, 1), (0, 2)), dtype) if rng.random() < 0.5 else None
        third = a_finish(rng, K, dtype, shortcut)
        around = ((1, 0), (0, 2)) if rng.random() < 0.5 else ((0, 0), (0, 0))
        y, same = (padded(np.full(sums.shape, np.nan), around, dtype) for _ in "ab")
        means = {"threads": 4, "scratch": scratch(dtype)}
        inverted_residual(x, Convolved(w, first), Convolved(deep, second), g, Convolved(narrow, third), y, **means)()
        np.testing.assert_allclose(y.inside, finished(sums, third), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * 20)
        u = padded(np.full(middle.shape, np.nan), ((0, 0), (0, 0)), dtype)
        expand_and_convolve_calls(x, w, first, deep, g, u, second, **means)()
        one = geometry(g.out_height, g.out_width, 1)
        run(Pointwise(narrow, one, **means).forward(u, same, third))
        np.testing.assert_array_equal(y.array, same.array)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_convolution_and_a_sum(dtype, kernel):
    """Normalized, added to another map, and clamped; few filters share registers."""
    rng = np.random.default_rng(1)
    for _ in range(12):
        g, options = a_geometry(rng, rng.integers(1, 20, 2), kernel)
        if kernel == 1:
            stride = options["stride"]
            g: Geometry = geometry(g.height, g.width, 1, stride=stride)
            options = {"stride": stride}
        C, F, N = int(rng.integers(1, 40)), int(rng.choice((2, 5, 16, 24, 33, 70))), int(rng.integers(1, 4))
        x, w = rng.normal(size=(N, g.height, g.width, C)), rng.normal(size=(*g.kernel, C, F)) / np.sqrt(C)
        sums = ops.conv2d(x, w, **options)
        added = padded(rng.normal(size=sums.shape), ((0, 2), (1, 0)), dtype)
        # The sum may take the place of what is added.
        y = added if rng.random() < 0.3 else padded(np.full(sums.shape, np.nan), ((1, 0), (0, 1)), dtype)
        finish = a_finish(rng, F, dtype, added)
        expected = finished(sums, finish)
        in_place, weights = bool(rng.random() < 0.5), roomy(w, dtype)
        if kernel == 1:
            calls = Pointwise(weights, g, threads=4, scratch=scratch(dtype))
            run(calls.forward(padded(x, ((0, 0), (0, 0)), dtype), y, finish, weights_in_place=in_place))
        else:
            general = Convolution(weights, g, 1, count=N, threads=4, scratch=scratch(dtype))
            source: FeatureMap = padded(x, g.padding, dtype)
            operand, convolve, _ = general.forward(source, y, finish, weights_in_place=in_place)
            run((operand.pack, convolve))
        np.testing.assert_allclose(y.inside, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * 10)
