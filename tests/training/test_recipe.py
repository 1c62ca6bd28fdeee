"""The recipes fit what they are for."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from rot180.nn import MODELS, model
from rot180.nn.preprocessing import Preprocessing
from rot180.training import fit
from rot180.training.recipe import DEFAULT, RECIPES, recipe


def test_every_named_model_has_one_and_any_other_the_default() -> None:
    assert set(RECIPES) == set(MODELS)
    assert recipe("9x9x1 > fc2") is DEFAULT


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_fit_takes_it_even_for_a_single_step(name: str) -> None:
    network, options = model(name), asdict(recipe(name)) | {"epochs": 1}
    images = np.random.default_rng(0).integers(0, 256, (2, *network.input_shape), np.uint8)
    kind = options.pop("normalize")
    network.preprocessing = Preprocessing.of_dataset(images) if kind == "dataset" else Preprocessing(kind)
    assert len(fit(network, (images, np.array([0, 1])), **options).losses) == 1
