"""The three products are the layer's own passes, for every kind of layer and geometry that has them."""

from __future__ import annotations

import numpy as np
import pytest

import rot180
from rot180.errors import ArgumentError
from rot180.inside.explain import Trace
from rot180.inside.products import products

NETWORKS = [
    "7x6x2 > conv3x3:4 > fc3",
    "7x6x2 > conv3x3:4:same relu > fc3",
    "8x8x4 > conv3x3:6:s2:pad1:g2 > fc3",
    "9x9x1 > conv3x2:2:d2 > fc3",
    "5x5x3 > conv1x1:2 > fc3",
    "4x4x2 > convt3x3:4:s2:pad1:outpad1 > fc3",
    "4x4x4 > convt2x2:4:s2:g2 > fc3",
    "5x5x1 > fc7:nobias relu > fc3",
]


def _places(trace: Trace) -> list[int]:
    kinds = (rot180.nn.Conv2d, rot180.nn.ConvTranspose2d, rot180.nn.Linear)
    return [place for place, layer in enumerate(trace.model.layers) if isinstance(layer, kinds)]


@pytest.mark.parametrize("notation", NETWORKS)
def test_the_products_are_the_layers_own_results(notation: str) -> None:
    model = rot180.network(notation).build(seed=3, dtype=np.float64)
    for name, array in model.parameters.items():
        if name.endswith("bias"):
            array[:] = np.random.default_rng(1).normal(size=array.shape)
    image = np.random.default_rng(0).integers(0, 256, model.input_shape).astype(np.uint8)
    trace = Trace(model, image, 1)
    for place in _places(trace):
        layer = model.layers[place]
        for group in range(getattr(layer, "groups", 1)):
            found = products(trace, place, group)
            assert found.difference < 1e-12, (layer.name, group)
            np.testing.assert_allclose(found.y_col, found.x_col @ found.w_col)
            copies = found.places.ravel()
            flat = np.append(found.image.ravel(), 0)  # -1 is the padding
            np.testing.assert_array_equal(flat[copies].reshape(found.x_col.shape), found.x_col)
            for pixel in (0, found.image.size // 2, found.image.size - 1):
                collected = found.dx_col.ravel()[copies == pixel].sum()
                assert found.folded.ravel()[pixel] == pytest.approx(collected, abs=1e-12)
            assert np.prod(found.windows) == len(found.x_col)
            assert np.prod(found.taps) == found.x_col.shape[1]


def test_a_wrong_gradient_is_not_hidden_by_the_products() -> None:
    model = rot180.network("6x6x1 > conv3x3:2 > fc3").build(seed=0)
    trace = Trace(model, np.arange(36, dtype=np.uint8).reshape(6, 6), 1)
    assert products(trace, 0).difference < 1e-5
    trace.gradients["conv1.weight"][0, 0, 0, 1] *= 1.5
    assert products(trace, 0).difference > 0.01


def test_what_is_no_product_is_refused() -> None:
    trace = Trace(rot180.network("6x6x1 > conv3x3:2 relu > fc3").build(seed=0), np.ones((6, 6)), 1)
    with pytest.raises(ArgumentError, match="relu1 is not a product of matrices; choose a convolution"):
        products(trace, 1)
    with pytest.raises(ArgumentError, match="conv1 has 1 groups, counted from 0; there is no number 1"):
        products(trace, 0, 1)
