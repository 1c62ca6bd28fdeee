"""Sample weights: their gradient, in both engines, in `fit`, and in a checkpoint."""

from __future__ import annotations

import numpy as np
import pytest

from rot180 import fit, kernels, network, ops
from rot180.errors import ArgumentError, ShapeError
from rot180.nn.loss import CrossEntropyLoss, SquaredErrorLoss
from rot180.training import SGD, Trainer, capture

RNG = np.random.default_rng(0)
LABELS = np.arange(30) % 3
IMAGES = (RNG.normal(size=(30, 4, 4, 1)) + LABELS[:, None, None, None]).astype(np.float32)
WEIGHTS = RNG.uniform(0, 3, 30)
TEXT = "4x4x1 > fc8 tanh > fc3"


@pytest.mark.parametrize("where", [ops, kernels])
@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("name", ["cross_entropy", "squared_error"])
def test_the_gradient_is_that_of_the_weighted_loss(where, name, rows):
    outputs, weights = RNG.normal(size=(4, 3)), np.array([0, 0.5, 1, 3])
    target = RNG.dirichlet(np.ones(3), 4) if rows else np.array([2, 0, 1, 1])
    options = {"class_weights": np.array([1, 2, 0.5]), "sample_weights": weights}
    forward, backward = getattr(where, name), getattr(where, f"{name}_backward")

    def loss(scores):
        found = forward(scores, target, **options)
        return found[0] if isinstance(found, tuple) else found

    given = forward(outputs, target, **options)[1] if name == "cross_entropy" else outputs
    claimed = backward(given, target, **options)
    for place in np.ndindex(outputs.shape):
        step = np.zeros(outputs.shape)
        step[place] = 1e-6
        assert (loss(outputs + step) - loss(outputs - step)) / 2e-6 == pytest.approx(claimed[place], abs=1e-7)
    assert not claimed[0].any()


@pytest.mark.parametrize("loss", [CrossEntropyLoss(), SquaredErrorLoss()])
def test_a_weight_of_two_is_the_image_twice(loss):
    """Eight images, two of which count twice, have the gradient of ten, but for the divisor."""
    ends = []
    for chosen, weights, lr in (([*range(8), 0, 1], None, 0.1), (range(8), [2, 2, *[1] * 6], 0.08)):
        trainer = Trainer(network(TEXT), optimizer=SGD(lr), loss=loss)
        trainer.step(IMAGES[list(chosen)], LABELS[list(chosen)], None if weights is None else np.array(weights))
        ends.append(trainer.model.parameters)
    for name, w in ends[0].items():
        np.testing.assert_allclose(ends[1][name], w, atol=1e-6)


@pytest.mark.parametrize("loss", [CrossEntropyLoss(0.1), SquaredErrorLoss()])
def test_both_engines_agree(loss):
    ends = {}
    for engine in ("numpy", "compiled"):
        trainer = Trainer(network(TEXT), optimizer=SGD(0.1, momentum=0.9), loss=loss, engine=engine)
        losses = [trainer.step(IMAGES[s : s + 10], LABELS[s : s + 10], WEIGHTS[s : s + 10]) for s in (0, 10, 20)]
        ends[engine] = losses, trainer.model.parameters
    np.testing.assert_allclose(ends["compiled"][0], ends["numpy"][0], rtol=1e-5)
    for name, w in ends["numpy"][1].items():
        np.testing.assert_allclose(ends["compiled"][1][name], w, atol=1e-5)


def test_images_without_weight_are_not_learned_from():
    labels = np.where(np.arange(30) % 2, LABELS, 2 - LABELS)  # half of them are wrong
    model = network(TEXT)
    fit(model, (IMAGES, labels), epochs=20, lr=0.02, sample_weights=np.arange(30) % 2)
    found = model(model.preprocessing(IMAGES)).argmax(1)
    assert (found == LABELS)[LABELS != 1].mean() > 0.8


def test_held_out_images_keep_their_weights():
    seen = []
    for weights in (None, np.where(np.arange(30) < 15, 1.0, 0.0), np.ones(30)):
        history = fit(network(TEXT), (IMAGES, LABELS), validation=0.4, epochs=1, lr=0.0, sample_weights=weights)
        seen.append(history.epochs[0].validation_loss)
    assert seen[0] == pytest.approx(seen[2])
    assert seen[1] < seen[0]


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (np.ones(29), {}, "one finite number, at least 0, for each of the 30 training images"),
        (np.full(30, -1), {}, "at least 0, for each of the 30 training images; their shape is .30,., the smallest -1"),
        (np.full(30, np.nan), {}, "one finite number"),
        ("abc", {}, "one finite number"),
        (np.zeros(30), {}, "must not all be zero"),
        (WEIGHTS, {"augment": "mixup:0.2"}, "mixup mixes pairs"),
    ],
)
def test_weights_that_cannot_be_used(given, options, message):
    with pytest.raises(ArgumentError, match=message):
        fit(network(TEXT), (IMAGES, LABELS), sample_weights=given, **options)


def test_a_batch_needs_as_many_weights_as_images():
    for where in (ops, kernels):
        with pytest.raises(ShapeError, match="one number for each of the 2 images"):
            where.cross_entropy(np.zeros((2, 3)), np.array([0, 1]), sample_weights=np.ones(3))


def test_a_loss_of_ones_own_takes_none():
    class Own:
        name = "own"

        def forward(self, outputs, target):
            return 0.0, outputs

        def backward(self, saved):
            return 0 * saved

    for engine in ("numpy", "compiled"):
        with pytest.raises(ArgumentError, match="sample_weights are for cross_entropy and squared_error"):
            Trainer(network(TEXT), loss=Own(), engine=engine).step(IMAGES, LABELS, WEIGHTS)


def test_a_state_of_other_weights_is_refused():
    states = []

    def keep(event):
        if type(event).__name__ == "TrainingStarted":
            states.append(capture(event.trainer, event.settings, event.progress, 30))

    fit(network(TEXT), (IMAGES, LABELS), sample_weights=WEIGHTS, subscribers=[keep])
    for other in (None, WEIGHTS[::-1]):
        with pytest.raises(ArgumentError, match="sample_weights"):
            fit(network(TEXT), (IMAGES, LABELS), sample_weights=other, resume=states[0])
    fit(network(TEXT), (IMAGES, LABELS), sample_weights=WEIGHTS, resume=states[0])
