"""The reference engine against the layers called by hand."""

from __future__ import annotations

import numpy as np
import pytest

from rot180.engine import ReferenceEngine, make_engine
from rot180.errors import ArgumentError
from rot180.nn.activation import ReLU
from rot180.nn.conv2d import Conv2d
from rot180.nn.flatten import Flatten
from rot180.nn.linear import Linear
from rot180.nn.loss import CrossEntropyLoss
from rot180.nn.sequential import Sequential
from rot180.training import SGD

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(6, 5, 5, 2))
LABELS = np.array([0, 1, 2, 2, 1, 0])


def built() -> Sequential:
    layers = [Conv2d(3, 3, lr_factor=0.5), ReLU(), Flatten(), Linear(3)]
    return Sequential(layers, input_shape=(5, 5, 2)).build(seed=0, dtype=np.float64)


def test_a_step_is_forward_loss_backward_update() -> None:
    by_hand, model, loss = built(), built(), CrossEntropyLoss()
    outputs, saved = by_hand.forward(IMAGES, training=True)
    value, kept = loss.forward(outputs, LABELS)
    _, gradients = by_hand.backward(loss.backward(kept), saved)
    result = ReferenceEngine(model, loss).train_step(IMAGES, LABELS, SGD(lr=0.1))
    assert result.loss == value
    assert result.correct == np.sum(outputs.argmax(axis=1) == LABELS)
    for name, w in by_hand.parameters.items():
        factor = 0.5 if name.startswith("conv1") else 1.0
        np.testing.assert_allclose(model.parameters[name], w - 0.1 * factor * gradients[name], rtol=1e-13)


def test_uneven_batches_add_to_the_gradient_of_all() -> None:
    parts, whole = built(), built()
    before = built().parameters
    engine, chosen = ReferenceEngine(parts, CrossEntropyLoss()), SGD(lr=0.1)
    engine.train_step(IMAGES[:1], LABELS[:1], chosen, update=False)
    engine.train_step(IMAGES[1:4], LABELS[1:4], chosen, update=False)
    assert chosen.step_count == 0
    assert all(np.array_equal(w, before[name]) for name, w in parts.parameters.items())
    engine.train_step(IMAGES[4:], LABELS[4:], chosen)
    ReferenceEngine(whole, CrossEntropyLoss()).train_step(IMAGES, LABELS, SGD(lr=0.1))
    for name, w in whole.parameters.items():
        np.testing.assert_allclose(parts.parameters[name], w, rtol=1e-12, atol=1e-14)

    # and nothing of them is left for the next update
    again = built()
    again.load_parameters(parts.parameters)
    engine.train_step(IMAGES, LABELS, chosen)
    ReferenceEngine(again, CrossEntropyLoss()).train_step(IMAGES, LABELS, SGD(lr=0.1))
    assert np.array_equal(again.parameters["fc1.weight"], parts.parameters["fc1.weight"])


def test_targets_may_be_probabilities() -> None:
    one, two = built(), built()
    labels = ReferenceEngine(one, CrossEntropyLoss()).train_step(IMAGES, LABELS, SGD())
    shares = ReferenceEngine(two, CrossEntropyLoss()).train_step(IMAGES, np.eye(3)[LABELS], SGD())
    assert labels.correct == shares.correct
    assert labels.loss == pytest.approx(shares.loss, rel=1e-12)


def test_engines_by_name() -> None:
    assert make_engine("numpy", built(), CrossEntropyLoss()).name == "numpy"
    outputs = make_engine("auto", built(), CrossEntropyLoss()).forward(IMAGES)
    np.testing.assert_allclose(outputs, built()(IMAGES), rtol=1e-12)
    with pytest.raises(ArgumentError, match=r"unknown engine 'nump'; did you mean 'numpy'\?"):
        make_engine("nump", built(), CrossEntropyLoss())
