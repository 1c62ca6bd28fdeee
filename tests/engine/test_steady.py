"""An image alone has the bits that it has in a batch, where that is asked for."""

from __future__ import annotations

import numpy as np
import pytest

import rot180
from rot180.training.predict import run_prediction

NETWORKS = (
    "12x12x3 > conv3x3:8:same relu maxpool2 > fc64 relu > fc10",
    "12x12x3 > conv3x3:8:s2 bn silu > conv1x1:16 > gap > fc7 sigmoid",
    "40 > fc300 tanh > fc300 relu > fc5",
)


@pytest.mark.parametrize("notation", NETWORKS)
@pytest.mark.parametrize("tta", ["none", "flip", "shift"])
def test_an_image_has_the_same_bits_in_any_company(notation: str, tta: str) -> None:
    model = rot180.network(notation).build(seed=0)
    if len(model.input_shape) == 1 and tta != "none":
        pytest.skip("there is nothing to mirror")
    draw = np.random.default_rng(0)
    images = draw.random((21, *model.input_shape), np.float32)
    whole = run_prediction(model, images, tta=tta, white=1.0)
    for _ in range(8):
        some = draw.choice(21, draw.integers(1, 9), replace=False)
        found = run_prediction(model, images[some], tta=tta, white=1.0, steady=True)
        assert found.tobytes() == whole[some].tobytes()
    for one in range(21):
        found = run_prediction(model, images[one : one + 1], tta=tta, white=1.0, steady=True)
        assert found.tobytes() == whole[one].tobytes()


def test_without_it_a_large_matrix_is_summed_in_the_order_of_memory() -> None:
    model = rot180.network(NETWORKS[2]).build(seed=0)
    image = np.random.default_rng(1).random((1, 40), np.float32)
    alone, steady = (run_prediction(model, image, white=1.0, steady=steady) for steady in (False, True))
    np.testing.assert_allclose(alone, steady, rtol=1e-5)
    assert alone.tobytes() != steady.tobytes()


def test_sigmoids_that_underflow_have_the_same_bits_in_any_company() -> None:
    model = rot180.network("30 > fc200 relu > fc6 sigmoid").build(seed=0)
    model.layers[-2].parameters["bias"][...] = -200
    images = np.random.default_rng(0).random((9, 30), np.float32)
    whole = run_prediction(model, images, white=1.0)
    for one in range(9):
        assert run_prediction(model, images[one : one + 1], white=1.0, steady=True).tobytes() == whole[one].tobytes()
    assert len(np.unique(whole)) > 6
