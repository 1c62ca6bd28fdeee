"""Initializers: variance, fans, reproducibility, and the choice that "auto" makes."""

from __future__ import annotations

import numpy as np
import pytest

from rot180.errors import ShapeError
from rot180.nn import Conv2d, Linear, Sequential
from rot180.nn.initializer import INITIALIZERS, glorot_uniform

VARIANCE = {"glorot": lambda i, o: 2 / (i + o), "he": lambda i, o: 2 / i, "lecun": lambda i, o: 1 / i}


@pytest.mark.parametrize("name", sorted(set(INITIALIZERS) - {"zeros"}))
def test_the_variance_is_the_one_of_the_name(name: str) -> None:
    weights = INITIALIZERS[name]((200, 400), 200, 400, np.random.default_rng(0))
    variance = VARIANCE[name.split("_")[0]](200, 400)
    assert weights.var() == pytest.approx(variance, rel=0.02)
    assert abs(weights.mean()) < 4 * np.sqrt(variance / weights.size)
    if name.endswith("uniform"):
        assert np.abs(weights).max() <= np.sqrt(3 * variance)


def built(layer: Conv2d | Linear, shape: tuple[int, ...], activation: str = "linear") -> np.ndarray:
    layer.build(shape, np.random.default_rng(0), activation=activation)
    return layer.weight


def test_fans_of_a_grouped_convolution_count_what_one_pixel_sees() -> None:
    def limit(fan_in: int, fan_out: int) -> float:
        return float(np.sqrt(6 / (fan_in + fan_out)))

    weight = built(Conv2d(32, (3, 5), groups=4), (9, 9, 16))
    assert weight.shape == (3, 5, 4, 32)
    assert np.abs(weight).max() == pytest.approx(limit(15 * 4, 15 * 8), rel=0.02)
    assert np.abs(built(Linear(70), (50,))).max() == pytest.approx(limit(50, 70), rel=0.02)


@pytest.mark.parametrize(("activation", "chosen"), [("relu", "he_uniform"), ("tanh", "glorot_uniform")])
def test_auto_looks_at_what_follows(activation: str, chosen: str) -> None:
    np.testing.assert_array_equal(
        built(Linear(7), (5,), activation), built(Linear(7, initializer=chosen), (5,), activation)
    )


def test_zeros() -> None:
    assert not built(Linear(7, initializer="zeros"), (5,)).any()


def test_a_function_is_asked_and_its_shape_checked() -> None:
    shared = np.ones((5, 7), np.float32)
    weight = built(Linear(7, initializer=lambda shape, fan_in, fan_out, generator: shared), (5,))
    np.testing.assert_array_equal(weight, shared)
    assert weight is not shared
    with pytest.raises(ShapeError, match=r"must return an array of the requested shape, \(5, 7\); it returned \(1,\)"):
        built(Linear(7, initializer=lambda *arguments: np.zeros(1)), (5,))


def test_one_of_ours_is_known_by_its_name() -> None:
    assert Linear(7, initializer=glorot_uniform).initializer == "glorot_uniform"


def test_a_layers_weights_do_not_depend_on_the_other_layers() -> None:
    small = Sequential([Linear(4), Linear(3)], input_shape=(5,)).build(seed=7)
    large = Sequential([Linear(4, bias=False, initializer="he_normal"), Linear(3)], input_shape=(5,)).build(seed=7)
    np.testing.assert_array_equal(small.parameters["fc2.weight"], large.parameters["fc2.weight"])
    assert (small.parameters["fc1.weight"] != large.parameters["fc1.weight"]).any()
