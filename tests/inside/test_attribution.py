"""What a decision rests on, where it is known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

import rot180
from rot180.errors import ArgumentError, ShapeError
from rot180.inside.attributions import attribution


def test_saliency_is_the_derivative_of_the_output() -> None:
    model = rot180.network("6x6x2 > conv3x3:3 tanh > fc4").build(seed=1, dtype=np.float64)
    image = np.random.default_rng(0).random((6, 6, 2))
    found = attribution(model, image, 2)
    h = 1e-6
    for i, j in ((0, 0), (3, 2), (5, 5)):
        sizes = []
        for c in range(2):
            up, down = image.copy(), image.copy()
            up[i, j, c] += h
            down[i, j, c] -= h
            outputs = [model(model.preprocessing(x[None], dtype=model.dtype, white=1.0))[0, 2] for x in (up, down)]
            sizes.append(abs(outputs[0] - outputs[1]) / (2 * h))
        assert found.saliency[i, j] == pytest.approx(max(sizes), rel=1e-5)


def test_grad_cam_behind_global_pooling_is_the_class_activation_map() -> None:
    model = rot180.network("8x8x1 > conv3x3:5 relu > gap > fc3").build(seed=2)
    image = np.random.default_rng(1).integers(256, size=(8, 8, 1), dtype=np.uint8)
    found = attribution(model, image, 1)
    assert found.layer == "relu1"
    maps = model.layers[1].forward(model.layers[0].forward(model.preprocessing(image[None], dtype=model.dtype))[0])[0]
    weights = model.parameters["fc1.weight"][:, 1] / maps[0, :, :, 0].size
    np.testing.assert_allclose(found.grad_cam, np.maximum(maps[0] @ weights, 0), rtol=1e-5, atol=1e-7)


def test_occlusion_falls_where_the_only_pixel_that_counts_is_covered() -> None:
    model = rot180.network("8x8x1 > fc2").build(seed=0)
    model.parameters["fc1.weight"][:] = 0
    model.parameters["fc1.weight"][8 * 2 + 5] = [0, 4]
    image = np.zeros((8, 8, 1), np.uint8)
    image[2, 5] = 255
    found = attribution(model, image, 1, patch=2)
    assert found.patch == 2
    place = np.unravel_index(found.occlusion.argmax(), (8, 8))
    assert place == (2, 5)
    assert found.occlusion[2, 5] > 0.3
    assert found.occlusion[7, 0] == pytest.approx(0, abs=1e-6)


def test_a_network_without_maps_has_no_grad_cam_and_what_does_not_fit_is_refused() -> None:
    model = rot180.network("4x4x1 > fc3").build()
    image = np.zeros((4, 4, 1), np.uint8)
    assert attribution(model, image, 0).grad_cam.size == 0
    with pytest.raises(ArgumentError, match="label must be from 0 to 2; it is 3"):
        attribution(model, image, 3)
    with pytest.raises(ArgumentError, match="patch must be from 1 to 4 pixels; it is 5"):
        attribution(model, image, 0, patch=5)
    with pytest.raises(ShapeError, match="attribution takes one image"):
        attribution(model, image[:3], 0)
