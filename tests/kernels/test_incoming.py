"""Images are copied into a plan's buffer, and found finite or not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rot180.kernels.feature_map import new_map
from rot180.kernels.incoming import Incoming


def offered(incoming: Incoming, images: np.ndarray) -> None:
    incoming.offer(images)
    incoming.call()
    incoming.withdraw()


@given(st.data())
def test_images_arrive_inside_the_padding(data: st.DataObject) -> None:
    count, height, width, channels = (data.draw(st.integers(1, most)) for most in (9, 40, 40, 5))
    sides = [(data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))) for _ in range(2)]
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    x = new_map(count, (height, width, channels), (sides[0], sides[1]), dtype)
    images = np.random.default_rng(0).normal(size=(count, height, width, channels)).astype(dtype)
    offered(incoming := Incoming(x), images)
    assert incoming.is_finite
    np.testing.assert_array_equal(x.inside, images)
    assert np.count_nonzero(x.array) == np.count_nonzero(images)  # around them there are still zeros


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_each_value_counts(wrong: float) -> None:
    incoming = Incoming(new_map(3, (5, 7, 2), ((1, 0), (0, 1)), np.float32))
    for at in range(3 * 5 * 7 * 2):
        images = np.zeros((3, 5, 7, 2), np.float32)
        images.flat[at] = wrong
        offered(incoming, images)
        assert not incoming.is_finite
        offered(incoming, np.zeros_like(images))
        assert incoming.is_finite


def test_any_layout_and_nothing() -> None:
    x = new_map(4, (6, 5, 3), ((1, 1), (1, 1)), np.float64)
    incoming = Incoming(x)
    images = np.arange(4 * 3 * 5 * 6, dtype=np.float64).reshape(4, 3, 5, 6).transpose(0, 3, 2, 1)
    offered(incoming, images)
    np.testing.assert_array_equal(x.inside, images)
    unaligned = np.frombuffer(b"." + images.tobytes("C"), np.float64, images.size, 1).reshape(images.shape)
    x.inside[...] = 0
    offered(incoming, unaligned)
    np.testing.assert_array_equal(x.inside, images)
    x.inside[...] = 7
    incoming.call()
    assert (x.inside == 7).all()
