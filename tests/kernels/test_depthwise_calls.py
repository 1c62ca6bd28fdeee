"""Depthwise convolution without zeros around its maps: the tables leave out the taps beyond the edges."""

import numpy as np
import pytest

from rot180 import ops
from rot180.kernels.depthwise_calls import Depthwise
from rot180.kernels.feature_map import NO_PADDING, FeatureMap, new_map
from rot180.kernels.finishing import Finish
from rot180.kernels.memory import aligned
from rot180.ops.geometry import geometry


def filled(array: np.ndarray) -> FeatureMap:
    found = new_map(len(array), array.shape[1:], NO_PADDING, array.dtype)
    found.inside[...] = array
    return found


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "dilation"),
    [
        ((9, 8), (3, 3), (1, 1), "same", (1, 1)),
        ((9, 20), (3, 5), (2, 2), 2, (1, 1)),
        ((7, 6), (2, 4), (3, 2), ((4, 0), (1, 5)), (2, 1)),
        ((5, 5), (1, 3), (2, 3), 3, (1, 2)),  # windows wholly outside
    ],
)
def test_edges(size, kernel, stride, padding, dilation):
    rng = np.random.default_rng(0)
    x, w, b = rng.normal(size=(2, *size, 19)), aligned((*kernel, 1, 19), np.float64), rng.normal(size=19)
    w[...] = rng.normal(size=w.shape)
    g = geometry(*size, kernel, stride=stride, padding=padding, dilation=dilation)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": 19}
    y = ops.conv2d(x, w, b, **options)
    dy = rng.normal(size=y.shape)
    dx, dw, _ = ops.conv2d_backward(dy, x, w, **options)
    calls = Depthwise(w, g, scratch=lambda shape, dtype=None: aligned(shape, dtype or np.float64))
    found_y, found_dx, found_dw = filled(np.full_like(y, np.nan)), filled(np.full_like(x, np.nan)), np.empty_like(w)
    scale = rng.normal(size=19)
    calls.forward(filled(x), found_y, Finish(scale, b * scale, (-0.5, 1.0)))()
    calls.data_gradient(filled(dy), found_dx)()
    for call in calls.weight_gradient(filled(x), filled(dy), found_dw):
        call()
    for found, expected in ((found_y.array, (y * scale).clip(-0.5, 1.0)), (found_dx.array, dx), (found_dw, dw)):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
