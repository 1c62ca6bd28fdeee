"""What a trained model is worth, and what it says."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rot180.errors import ArgumentError, ShapeError
from rot180.nn import network as notation
from rot180.nn.activation import Sigmoid, Softmax
from rot180.nn.dropout import Dropout
from rot180.nn.flatten import Flatten
from rot180.nn.layer import Layer
from rot180.nn.linear import Linear
from rot180.nn.sequential import Sequential
from rot180.ops import softmax
from rot180.training import evaluate, predict
from rot180.training.trainer import make_loss

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 255, (23, 4, 4, 1), np.uint8)
LABELS = RNG.integers(0, 5, 23)


def network(*extra) -> Sequential:
    return Sequential([Flatten(), Linear(5), *extra], input_shape=(4, 4, 1)).build(seed=1)


def test_feature_maps_are_no_classes() -> None:
    model = notation("4x4x1 > conv1x1:5").build(seed=0)
    with pytest.raises(
        ShapeError, match=r"a classifier's output is a vector; this network's is \(4, 4, 5\); end it in"
    ):
        evaluate(model, IMAGES, LABELS)
    assert predict(model, IMAGES).shape == (23, 4, 4, 5)
    assert make_loss("auto", model).name == "squared_error"


def test_it_counts_and_averages_over_all_batches() -> None:
    model = network(Dropout(0.5))
    result = evaluate(model, IMAGES, LABELS, batch_size=10)
    probabilities = predict(model, IMAGES, batch_size=7)
    predicted = probabilities.argmax(axis=1)
    assert result.count == result.confusion.sum() == 23
    assert result.accuracy == np.mean(predicted == LABELS)
    assert result.error_percent == pytest.approx(100 * np.mean(predicted != LABELS))
    assert result.loss == pytest.approx(-np.log(probabilities[np.arange(23), LABELS]).mean(), rel=1e-5)
    assert result.confusion[3].sum() == np.sum(LABELS == 3)
    assert json.loads(json.dumps(result.to_dict()))["confusion"] == result.confusion.tolist()


def test_probabilities_sum_to_one_whatever_the_end() -> None:
    for extra in ((), (Softmax(),), (Sigmoid(),)):
        found = predict(network(*extra), IMAGES)
        assert found.shape == (23, 5)
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(predict(network(), IMAGES), predict(network(Softmax()), IMAGES), rtol=1e-6)
    assert predict(network(), IMAGES[:0]).shape == (0, 5)


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("low", [-80.0, -90.0, -100.0, -110.0, -700.0, -1e4])
def test_shares_of_sigmoids_that_are_next_to_nothing(engine, dtype, low) -> None:
    model = Sequential([Sigmoid()], input_shape=(3,)).build(dtype=dtype)
    images = np.array([[low, low - 1, low - 2], [0.0, 0.0, 0.0], [low, 3.0, 3.0]], dtype)
    expected = np.array([np.exp([0.0, -1, -2]) / np.exp([0.0, -1, -2]).sum(), [1 / 3] * 3, [0, 0.5, 0.5]])
    np.testing.assert_allclose(predict(model, images, engine=engine), expected, rtol=1e-4, atol=1e-30)


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
@pytest.mark.parametrize("extra", [(), (Softmax(),), (Sigmoid(),)])
def test_an_image_and_its_mirror_image_are_averaged(engine, extra) -> None:
    model = network(*extra)
    mirrored = IMAGES[:, :, ::-1]
    found = predict(model, IMAGES, tta="flip", engine=engine, batch_size=10)
    outputs = (model(model.preprocessing(IMAGES)) + model(model.preprocessing(mirrored))) / 2
    expected = outputs / outputs.sum(axis=1, keepdims=True) if extra else softmax(outputs)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert not np.allclose(found, predict(model, IMAGES, engine=engine), rtol=1e-3)
    np.testing.assert_array_equal(found, predict(model, mirrored, tta="flip", engine=engine))
    result = evaluate(model, IMAGES, LABELS, tta="flip", engine=engine, loss="squared_error")
    assert result.accuracy == np.mean(found.argmax(axis=1) == LABELS)
    assert result.loss == pytest.approx(((outputs - np.eye(5)[LABELS]) ** 2).sum(axis=1).mean() / 2, rel=1e-5)


def test_shifts_are_averaged() -> None:
    model, (height, width) = network(), IMAGES.shape[1:3]
    ready = model.preprocessing(IMAGES)
    rows, columns = np.arange(height), np.arange(width)
    views = [
        ready[:, np.clip(rows + down, 0, height - 1)][:, :, np.clip(columns + right, 0, width - 1)]
        for down, right in ((0, 0), (-1, 0), (0, -1), (0, 1), (1, 0))
    ]
    expected = softmax(sum(model(view) for view in views) / 5)
    np.testing.assert_allclose(predict(model, IMAGES, tta="shift", batch_size=10), expected, rtol=1e-5)
    assert evaluate(model, IMAGES, LABELS, tta="shift").accuracy == np.mean(expected.argmax(axis=1) == LABELS)


def test_shares_next_to_nothing_are_those_of_the_mean_of_both_views() -> None:
    model = Sequential([Flatten(), Sigmoid()], input_shape=(1, 3, 1)).build()
    image = np.array([[[-700.0], [-701.0], [-704.0]]])
    expected = np.exp([-2.0, -1.0, -2.0]) / np.exp([-2.0, -1.0, -2.0]).sum()
    np.testing.assert_allclose(predict(model, image[np.newaxis], tta="flip")[0], expected, rtol=1e-5)


def test_what_test_time_augmentation_cannot_do() -> None:
    with pytest.raises(ArgumentError, match=r"unknown tta 'flips'; did you mean 'flip'\?"):
        predict(network(), IMAGES, tta="flips")
    vectors = Sequential([Linear(5)], input_shape=(16,)).build()
    with pytest.raises(ArgumentError, match=r"tta='flip' is for images, but this network takes \(16,\); leave it out"):
        evaluate(vectors, np.zeros((23, 16)), LABELS, tta="flip")


def test_sigmoid_outputs_are_measured_by_squared_error() -> None:
    model = network(Sigmoid())
    outputs = model(IMAGES.astype(np.float32) / np.float32(255))
    expected = 0.5 * np.sum((outputs - np.eye(5)[LABELS]) ** 2) / 23
    assert evaluate(model, IMAGES, LABELS, batch_size=6).loss == pytest.approx(expected, rel=1e-5)


def test_what_does_not_fit_is_refused() -> None:
    unbuilt = Sequential([Flatten(), Linear(5)])
    for call in (lambda: evaluate(unbuilt, IMAGES, LABELS), lambda: predict(unbuilt, IMAGES)):
        with pytest.raises(ArgumentError, match="the model has no parameters yet"):
            call()
    with pytest.raises(ShapeError, match="23 images, labels"):
        evaluate(network(), IMAGES, LABELS[:3])
    with pytest.raises(ArgumentError, match="from 0 to 4"):
        evaluate(network(), IMAGES, LABELS + 1)
    with pytest.raises(ArgumentError, match="batch_size must be an int"):
        predict(network(), IMAGES, batch_size=0)
    with pytest.raises(ShapeError, match="the network takes images"):
        predict(network(), IMAGES[:, 1:])


def test_precision_and_recall_of_each_class() -> None:
    model = Sequential([Flatten(), Linear(3)], input_shape=(1, 1, 3)).build()
    model.parameters["fc1.weight"][:] = np.eye(3)
    images = np.eye(3)[[0, 0, 1, 1, 1]].reshape(5, 1, 1, 3)  # predicted: 0 0 1 1 1
    found = evaluate(model, images, np.array([0, 1, 1, 1, 2]))
    assert found.precision.tolist()[:2] == [1 / 2, 2 / 3]
    assert np.isnan(found.precision[2])  # nothing was taken for it
    assert found.recall.tolist() == [1, 2 / 3, 0]


class OwnSoftmax(Layer):
    """A layer of the user's own that ends in probabilities, and says so."""

    output_kind = "probabilities"

    def forward(self, x, *, training=False, generator=None):
        y = np.exp(x - x.max(axis=1, keepdims=True))
        y /= y.sum(axis=1, keepdims=True)
        return y, y


@pytest.mark.filterwarnings("ignore:.*OwnSoftmax has no compiled kernel:UserWarning")
@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_probabilities_of_a_layer_of_ones_own_are_not_put_through_softmax_again(engine: str) -> None:
    images = np.random.default_rng(0).random((4, 3, 3, 1))
    ours, own = (
        Sequential([Flatten(), Linear(5), last], input_shape=(3, 3, 1)).build(seed=0)
        for last in (Softmax(), OwnSoftmax())
    )
    expected = predict(ours, images, engine=engine)
    np.testing.assert_allclose(predict(own, images, engine=engine), expected, rtol=1e-5)
    with pytest.raises(ArgumentError, match="the network ends in one; leave the softmax out"):
        evaluate(own, images, np.zeros(4, int), loss="cross_entropy")
