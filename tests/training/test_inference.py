"""A model keeps its engine between calls, as long as it is what the engine was made for."""

from __future__ import annotations

import copy
import gc
import weakref
from typing import Any

import numpy as np
import pytest

import rot180
from rot180.nn import Flatten, LeakyReLU, Linear, Sequential
from rot180.nn.layer import Layer
from rot180.training.inference import inference_engine

RNG = np.random.default_rng(0)
IMAGES = RNG.random((3, 4, 4, 2)).astype(np.float32)


def built() -> Sequential:
    return rot180.network("4x4x2 > conv3x3:5:same leakyrelu maxpool2 > fc6 relu > fc3").build(seed=0)


def assert_right(model: Sequential, images: np.ndarray = IMAGES) -> None:
    found = [rot180.predict(model, images, engine=engine) for engine in ("auto", "numpy")]
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-6)


def test_calls_share_an_engine_and_models_do_not() -> None:
    model, another = built(), built()
    assert inference_engine("auto", model) is inference_engine("auto", model)
    assert inference_engine("auto", model) is not inference_engine("auto", another)
    assert inference_engine("numpy", model).name == "numpy"


@pytest.mark.parametrize("change", ["weights", "replaced", "slope", "rebuilt", "shape", "type", "trained"])
def test_what_was_changed_in_the_meantime_counts(change: str) -> None:
    model, images = built(), IMAGES
    before = rot180.predict(model, images)
    if change == "weights":
        model.parameters["fc1.weight"][...] *= -2
    elif change == "replaced":
        model.layers[0].parameters = {name: -w for name, w in model.layers[0].parameters.items()}
    elif change == "slope":
        next(layer for layer in model.layers if isinstance(layer, LeakyReLU)).slope = 0.9
    elif change == "rebuilt":
        model.build(seed=1)
    elif change == "shape":
        model.build((6, 6, 2), seed=0)
        images = RNG.random((3, 6, 6, 2))
    elif change == "type":
        model.build(seed=0, dtype=np.float64)
        assert rot180.predict(model, images).dtype == np.float64
    else:
        rot180.fit(model, (images, np.array([0, 1, 2])), epochs=3, lr=0.01)
    assert_right(model, images)
    if change != "type":
        assert not np.allclose(rot180.predict(model, images), before, atol=1e-4)


def test_training_and_predicting_in_turn() -> None:
    model = built()
    trainer = rot180.Trainer(model)
    trainer.step(IMAGES, np.array([0, 1, 2]))
    arrays = {name: id(w) for name, w in model.parameters.items()}
    for _ in range(3):
        trainer.step(IMAGES, np.array([0, 1, 2]))
        assert_right(model)
        assert {name: id(w) for name, w in model.parameters.items()} == arrays


def test_copies_go_their_own_way() -> None:
    model = built()
    rot180.predict(model, IMAGES)
    for other in (copy.deepcopy(model), copy.copy(model)):
        assert inference_engine("auto", other).model is other
        assert_right(other)
    other = copy.deepcopy(model)
    other.parameters["fc1.weight"][...] = 0
    assert_right(other)
    assert_right(model)


def test_a_model_that_nobody_holds_is_let_go() -> None:
    model = built()
    rot180.predict(model, IMAGES)
    rot180.evaluate(model, IMAGES, np.array([0, 1, 2]))
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_a_layer_that_holds_arrays() -> None:
    class Shift(Layer):
        kind = "shift"

        def __init__(self) -> None:
            super().__init__()
            self.by = np.arange(3.0)

        def forward(self, x: Any, *, training: bool = False, generator: Any = None) -> tuple[Any, Any]:
            return x + self.by, None

    layer = Shift()
    model = Sequential([Flatten(), Linear(3), layer], input_shape=(4, 4, 2)).build()
    with pytest.warns(UserWarning, match="Shift has no compiled kernel"):
        rot180.predict(model, IMAGES)
    assert_right(model)
    layer.by = np.array([5.0, 0.0, 0.0])
    assert_right(model)
    assert rot180.predict(model, IMAGES)[:, 0].min() > 0.5
