"""The named models, and how they are asked for."""

from __future__ import annotations

import re

import numpy as np
import pytest

from rot180.errors import ArgumentError, NotationError
from rot180.nn import Dropout, DropPath, network
from rot180.nn.models import MODELS, NAMED_MODELS, adapted_model, model

PUBLISHED = {
    "resnet20": 272_474,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "mobilenet_v2": 3_504_872,
    "mobilenet_v3_small": 2_542_856,
    "efficientnet_lite0": 4_652_008,
    "efficientnet_b0": 5_288_548,
    "squeezenet1_1": 1_235_496,
    "densenet121": 7_978_856,
    "vgg16": 138_357_544,
}
"""The numbers of parameters in torchvision and timm; of resnet20, that with 1 x 1 convolutions as shortcuts."""


def test_the_named_models() -> None:
    assert sorted(MODELS) == sorted(
        ["cnn-16-32-128", "cnn-32-64-512", "cnn-8-16", "digits", "lenet5", "vgg6", *PUBLISHED]
    )
    for name, text in MODELS.items():
        assert model(name).notation == model(text).notation
        assert model(name).output_shape == (NAMED_MODELS[name].classes,)
        assert "\n" not in NAMED_MODELS[name].description


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_have_their_parameters_and_print_themselves(name: str) -> None:
    made = model(name)
    assert made.summary().parameters == PUBLISHED[name]
    again = network(str(made))
    assert [(layer.name, layer.to_notation(), reads) for layer, reads in again.nodes] == [
        (layer.name, layer.to_notation(), reads) for layer, reads in made.nodes
    ]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_adapts_to_other_images_and_classes(name: str) -> None:
    for shape in ((32, 32, 3), (40, 56, 1)):
        adapted = network(adapted_model(name, shape, 7))
        assert (adapted.input_shape, adapted.output_shape) == (shape, (7,))


def thinned(notation: str) -> str:
    """Return a network with an eighth of the channels in all hidden layers."""
    head, classes = notation.rsplit("fc", 1) if "fc" in notation else notation.rsplit("conv1x1:", 1)
    end = notation[len(head) : -len(classes)]
    word = re.compile(r"((?:conv\d+x\d+:|:g|fc))(\d+)")
    return word.sub(lambda match: f"{match[1]}{max(1, int(match[2]) // 8)}", head) + end + classes


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_gradients_of_named_models(name: str) -> None:
    """The derivative along a random direction, in training, by central differences.

    The networks have an eighth of their channels here; benchmarks/gradients.py checks them at their full widths.
    """
    made = network(thinned(adapted_model(name, (32, 32, 3), 3))).build(seed=1, dtype=np.float64)
    for layer in made.layers:
        if isinstance(layer, Dropout | DropPath):
            layer.rate = 0.0
    generator = np.random.default_rng(2)
    x, dy = generator.normal(size=(8, 32, 32, 3)), generator.normal(size=(8, 3))
    saved = made.forward(x, training=True)[1]
    dx, gradients = made.backward(dy, saved, needs_dx=True)
    assert dx is not None
    direction = {name: generator.normal(size=array.shape) * array.std() for name, array in made.parameters.items()}
    along_x = generator.normal(size=x.shape)
    expected = (dx * along_x).sum() + sum((gradients[key] * direction[key]).sum() for key in gradients)
    start = {key: array.copy() for key, array in made.parameters.items()}
    errors = []
    for step in (1e-6, 1e-7, 1e-8, 1e-9):  # curvature and rounding, which limit the step on either side, differ widely
        values = []
        for sign in (1, -1):
            made.load_parameters({key: start[key] + sign * step * direction[key] for key in start})
            values.append((dy * made.forward(x + sign * step * along_x, training=True)[0]).sum())
        errors.append(abs((values[0] - values[1]) / (2 * step) - expected))
    assert min(errors) < 1e-6 * max(1.0, abs(expected))


def test_the_source_network_has_the_source_shapes() -> None:
    made = model("cnn-32-64-512").build()
    assert {name: array.shape for name, array in made.parameters.items()} == {
        "conv1.weight": (5, 5, 1, 32), "conv1.bias": (32,),
        "conv2.weight": (5, 5, 32, 64), "conv2.bias": (64,),
        "fc1.weight": (3136, 512), "fc1.bias": (512,),
        "fc2.weight": (512, 10), "fc2.bias": (10,),
    }  # fmt: skip


def test_a_notation_is_a_model_too() -> None:
    assert str(model("4x4x1 > fc3")) == "4x4x1 > fc3"


def test_a_name_that_is_not_known() -> None:
    with pytest.raises(ArgumentError, match="unknown model 'lenet'; did you mean 'lenet5'"):
        model("lenet")
    with pytest.raises(NotationError, match="must start with the size of its images"):
        model("conv5x5:8 relu")
