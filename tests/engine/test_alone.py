"""What an image's outputs have to do with the images beside it."""

from __future__ import annotations

import numpy as np
import pytest

import rot180
from rot180.engine import make_engine
from rot180.nn import network
from rot180.nn.loss import CrossEntropyLoss

NETWORKS = (
    "12x12x3 > conv3x3:20:same relu maxpool2 > conv3x3:16 relu > fc40 relu > fc10",
    "12x12x1 > conv5x5:6:same tanh avgpool2 > conv3x3:16 tanh avgpool2 > fc33 tanh > fc10",
    "9x7x4 > conv3x3:8:s2:g4 sigmoid maxpool2:s1:same > conv2x2:5:d2:same leakyrelu > fc130 sigmoid > fc10 softmax",
)


def outputs(text: str, dtype: type) -> tuple[object, np.ndarray, np.ndarray]:
    model = network(text).build(seed=0, dtype=dtype)
    engine = make_engine("compiled", model, CrossEntropyLoss())
    images = np.random.default_rng(1).random((40, *model.input_shape)).astype(dtype)
    return engine, images, engine.forward(images)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("text", NETWORKS)
def test_batches_of_two_or_more_give_the_same_bits(text: str, dtype: type) -> None:
    engine, images, expected = outputs(text, dtype)
    for count in (2, 3, 5, 7, 14, 16, 31):
        for start in range(0, 40 - count, 11):
            found = engine.forward(images[start : start + count])  # type: ignore[attr-defined]
            np.testing.assert_array_equal(found, expected[start : start + count])


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-13)])
@pytest.mark.parametrize("text", NETWORKS)
def test_an_image_alone_differs_by_rounding(text: str, dtype: type, tolerance: float) -> None:
    engine, images, expected = outputs(text, dtype)
    alone = np.concatenate([engine.forward(image[None]) for image in images])  # type: ignore[attr-defined]
    assert np.abs(alone - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("text", [text.split(" > fc")[0] + " flatten" for text in NETWORKS])
def test_without_fully_connected_layers_an_image_alone_gives_the_same_bits(text: str) -> None:
    engine, images, expected = outputs(text, np.float32)
    for image, output in zip(images, expected, strict=True):
        np.testing.assert_array_equal(engine.forward(image[None])[0], output)  # type: ignore[attr-defined]


def test_predict_keeps_the_promise() -> None:
    model = network(NETWORKS[0]).build(seed=0)
    images = np.random.default_rng(1).integers(0, 256, (40, 12, 12, 3), np.uint8)
    expected = rot180.predict(model, images)
    np.testing.assert_array_equal(rot180.predict(model, images, batch_size=4), expected)
    np.testing.assert_allclose(rot180.predict(model, images, batch_size=1), expected, atol=1e-5)
