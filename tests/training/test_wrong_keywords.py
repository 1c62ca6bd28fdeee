"""A wrong keyword is answered with the right one, by functions as by classes."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rot180
from rot180.errors import ArgumentError
from rot180.nn.keywords import SYNONYMS, answering_call

IMAGES, LABELS = np.zeros((2, 8, 8, 1), np.uint8), np.zeros(2, np.int64)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda model: rot180.fit(model, (IMAGES, LABELS), epoch=1),
            r"fit has no argument 'epoch'; did you mean 'epochs'",
        ),
        (lambda model: rot180.fit(model, (IMAGES, LABELS), optimiser="sgd"), r"did you mean 'optimizer'\?"),
        (lambda model: rot180.evaluate(model, IMAGES, LABELS, batchsize=1), r"evaluate has .*mean 'batch_size'"),
        (lambda model: rot180.predict(model, IMAGES, engin="numpy"), r"predict has .*mean 'engine'"),
    ],
)
def test_a_wrong_keyword_is_answered_with_the_right_one(call: Callable[[Any], object], says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        call(rot180.network("8x8x1 > fc10").build())


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: rot180.load_data(sources="digits"), r"^load_data has no argument 'sources'; did you mean 'source'\?$"),
        (lambda: rot180.load_data(path="digits"), r"mean 'source'\?"),
        (lambda: rot180.load_model(), r"^load_model: missing .* 'path'; its arguments are path$"),
        (lambda: rot180.load_run(paths="run"), r"load_run .*mean 'path'\?"),
        (lambda: rot180.save_model(file="model.safetensors"), r"save_model has no argument 'file'.* 'path'\?"),
        (lambda: rot180.model(name="lenet5"), r"model has .*mean 'name_or_notation'\?"),
        (lambda: rot180.network("8x8x1 > fc10", seed=1), r"network has no argument 'seed'; known: text$"),
        (lambda: rot180.network("8x8x1 > fc10").build(sed=1), r"^Network.build has .*mean 'seed'\?"),
        (lambda: rot180.Trainer(rot180.network("8x8x1 > fc10")).step(IMAGES), r"^Trainer.step: missing .* 'labels'; "),
        (lambda: rot180.Trainer(rot180.network("8x8x1 > fc10")).step(IMAGES, y=LABELS), r"mean 'labels'\?"),
        (lambda: rot180.Preprocessing(mode="scale"), r"^Preprocessing has no argument 'mode'; known: kind"),
        (lambda: rot180.Dataset("tiny"), r"^Dataset: missing .*; its arguments are name, train_images"),
        (lambda: rot180.SquaredErrorLoss(reduction="sum"), r"'reduction'; known: class_weights$"),
        (lambda: rot180.fit(), r"^fit: missing a required argument: 'model'; its arguments are model, data"),
    ],
)
def test_so_are_arguments_that_are_missing_and_those_of_methods(call: Callable[[], object], says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        call()


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        (lambda: rot180.Adam(learning_rate=0.1), "lr"),
        (lambda: rot180.SGD(learningrate=0.1), "lr"),
        (lambda: rot180.RMSprop(rho=0.9), "alpha"),
        (lambda: rot180.Conv2d(filters=8, kernel_size=3), "out_channels"),
        (lambda: rot180.Conv2d(8, kernel=3), "kernel_size"),
        (lambda: rot180.MaxPool2d(pool_size=2), "kernel_size"),
        (lambda: rot180.MaxPool2d(2, strides=2), "stride"),
        (lambda: rot180.Linear(units=10), "out_features"),
        (lambda: rot180.Dropout(p=0.5), "rate"),
        (lambda: rot180.LeakyReLU(negative_slope=0.1), "slope"),
        (lambda: rot180.fit(None, None, lrate=0.1), "lr"),
    ],
)
def test_the_words_of_other_libraries_are_known(call: Callable[[], object], meant: str) -> None:
    with pytest.raises(ArgumentError, match=rf"; did you mean '{meant}'\?$"):
        call()


def test_every_synonym_leads_where_spelling_alone_does_not() -> None:
    named = (getattr(rot180, name) for name in rot180.__all__)
    called = [item for item in named if callable(item) and not (isinstance(item, type) and issubclass(item, Exception))]
    arguments = [list(inspect.signature(item).parameters) for item in [*called, rot180.Trainer.step]]
    for synonym, meant in SYNONYMS.items():
        for name in meant:
            having = [known for known in arguments if name in known and synonym not in known]
            assert any(difflib.get_close_matches(synonym, known, n=1) != [name] for known in having), synonym


def test_an_error_inside_is_not_taken_for_a_wrong_argument() -> None:
    @answering_call
    def broken(value: int) -> int:
        raise TypeError("inside")

    with pytest.raises(TypeError, match=r"^inside$"):
        broken(value=1)


def test_a_layer_that_hands_its_keywords_on_is_answered_too() -> None:
    class Mine(rot180.ReLU):
        def __init__(self, **more: Any) -> None:
            super().__init__(**more)

    assert Mine(name="mine").name == "mine"
    with pytest.raises(ArgumentError, match=r"Mine has no argument 'nam'; did you mean 'name'\?"):
        Mine(nam="mine")
