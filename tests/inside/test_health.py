"""Each illness, brought about on purpose, is found; a healthy training has none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rot180 import SGD, Adam, Dataset, Sequential, evaluate, fit, load_data, network
from rot180.errors import ShapeError
from rot180.inside.health import HealthReport, health
from rot180.inside.health_advice import Adviser
from rot180.training import History
from rot180.training.events import EpochDone
from rot180.training.optimizer import Optimizer

NOTATION = "8x8x1 > conv3x3:8 relu maxpool2 > fc24 relu > fc10"


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data("digits")


def trained(notation: str, data: Dataset, **options: object) -> tuple[Sequential, History]:
    model = network(notation)
    return model, fit(model, data, **{"epochs": 2, "lr": 0.005, "engine": "numpy", **options})


def found(report: HealthReport) -> set[str]:
    return {finding.what for finding in report.findings}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_healthy_training_has_no_finding(digits: Dataset, seed: int) -> None:
    model, history = trained(NOTATION.replace("3:8", "3:8:same"), digits, epochs=6, lr=0.003, seed=seed)
    assert evaluate(model, digits.test_images, digits.test_labels).accuracy > 0.9
    report = health(model, history, digits.test_images, digits.test_labels)
    assert report.healthy, [str(finding) for finding in report.findings]
    assert [layer.name for layer in report.layers] == [layer.name for layer in model.layers]
    assert "conv1" in report.table()
    assert max(len(line) for line in report.table().splitlines()) <= 80
    assert report.to_dict()["healthy"]


def test_dead_units(digits: Dataset) -> None:
    model, history = trained(NOTATION, digits)
    model.parameters["conv1.bias"][:4] = -100
    report = health(model, history, digits.test_images, digits.test_labels)
    (finding,) = [finding for finding in report.findings if finding.what.startswith("dead")]
    assert finding.what == "dead filters"
    assert finding.where == "relu1"
    assert finding.evidence.startswith("50% output zero for every image")
    model.parameters["fc1.bias"][:] = -100
    assert "dead units" in found(health(model, history, digits.test_images, digits.test_labels))


RESIDUAL = "8x8x1 > conv3x3:8:same bn relu > ( conv3x3:8:same bn relu conv3x3:8:same bn + skip ) relu > gap > fc10"


def test_a_network_with_branches_and_normalization(digits: Dataset) -> None:
    model, history = trained(RESIDUAL, digits, epochs=4, lr=0.01)
    before = {name: array.copy() for name, array in model.state.items()}
    report = health(model, history, digits.test_images, digits.test_labels)
    assert not found(report) - {"overfitting", "learning rate too low"}, report.findings
    assert [layer.name for layer in report.layers] == [layer.name for layer in model.layers]
    assert all(np.isfinite(layer.delta) and layer.delta > 0 for layer in report.layers)
    for name, array in model.state.items():  # nothing is learned by looking
        np.testing.assert_array_equal(array, before[name])


def test_dead_channels_behind_a_normalization(digits: Dataset) -> None:
    model = network(RESIDUAL).build(seed=0)
    model.parameters["bn1.bias"][:4] = -100
    model.parameters["bn3.weight"][:2] = 1e-5
    settings = {"weight_decay": 0.1, "optimizer": "adamw", "lr": 0.01}
    report = health(model, None, digits.test_images, digits.test_labels, settings=settings)
    dead = {finding.where: finding for finding in report.findings if finding.where}
    assert dead["relu1"].what == "dead filters"
    assert dead["relu1"].evidence.endswith("(usual: under 10%); bn1 shifts them below zero")
    assert dead["bn3"].what == "channels without scale"
    assert dead["bn3"].evidence.startswith("25% have a scale below 0.001")
    assert dead["bn3"].options == ("--no-decay-bias-and-norm",)
    without = {**settings, "decay_bias_and_norm": False}
    for finding in health(model, None, digits.test_images, digits.test_labels, settings=without).findings:
        assert "--no-decay-bias-and-norm" not in finding.options


def test_deltas_are_those_of_training_in_which_images_affect_each_other(digits: Dataset) -> None:
    """The first convolution's bias, before a batch normalization, has a gradient of zero in training only."""
    model = network("8x8x1 > conv3x3:8 bn relu > fc10").build(seed=0)
    model.statistics["bn1.running_var"][:] = 1e6
    sizes = {layer.name: layer.delta for layer in health(model, None, digits.test_images, digits.test_labels).layers}
    assert sizes["conv1"] > 0.1 * sizes["bn1"]  # with the running variance it would be a thousandth


