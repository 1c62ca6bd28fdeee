"""Whoever looks inside a network is told of infinities and NaN, with their place, and no raw warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rot180
from rot180 import NonFiniteError, Sequential
from rot180.inside import journey
from rot180.inside.explain import explain
from rot180.inside.health import health
from rot180.nn.loss import CrossEntropyLoss
from rot180.ops.types import Array
from rot180.runs.draw import draw_images
from rot180.training.diagnosis import find_origin

LABELS = np.arange(6) % 3
LOOKS: dict[str, Callable[[Sequential, Array], Any]] = {
    "journey": lambda model, images: journey(model, images, LABELS),
    "health": lambda model, images: health(model, None, images, LABELS),
    "explain": lambda model, images: explain(model, images, "conv1.output[0,0,0]", LABELS),
    "pictures": lambda model, images: draw_images(None, model, images, LABELS, ("a", "b", "c")),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("image", r"2 of 6 images contain infinity or NaN, the first is image 1 \(1 of 36 values\)"),
        ("weight", r"1 of 18 values of conv1.weight are infinite or NaN"),
        ("output", r"image 0: the outputs are not finite; the first .* the output of fc1, whose input reaches"),
    ],
)
def test_what_is_not_finite_is_named(look: str, damage: str, message: str) -> None:
    model = rot180.network("6x6x1 > conv3x3:2 relu > fc3").build(seed=0)
    images = np.full((6, 6, 6, 1), 0.5, np.float32)
    if damage == "image":
        images[1, 2, 3], images[4] = np.nan, np.inf
    elif damage == "weight":
        model.parameters["conv1.weight"][0, 0, 0, 0] = np.nan
    else:
        model.parameters["conv1.weight"][:] = 1e20
        model.parameters["fc1.weight"][:] = 1e38
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(NonFiniteError, match=message):
            LOOKS[look](model, images)


BRANCHES = "6x6x1 > conv3x3:2:same bn relu > ( conv3x3:2:same bn + skip ) ( skip * gap fc2 sigmoid ) > gap > fc3"


@pytest.mark.parametrize(
    ("damaged", "value", "layer", "array"),
    [
        ("bn1.running_var", np.nan, "bn1", "bn1.running_var"),
        ("conv2.weight", np.inf, "conv2", "conv2.weight"),
        ("bn2.weight", 3e38, "bn2", "the output of bn2"),
        ("bn1.bias", 3e38, "conv2", "the output of conv2"),
    ],
)
def test_in_a_network_with_branches_the_first_layer_and_array_are_named(
    damaged: str, value: float, layer: str, array: str
) -> None:
    model = rot180.network(BRANCHES).build(seed=0)
    model.state[damaged][:] = value
    images = np.random.default_rng(0).random((6, 6, 6, 1)).astype(np.float32)
    origin = find_origin(model, CrossEntropyLoss(), images, LABELS, None, 0.1)
    assert (origin.layer, origin.array) == (layer, array)


class Overflows(rot180.nn.Add):
    """A sum whose deltas are finite, but too large to be added."""

    def backward(self, dy, saved, *, needs_dx=True):
        return (np.full_like(dy, 3e38), np.full_like(dy, 3e38)), {}


class Second(rot180.nn.Add):
    """A sum with a second delta that is not finite."""

    def backward(self, dy, saved, *, needs_dx=True):
        return (dy, np.full_like(dy, np.inf)), {}


@pytest.mark.parametrize(
    ("kind", "layer", "array"),
    [
        (Overflows, "conv1", "the gradient of conv1's output, a sum over its readers"),
        (Second, "add1", "the gradient of add1's input 2"),
    ],
)
def test_a_sum_of_deltas_and_a_second_input_are_named(kind: type, layer: str, array: str) -> None:
    join = kind([rot180.nn.Dropout(0.0)], [], name="add1")
    layers = [rot180.Conv2d(2, 3), join, rot180.Flatten(), rot180.Linear(3)]
    model = Sequential(layers, input_shape=(6, 6, 1)).build(seed=0)
    images = np.random.default_rng(0).random((6, 6, 6, 1)).astype(np.float32)
    origin = find_origin(model, CrossEntropyLoss(), images, LABELS, None, 0.1)
    assert (origin.layer, origin.array) == (layer, array)


@pytest.mark.parametrize("look", ["journey", "health", "pictures"])
def test_looks_at_a_network_with_branches_refuse_what_is_not_finite(look: str) -> None:
    model = rot180.network(BRANCHES).build(seed=0)
    model.statistics["bn2.running_mean"][1] = np.nan
    images = np.full((6, 6, 6, 1), 0.5, np.float32)
    with pytest.raises(NonFiniteError, match=r"1 of 2 values of bn2.running_mean are infinite or NaN"):
        LOOKS[look](model, images)
