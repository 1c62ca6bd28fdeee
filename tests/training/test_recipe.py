"""The recipes fit what they are for."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from rot180.cli.train_options import Recipe
from rot180.errors import ArgumentError
from rot180.nn import MODELS, model
from rot180.nn.preprocessing import Preprocessing
from rot180.training import fit
from rot180.training.recipe import DEFAULT, FAST, NAMED_RECIPES, NORMALIZED, RECIPES, recipe


def test_every_named_model_has_one_and_any_other_the_default() -> None:
    assert set(RECIPES) < set(MODELS)
    assert recipe("9x9x1 > fc2") is recipe("vgg16") is DEFAULT
    assert recipe("9x9x1 > conv3x3:4 bn:eps=0.1 relu > fc2") is recipe("resnet20") is NORMALIZED
    assert recipe("resnet20", kind="fast").augment == "crop:2,border:reflect,altflip"
    assert recipe("resnet20", 100).batch_size == 32


def test_recipes_by_name() -> None:
    assert recipe("lenet5", kind="fast") is FAST
    assert recipe("lenet5", 60_000, "fast") == FAST
    assert recipe("lenet5", 1_000, "fast").epochs == 20
    assert recipe("lenet5", 1_000) is RECIPES["lenet5"]
    with pytest.raises(ArgumentError, match="unknown recipe 'fats'; did you mean 'fast'"):
        recipe("lenet5", kind="fats")


def test_the_help_names_each_recipe() -> None:
    text = Recipe.__metadata__[0].help
    assert all(name in text for name in NAMED_RECIPES)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_fit_takes_it_even_for_a_single_step(name: str) -> None:
    network, options = model(name), asdict(recipe(name)) | {"epochs": 1}
    images = np.random.default_rng(0).integers(0, 256, (2, *network.input_shape), np.uint8)
    kind, subject = options.pop("normalize"), options.pop("subject")
    assert subject in ("photographs", "digits")
    network.preprocessing = Preprocessing.of_dataset(images) if kind == "dataset" else Preprocessing(kind)
    assert len(fit(network, (images, np.array([0, 1])), **options).losses) == 1