def test_gates_are_no_sigmoids_to_replace(digits: Dataset) -> None:
    model = network("8x8x1 > conv3x3:8 ( skip * gap fc8 sigmoid ) > gap > fc10").build(seed=0)
    assert not [remedy for remedy in Adviser(model, None, {}).vanishing() if remedy.text == "relu"]
    assert Adviser(network("8x8x8 > ( skip * gap fc8 sigmoid )").build(), None, {})._with_dropout() == ""


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_saturated_units(digits: Dataset, activation: str) -> None:
    model = network(f"8x8x1 > fc24 {activation} > fc10").build(seed=0)
    assert "saturated units" not in found(health(model, None, digits.test_images, digits.test_labels))
    model.parameters["fc1.weight"][:] *= 100
    assert "saturated units" in found(health(model, None, digits.test_images, digits.test_labels))


def test_outputs_at_their_ends_are_no_saturation(digits: Dataset) -> None:
    model = network("8x8x1 > fc10 sigmoid").build(seed=0)
    model.parameters["fc1.weight"][:] *= 100
    assert "saturated units" not in found(health(model, None, digits.test_images, digits.test_labels))


def test_vanishing_and_exploding_deltas(digits: Dataset) -> None:
    model = network("8x8x1 > " + " ".join(["fc24 sigmoid"] * 6) + " > fc10").build(seed=0)
    assert "vanishing deltas" in found(health(model, None, digits.test_images, digits.test_labels))
    model = network("8x8x1 > " + " ".join(["fc24 relu"] * 6) + " > fc10").build(seed=0)
    assert not {"vanishing deltas", "exploding deltas"} & found(
        health(model, None, digits.test_images, digits.test_labels)
    )
    for name, array in model.parameters.items():
        array *= 10 if name.endswith("weight") else 1
    assert "exploding deltas" in found(health(model, None, digits.test_images, digits.test_labels))


def test_sizes_of_updates(digits: Dataset) -> None:
    model = network(NOTATION).build(seed=0)
    images, labels = digits.test_images, digits.test_labels
    assert "updates too small" in found(health(model, None, images, labels, optimizer=SGD(1e-8)))
    assert "updates too large" in found(health(model, None, images, labels, optimizer=SGD(5)))
    assert not found(health(model, None, images, labels, optimizer=SGD(0.01)))


@pytest.mark.parametrize("optimizer", [SGD(0.01), Adam(0.001)])
def test_updates_are_those_of_the_definitions(digits: Dataset, optimizer: Optimizer) -> None:
    """They are made by the engine of the training, or the fastest one."""
    model = network(RESIDUAL.replace("gap", "gap dropout0.3 fc16 tanh")).build(seed=0)
    fastest, numpy = (
        health(model, None, digits.test_images, digits.test_labels, optimizer=optimizer, settings=settings).layers
        for settings in ({}, {"engine": "numpy"})
    )
    assert sum(layer.update is not None for layer in numpy) == 8
    for layer, expected in zip(fastest, numpy, strict=True):
        assert layer == replace(expected, update=layer.update)
        assert expected.update is None or layer.update == pytest.approx(expected.update, rel=1e-3)


