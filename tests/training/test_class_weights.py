"""Class weights: as they are given, in both engines, and in a checkpoint."""

from __future__ import annotations

import numpy as np
import pytest

from rot180 import fit, network
from rot180.errors import ArgumentError
from rot180.nn.loss import CrossEntropyLoss, SquaredErrorLoss
from rot180.training import SGD, Trainer
from rot180.training.class_weights import class_weights_of

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1, 2], [40, 8, 2])
IMAGES = (RNG.normal(size=(50, 4, 4, 1)) + LABELS[:, None, None, None]).astype(np.float32)
TEXT = "4x4x1 > fc8 tanh > fc3"


def test_balanced_weights_make_classes_count_alike():
    weights = class_weights_of("balanced", LABELS, "abc")
    np.testing.assert_allclose(weights * np.bincount(LABELS), [50 / 3] * 3)
    assert weights[LABELS].mean() == pytest.approx(1)
    assert class_weights_of("balanced", LABELS, "abcd")[3] == 1  # has no images


@pytest.mark.parametrize("given", ["b=2,c=0", {"b": 2, "c": 0}, {1: 2.0, 2: 0}, [1, 2, 0], np.array([1, 2, 0])])
def test_every_way_to_say_the_same(given):
    assert class_weights_of(given, LABELS, "abc").tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("balance", "did you mean 'balanced'"),
        ("cat", "'balanced' or like 'cat=2,dog=1'"),
        ("cat=x", "'balanced' or like 'cat=2,dog=1'"),
        ("cta=2", "no class is called 'cta'; did you mean 'cat'"),
        ({3: 1.0}, "no class is called 3"),
        ({"cat": -1}, "one number for each class, at least 0"),
        ({"cat": float("nan")}, "one number for each class, at least 0"),
        ([1, 2], "one number for each of the 3 classes; it has 2"),
        ([0, 0, 0], "must not all be 0"),
    ],
)
def test_weights_that_cannot_be_used(given, message):
    with pytest.raises(ArgumentError, match=message):
        class_weights_of(given, LABELS, ["cat", "dog", "cow"])


@pytest.mark.parametrize("make", [CrossEntropyLoss, SquaredErrorLoss])
@pytest.mark.parametrize("rows", [False, True])
def test_both_engines_agree(make, rows):
    ends = {}
    for engine in ("numpy", "compiled"):
        loss = make(class_weights=[0.5, 2, 4])
        trainer = Trainer(network(TEXT), optimizer=SGD(0.1, momentum=0.9), loss=loss, engine=engine)
        target = 0.8 * np.eye(3)[LABELS] + 0.2 / 3 if rows else LABELS
        losses = [trainer.step(IMAGES[s : s + 20], target[s : s + 20]) for s in (0, 30, 10)]
        loss.class_weights = np.array([3, 1, 0.5])  # obeyed from the next step on
        losses.append(trainer.step(IMAGES[20:], target[20:]))
        ends[engine] = losses, trainer.model.parameters
    np.testing.assert_allclose(ends["compiled"][0], ends["numpy"][0], rtol=1e-5)
    for name, w in ends["numpy"][1].items():
        np.testing.assert_allclose(ends["compiled"][1][name], w, atol=1e-5)


def test_a_rare_class_is_learned():
    found = {}
    for weights in (None, "balanced"):
        rng = np.random.default_rng(1)
        labels = np.repeat([0, 1], [190, 10])
        images = (rng.normal(size=(200, 2, 2, 1)) + labels[:, None, None, None]).astype(np.float32)
        model = network("2x2x1 > fc2")
        fit(model, (images, labels), epochs=20, lr=0.02, class_weights=weights)
        outputs = model(model.preprocessing(images))
        found[weights] = float((outputs.argmax(1) == labels)[labels == 1].mean())
    assert found["balanced"] >= found[None] + 0.3, found


def test_weights_go_with_a_loss_by_name():
    with pytest.raises(ArgumentError, match="give class_weights to the loss itself"):
        fit(network(TEXT), (IMAGES, LABELS), loss=CrossEntropyLoss(), class_weights="balanced")
    model = network(TEXT)
    model.class_names = ("cat", "dog", "cow")
    with pytest.raises(ArgumentError, match="did you mean 'cow'"):
        fit(model, (IMAGES, LABELS), class_weights={"cwo": 2})


def test_a_checkpoint_of_other_weights_is_refused():
    from rot180.training import capture

    states = []

    def keep(event):
        if type(event).__name__ == "TrainingStarted":
            states.append(event)

    fit(network(TEXT), (IMAGES, LABELS), class_weights="balanced", subscribers=[keep])
    started = states[0]
    state = capture(started.trainer, started.settings, started.progress, 50)
    with pytest.raises(ArgumentError, match="class_weights"):
        fit(network(TEXT), (IMAGES, LABELS), resume=state)


def test_a_run_keeps_its_class_weights(tmp_path):
    from rot180.runs.config import read_config
    from rot180.runs.train_run import RunSettings, train_run

    with pytest.raises(ArgumentError, match="no class is called 'three'"):
        train_run(RunSettings(class_weights="three=2", limit=100), out=tmp_path / "run", draw=False)
    assert not (tmp_path / "run").exists()
    train_run(RunSettings(class_weights="3=2", limit=100, epochs=1), out=tmp_path / "run", draw=False)
    assert read_config(tmp_path / "run" / "config.toml")["training"]["class_weights"] == "3=2"
    assert "class_weights" in (tmp_path / "run" / "report.html").read_text()
