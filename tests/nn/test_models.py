"""The named models, and how they are asked for."""

from __future__ import annotations

import pytest

from rot180.errors import ArgumentError, NotationError
from rot180.nn.models import MODELS, NAMED_MODELS, model


def test_the_named_models() -> None:
    assert sorted(MODELS) == ["cnn-16-32-128", "cnn-32-64-512", "cnn-8-16", "digits", "lenet5"]
    for name, text in MODELS.items():
        assert str(model(name)) == text
        assert model(name).output_shape == (10,)
        assert "\n" not in NAMED_MODELS[name].description


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