@pytest.mark.parametrize("rate", [3.0, 1e6])
def test_a_learning_rate_that_is_too_high(digits: Dataset, rate: float) -> None:
    losses = [2.3, 2.4, 2.2, *np.random.default_rng(0).normal(4, 1, 60)]
    history = History(losses=losses if rate < 10 else [2.3, 9.0, float("nan"), float("nan")], learning_rates=[rate])
    (finding,) = health(network(NOTATION).build(), history).findings
    assert finding.what == "learning rate too high"
    assert f"try --lr {rate / 10:.1g}" in finding.advice


def test_a_learning_rate_that_is_too_low(digits: Dataset) -> None:
    model, history = trained(NOTATION, digits, lr=1e-5)
    report = health(model, history, digits.test_images, digits.test_labels)
    assert "learning rate too low" in found(report)
    assert "try --lr 0.0001" in str(report.findings[0])


def test_class_imbalance(digits: Dataset) -> None:
    model = network(NOTATION).build()
    counts = np.array([500] * 9 + [20])
    (finding,) = health(model, None, class_counts=counts).findings
    assert finding.evidence == "500 images of 0 but 20 of 9"
    assert health(model, None, class_counts=np.full(10, 40)).healthy


def test_overfitting(digits: Dataset) -> None:
    few = replace(digits, train_images=digits.train_images[:40], train_labels=digits.train_labels[:40])
    model, history = trained("8x8x1 > fc64 relu > fc10", few, epochs=40)
    report = health(model, history, digits.test_images, digits.test_labels)
    assert found(report) >= {"overfitting"}


def test_a_validation_loss_that_rises() -> None:
    def epoch(number: int, loss: float, accuracy: float = 0.97) -> EpochDone:
        return EpochDone(number, 0.1, 0.99, loss, accuracy, 1e-3, 1.0, 100.0, False)

    model = network(NOTATION).build()
    rising = History(epochs=[epoch(1, 0.5), epoch(2, 0.3), epoch(3, 0.4)])
    (finding,) = health(model, rising).findings
    assert finding.evidence == "the validation loss was 0.3 after epoch 2 and is now 0.4"
    assert not found(health(model, History(epochs=rising.epochs, restored_epoch=2)))
    assert found(health(model, History(epochs=[epoch(1, 0.5, 0.8)]))) == {"overfitting"}


def test_images_and_labels_that_do_not_fit(digits: Dataset) -> None:
    with pytest.raises(ShapeError, match="each image needs one label; 5 images, 4 labels"):
        health(network(NOTATION).build(), None, digits.test_images[:5], digits.test_labels[:4])


def test_the_model_and_the_optimizer_stay_as_they_are(digits: Dataset) -> None:
    model = network(NOTATION).build(seed=0)
    before = {name: array.copy() for name, array in model.parameters.items()}
    optimizer = SGD(0.1, momentum=0.9)
    health(model, None, digits.test_images, digits.test_labels, optimizer=optimizer)
    assert optimizer.step_count == 0
    for name, array in model.parameters.items():
        np.testing.assert_array_equal(array, before[name])


def advised(adviser_method: str, model: Sequential, history: History | None = None, **settings: object) -> list[str]:
    return [remedy.text for remedy in getattr(Adviser(model, history, settings), adviser_method)()]


