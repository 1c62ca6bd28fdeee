"""Features: the output of a layer inside a network, for many images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

import rot180
from drawn_graphs import graphs
from rot180.nn import Layer, Network, Sequential, network
from rot180.nn.beginning import beginning
from rot180.training.features import FeatureExtractor


@pytest.fixture(scope="module")
def model() -> Network:
    found = network("6x5x3 > conv3x3:4 bn relu ( skip | conv1x1:2 ) > fc7 relu dropout > fc3").build(seed=0)
    found.statistics["bn1.running_mean"][...] = 0.5
    found.preprocessing = rot180.Preprocessing("dataset", (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    return found


IMAGES = np.random.default_rng(0).integers(256, size=(9, 6, 5, 3)).astype(np.uint8)


def output_of(model: Network, name: str) -> np.ndarray:
    """The output of a layer, found by walking."""
    return next(step.y for step in model.walk(model.preprocessing(IMAGES)) if step.layer.name == name)


def test_by_default_what_enters_the_last_fully_connected_layer(model: Network) -> None:
    found = rot180.features(model, IMAGES)
    assert (found.shape, found.dtype) == ((9, 7), np.float32)
    np.testing.assert_allclose(found, output_of(model, "relu2"), rtol=1e-5, atol=1e-6)
    weight, bias = model.parameters["fc2.weight"], model.parameters["fc2.bias"]
    logits = found @ weight + bias
    np.testing.assert_allclose(logits, model(model.preprocessing(IMAGES)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["conv1", "bn1", "conv2", "concat1", "fc1", "fc2"])
@pytest.mark.parametrize("engine", ["compiled", "numpy"])
def test_the_output_of_any_layer(model: Network, name: str, engine: str) -> None:
    expected = output_of(model, name)
    found = rot180.features(model, IMAGES, layer=name, engine=engine, batch_size=4)
    np.testing.assert_allclose(found, expected.reshape(len(IMAGES), -1), rtol=1e-5, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(text=graphs())
def test_the_beginning_of_a_graph_computes_the_same(text: str) -> None:
    whole = network(text).build(seed=1)
    x = np.random.default_rng(0).normal(size=(2, *whole.input_shape)).astype(np.float32)
    for place, step in enumerate(whole.walk(x)):
        part = beginning(whole, place)
        np.testing.assert_array_equal(part(x), step.y)
        assert part.layers[-1].name == step.layer.name


def test_the_beginning_is_a_copy(model: Network) -> None:
    before = {name: array.copy() for name, array in model.state.items()}
    part = beginning(model, 2)
    for array in part.state.values():
        array[...] = 9
    assert part.layers[0] is not model.layers[0]
    assert all(np.array_equal(array, before[name]) for name, array in model.state.items())
    with pytest.raises(rot180.ArgumentError, match=r"has 10 nodes, counted from 0; there is no node 10"):
        beginning(model, 10)


class Scaled(Layer):
    """A user's own layer, with a parameter that the notation cannot name."""

    def build(self, input_shape, generator, *, dtype=np.float32, activation="linear"):  # type: ignore[no-untyped-def]
        self.parameters = {"factor": np.full(1, 2, dtype)}

    def forward(self, x, *, training=False, generator=None):  # type: ignore[no-untyped-def]
        return x * self.parameter("factor"), x


def test_with_a_layer_of_a_users_own() -> None:
    own = Sequential([rot180.Flatten(), Scaled(), rot180.Linear(2)], input_shape=(6, 5, 3)).build(seed=0)
    own.parameters["layer1.factor"][...] = 3
    expected = 3 * (IMAGES / np.float32(255)).reshape(len(IMAGES), -1)
    np.testing.assert_allclose(rot180.features(own, IMAGES, engine="numpy"), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "layer", "message"),
    [
        (
            "6x5x3 > conv3x3:4 gap",
            None,
            r"has no fully connected layer; choose a layer, such as one of the last: conv1, pool1",
        ),
        ("90 > fc3", None, r"the last fully connected layer, fc1, reads the images themselves"),
        ("6x5x3 > conv3x3:4 > fc2", "convl", r"the network has no layer 'convl'; did you mean 'conv1'\?"),
    ],
)
def test_what_is_refused(text: str, layer: str | None, message: str) -> None:
    with pytest.raises(rot180.ArgumentError, match=message):
        FeatureExtractor(network(text).build(), layer)


def test_a_model_without_parameters_and_images_of_another_size(model: Network) -> None:
    with pytest.raises(rot180.ArgumentError, match="the model has no parameters yet"):
        rot180.features(network("4 > fc2 relu > fc2"), np.zeros((1, 4)))
    with pytest.raises(rot180.ShapeError, match="the network takes images"):
        rot180.features(model, np.zeros((2, 4, 4, 3)))


def test_no_images(model: Network) -> None:
    assert rot180.features(model, IMAGES[:0]).shape == (0, 7)


def test_features_that_do_not_fit_in_memory_are_refused(model: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rot180.memory.available_memory", lambda: 10**8)
    with pytest.raises(rot180.ArgumentError, match=r"the features of 10,000,000 images needs? 0.28 GB of memory"):
        FeatureExtractor(model).empty(10**7)
