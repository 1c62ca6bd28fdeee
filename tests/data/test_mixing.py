"""Mixup and CutMix: images and labels are mixed alike, in the papers' proportions, and trained on."""

from __future__ import annotations

import numpy as np
import pytest

import rot180
from rot180.data.augment import parse_augmentation
from rot180.nn.loss import CrossEntropyLoss, SquaredErrorLoss
from rot180.ops import log_softmax
from rot180.training.trainer import Trainer


def mixed(text: str, images: np.ndarray, labels: np.ndarray, seed: int, classes: int = 4) -> tuple[np.ndarray, ...]:
    augment = parse_augmentation(text)
    assert augment is not None
    return augment(images, labels, np.random.default_rng(seed), classes)


def of_labels(labels: np.ndarray, size: int) -> np.ndarray:
    """Images that show their label: channel k is 1 in all pixels of images of class k."""
    images = np.zeros((len(labels), size, size + 3, 4), np.float32)
    images[np.arange(len(labels)), :, :, labels] = 1
    return images


@pytest.mark.parametrize("text", ["mixup:1", "mixup:0.2", "cutmix:1", "cutmix:0.3", "mixup:0.4,cutmix:1"])
def test_labels_are_mixed_as_the_images_are(text: str) -> None:
    labels = np.random.default_rng(0).integers(0, 4, 24)
    for seed in range(20):
        found, probabilities = mixed(text, of_labels(labels, 9), labels, seed)
        np.testing.assert_allclose(found.mean((1, 2)), probabilities, atol=2e-6)
        np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)
        assert probabilities.dtype == np.float32


def test_the_whole_batch_has_one_proportion_and_it_is_drawn_from_beta() -> None:
    labels = np.arange(4)
    shares = []
    for seed in range(400):
        _, probabilities = mixed("mixup:0.5", of_labels(labels, 2), labels, seed)
        own = probabilities[labels, labels]
        own = own[own < 1]  # an image may be its own partner
        assert np.ptp(own) < 1e-6 if len(own) else True
        shares += own[:1].tolist()
    # Beta(a, a) has the mean 1/2 and the variance 1 / (4 (2a + 1)); some draws are 1 within rounding.
    assert np.mean(shares) == pytest.approx(0.5, abs=0.06)
    assert np.var(shares) == pytest.approx(1 / 8, rel=0.15)


def test_cutmix_pastes_one_rectangle_at_the_same_place() -> None:
    images = np.arange(1, 17, dtype=np.uint8).reshape(16, 1, 1, 1).repeat(11, 1).repeat(7, 2)
    areas = []
    for seed in range(200):
        found, probabilities = mixed("cutmix", images, np.arange(16), seed, 16)
        pasted = found != images
        where = pasted.any((0, 3))
        assert where.sum() == where.any(1).sum() * where.any(0).sum()  # a rectangle
        for n in range(16):
            assert not pasted[n].any() or (pasted[n, ..., 0] == where).all()
            other = np.unique(found[n][pasted[n]])
            assert len(other) <= 1
        areas.append(where.mean())
        changed = pasted.any((1, 2, 3))
        np.testing.assert_allclose(probabilities[np.arange(16), np.arange(16)][changed], 1 - where.mean(), atol=1e-6)
    # The share is uniform, but rectangles that reach beyond the edges are cut off: less than half on average.
    assert 0.25 < np.mean(areas) < 0.45


def test_both_take_turns_at_random() -> None:
    labels = np.arange(4)
    images = of_labels(labels, 8)
    kinds = []
    for seed in range(200):
        found, _ = mixed("mixup:1,cutmix:1", images, labels, seed)
        kinds.append(bool(((found > 0) & (found < 1)).any()))  # mixup has values between the images'
    assert 70 < sum(kinds) < 130


@pytest.mark.parametrize("text", ["mixup", "cutmix", "mixup,cutmix"])
def test_a_batch_of_one_and_a_single_class(text: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 5, 5, 1), dtype=np.uint8)
    found, probabilities = mixed(text, image, np.array([0]), 1, classes=1)
    np.testing.assert_array_equal(found, image)
    np.testing.assert_array_equal(probabilities, [[1]])
    model = rot180.network("5x5x1 > fc3")
    rot180.fit(model, (image, np.array([2])), augment=text, epochs=2)


@pytest.mark.parametrize("engine", ["numpy", "auto"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_weights_and_smoothing_combine(engine: str, smoothing: float) -> None:
    """The loss is that of the definition: sum over the classes of weights, smoothed shares and log-probabilities."""
    rng = np.random.default_rng(0)
    images, labels = rng.random((6, 4, 4, 4), np.float32), rng.integers(0, 4, 6)
    found, t = mixed("mixup:1", images, labels, 3)
    w = np.array([1.0, 2.0, 0.5, 3.0])
    model = rot180.network("4x4x4 > fc4")
    trainer = Trainer(model, optimizer="sgd", loss=CrossEntropyLoss(smoothing, w), engine=engine)
    log_p = log_softmax(trainer.prepare((4, 4, 4)).forward(model.preprocessing(found, white=1.0)).astype(float))
    smooth = (1 - smoothing) * t + smoothing / 4
    expected = np.mean((t @ w) * -(smooth * log_p).sum(1))
    assert trainer.step(found, t) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("text", ["mixup:0.2", "cutmix:1", "mixup,cutmix,flip"])
@pytest.mark.parametrize("network", ["8x8x1 > fc10", "8x8x1 > fc10 sigmoid", "8x8x1 > fc10 tanh"])
def test_training_is_the_same_on_both_engines_and_for_any_workers(text: str, network: str) -> None:
    data = rot180.load_data("digits").limit(100)

    def trained(engine: str, workers: int) -> tuple[np.ndarray, float]:
        model = rot180.network(network)
        history = rot180.fit(model, data, augment=text, workers=workers, seed=3, engine=engine, batch_size=32)
        return model.parameters["fc1.weight"], history.epochs[-1].train_accuracy

    compiled, accuracy = trained("auto", 0)
    np.testing.assert_array_equal(compiled, trained("auto", 3)[0])
    plain, also = trained("numpy", 1)
    np.testing.assert_allclose(compiled, plain, atol=2e-5)
    assert accuracy == also


def test_accuracy_counts_the_class_with_the_larger_share() -> None:
    trainer = Trainer(rot180.network("1x1x3 > fc3"), loss=SquaredErrorLoss())
    trainer.prepare((1, 1, 3))
    trainer.model.parameters["fc1.weight"][:] = np.eye(3)
    images = np.array([[0.9, 0.1, 0], [0, 0.2, 0.8]], np.float32).reshape(2, 1, 1, 3)
    targets = np.array([[0.7, 0.3, 0], [0, 0.6, 0.4]], np.float32)
    assert trainer.run_batch(images, targets).correct == 1