def test_nothing_is_advised_that_was_done() -> None:
    plain = network(NOTATION).build()
    everything = " ".join(advised("overfitting", plain, optimizer="adam"))
    for remedy in ("--augment shift:1", "dropout", "adamw --weight-decay 0.05", "--early-stopping 3 --validation 0.1"):
        assert remedy in everything
    done = {
        "augment": "shift:2",
        "weight_decay": 0.01,
        "early_stopping": 3,
        "optimizer": "adamw",
        "warmup": 0.05,
        "normalize": "dataset",
        "class_weights": "balanced",
        "label_smoothing": 0.1,
        "clip_norm": 1.0,
    }
    with_dropout = network(NOTATION.replace("fc10", "dropout0.3 fc10")).build()
    assert advised("overfitting", with_dropout, **done) == ["more images", "fewer parameters"]
    found_rate = "the learning rate that rot180 find-lr suggests"
    assert advised("too_high", plain, lr=0.1, **done) == ["--lr 0.01", found_rate]
    assert advised("too_high", plain, lr=0.1) == ["--lr 0.01", "--warmup 0.05", "--clip-norm 1", found_rate]
    assert "--clip-norm 1" in advised("exploding", plain, lr=0.1)
    assert "--label-smoothing 0.1" in everything
    assert "--label-smoothing" not in " ".join(advised("overfitting", network("8x8x1 > fc10 sigmoid").build()))
    assert advised("dead", network(NOTATION.replace("relu", "leakyrelu")).build(), lr=0.1, **done) == [
        "--lr 0.01",
        "fewer units",
    ]
    assert advised("imbalance", plain, **done) == ["more images of the rare class", "checking the confusion matrix"]
    assert "--optimizer adam" in advised("small_updates", plain, optimizer="sgd")
    assert "--optimizer adam" not in advised("small_updates", plain, optimizer="adam")
    assert "relu" not in advised("vanishing", plain)
    color = network("8x8x3 > fc10").build()
    assert "--augment shift:1,flip" in advised("overfitting", color, augment="none")
    assert "--augment flip,randaugment" in advised("overfitting", color, augment="flip")
    assert "--augment" not in " ".join(advised("overfitting", color, augment="flip,mixup"))
    assert "all training images instead of the first 40" in advised("overfitting", plain, limit=40)


def test_a_training_that_stopped_early_is_not_told_to() -> None:
    model = network(NOTATION).build()
    assert "--early-stopping" in " ".join(advised("overfitting", model, History()))
    assert "--early-stopping" not in " ".join(advised("overfitting", model, History(stopped="early_stopping")))
    assert "--early-stopping" not in " ".join(advised("overfitting", model, History(restored_epoch=4)))


@pytest.mark.parametrize(
    "notation",
    [NOTATION, "8x8x3 > fc10", "12x12x1 > conv3x3:4 tanh maxpool2 > fc8 sigmoid fc3", "20x20x3 > fc5 relu fc2"],
)
def test_networks_that_are_advised_can_be_built(notation: str) -> None:
    model = network(notation).build()
    adviser = Adviser(model, None, {})
    remedies = [*adviser.overfitting(), *adviser.dead(), *adviser.saturated(), *adviser.vanishing()]
    models = [remedy.options[1] for remedy in remedies if remedy.options and remedy.options[0] == "--model"]
    assert models
    for text in models:
        other = network(text).build()
        assert (other.input_shape, other.output_shape) == (model.input_shape, model.output_shape)
        assert other.notation != model.notation


def test_a_dead_network_is_not_told_to_learn_faster(digits: Dataset) -> None:
    model = network(NOTATION).build(seed=0)
    blown = History(losses=[2.3, 9.0, float("nan"), float("nan")], learning_rates=[3.0])
    report = health(model, blown, digits.test_images, digits.test_labels, optimizer=SGD(1e-9))
    assert found(report) >= {"learning rate too high"}
    assert "updates too small" not in found(report)


def test_a_training_of_a_few_steps_says_nothing_about_the_learning_rate() -> None:
    data = load_data("digits").limit(20)
    model = network("8x8x1 > fc16 tanh > fc10")
    history = fit(model, data, epochs=1, lr=1e-3, schedule="one-cycle")
    assert history.learning_rates[-1] < 1e-8  # the end of the schedule, which its only step has
    assert "updates too small" not in found(health(model, history, data.test_images, data.test_labels))


def test_where_there_is_nothing_to_learn_the_learning_rate_is_not_to_blame() -> None:
    images = load_data("digits").test_images[:40]
    model = network("8x8x1 > fc8 tanh > fc1").build(seed=0)  # a softmax of one output is always 1
    assert "updates too small" not in found(health(model, None, images, np.zeros(40, int)))
