"""Losses against differences, SciPy, their derivations and bad targets."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

from rot180.errors import ArgumentError, ShapeError
from rot180.inside.gradient_check import check_gradient
from rot180.ops import (
    cross_entropy,
    cross_entropy_backward,
    log_softmax,
    log_softmax_backward,
    sigmoid,
    sigmoid_backward,
    squared_error,
    squared_error_backward,
)
from rot180.ops.recorder import listening

LOGITS = np.random.default_rng(0).normal(size=(4, 5)) * 2
LABELS = np.array([1, 0, 4, 1])
ROWS = np.random.default_rng(1).dirichlet(np.ones(5), size=4)
ONE_HOT = np.eye(5)[LABELS]
TARGETS = {"labels": LABELS, "rows": ROWS}


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_cross_entropy_is_the_definition(target, label_smoothing):
    t = ONE_HOT if target.ndim == 1 else target
    t = (1 - label_smoothing) * t + label_smoothing / 5
    loss, probabilities = cross_entropy(LOGITS, target, label_smoothing=label_smoothing)
    assert isinstance(loss, float)
    assert loss == pytest.approx(-(t * scipy.special.log_softmax(LOGITS, 1)).sum(1).mean(), rel=1e-13)
    np.testing.assert_allclose(probabilities, scipy.special.softmax(LOGITS, 1), rtol=1e-13)
    dlogits = cross_entropy_backward(probabilities, target, label_smoothing=label_smoothing)
    np.testing.assert_allclose(dlogits, (probabilities - t) / 4, atol=1e-15)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_cross_entropy_gradient(target, label_smoothing):
    _, probabilities = cross_entropy(LOGITS, target, label_smoothing=label_smoothing)
    dlogits = cross_entropy_backward(probabilities, target, label_smoothing=label_smoothing)
    check = check_gradient(lambda x: cross_entropy(x, target, label_smoothing=label_smoothing)[0], LOGITS, dlogits)
    assert check.passed, check


def test_cross_entropy_backward_is_the_chain_of_its_steps():
    step_by_step = log_softmax_backward(-ONE_HOT / 4, log_softmax(LOGITS))
    at_once = cross_entropy_backward(cross_entropy(LOGITS, LABELS)[1], LABELS)
    np.testing.assert_allclose(at_once, step_by_step, atol=1e-15)


@pytest.mark.parametrize("target", [LABELS, ONE_HOT], ids=["labels", "one-hot"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropy_of_large_logits(dtype, target):
    logits = np.zeros((4, 5), dtype)
    logits[:, 1] = 1e4
    loss, probabilities = cross_entropy(logits, target)
    assert loss == pytest.approx(5000, rel=1e-6)
    dlogits = cross_entropy_backward(probabilities, target)
    assert np.isfinite(dlogits).all()
    assert probabilities.dtype == dlogits.dtype == dtype


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_labels_of_any_integer_type(dtype):
    assert cross_entropy(LOGITS, LABELS.astype(dtype))[0] == cross_entropy(LOGITS, LABELS)[0]
    assert squared_error(LOGITS, LABELS.astype(dtype)) == squared_error(LOGITS, LABELS)


def test_squared_error_is_the_definition():
    expected = np.mean([0.5 * sum((LOGITS[n, k] - ONE_HOT[n, k]) ** 2 for k in range(5)) for n in range(4)])
    assert squared_error(LOGITS, LABELS) == pytest.approx(expected, rel=1e-13)
    assert squared_error(LOGITS, ONE_HOT) == pytest.approx(expected, rel=1e-13)
    assert squared_error(LOGITS, ONE_HOT.astype(int)) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_squared_error_gradient(target):
    check = check_gradient(lambda y: squared_error(y, target), LOGITS, squared_error_backward(LOGITS, target))
    assert check.passed, check


def test_squared_error_of_maps():
    y, target = np.random.default_rng(0).normal(size=(2, 2, 3, 3, 1))
    assert squared_error(y, target) == pytest.approx(0.5 * np.sum((y - target) ** 2) / 2)


def test_squared_error_behind_a_sigmoid_is_the_classic_delta():
    y = sigmoid(LOGITS)
    dz = sigmoid_backward(squared_error_backward(y, LABELS), y)
    np.testing.assert_allclose(-4 * dz, y * (1 - y) * (ONE_HOT - y), atol=1e-15)


def test_the_type_is_carried():
    y = LOGITS.astype(np.float32)
    for target in (LABELS, ONE_HOT):
        assert squared_error_backward(y, target).dtype == np.float32
        assert cross_entropy_backward(cross_entropy(y, target)[1], target).dtype == np.float32


def test_names_are_recorded():
    names = []
    with listening(lambda name, array: names.append(name)):
        cross_entropy_backward(cross_entropy(LOGITS, LABELS)[1], LABELS)
        squared_error_backward(LOGITS, LABELS)
    assert names == ["log_probabilities", "probabilities", "dlogits", "dy"]


@pytest.mark.parametrize("loss", [cross_entropy, cross_entropy_backward, squared_error, squared_error_backward])
def test_bad_labels_are_explained(loss):
    name = loss.__name__
    with pytest.raises(ArgumentError, match=f"{name}: labels must be from 0 to 4, the network has 5 outputs; one is 5"):
        loss(LOGITS, np.array([1, 5, 4, 1]))
    with pytest.raises(ArgumentError, match="one is -1"):
        loss(LOGITS, np.array([1, -1, 4, 1]))
    with pytest.raises(ArgumentError, match=f"{name}: labels must be integers; they are float64"):
        loss(LOGITS, LABELS.astype(float))
    with pytest.raises(ShapeError, match=f"{name}: 4 images need 4 labels; got 3"):
        loss(LOGITS, LABELS[:3])
    with pytest.raises(ShapeError, match=rf"{name}: target must .* it is \(4, 4\)"):
        loss(LOGITS, ROWS[:, :4])
    with pytest.raises(ShapeError, match=f"{name}: .*empty"):
        loss(LOGITS[:0], LABELS[:0])


@pytest.mark.parametrize("rows", [ROWS * 2, ROWS - 0.5, np.full((4, 5), np.nan)])
def test_rows_that_are_no_distribution_are_refused(rows):
    with pytest.raises(ArgumentError, match="each row of target must be a distribution"):
        cross_entropy(LOGITS, rows)


@pytest.mark.parametrize("label_smoothing", [-0.1, 1.1, float("nan")])
def test_label_smoothing_outside_its_range_is_refused(label_smoothing):
    with pytest.raises(ArgumentError, match="label_smoothing must be from 0 to 1"):
        cross_entropy(LOGITS, LABELS, label_smoothing=label_smoothing)


WEIGHTS = np.array([1.0, 0.25, 0.0, 2.0, 3.0])


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_class_weights_multiply_each_images_loss_and_gradient(target, label_smoothing):
    options = {"label_smoothing": label_smoothing, "class_weights": WEIGHTS}
    of_images = (ONE_HOT if target.ndim == 1 else target) @ WEIGHTS
    alone = [cross_entropy(LOGITS[n : n + 1], target[n : n + 1], label_smoothing=label_smoothing)[0] for n in range(4)]
    loss, probabilities = cross_entropy(LOGITS, target, **options)
    assert loss == pytest.approx(np.mean(of_images * alone), rel=1e-13)
    dlogits = cross_entropy_backward(probabilities, target, **options)
    check = check_gradient(lambda x: cross_entropy(x, target, **options)[0], LOGITS, dlogits)
    assert check.passed, check
    loss = squared_error(LOGITS, target, class_weights=WEIGHTS)
    t = ONE_HOT if target.ndim == 1 else target
    assert loss == pytest.approx(np.mean(of_images * 0.5 * np.square(LOGITS - t).sum(1)), rel=1e-13)
    dy = squared_error_backward(LOGITS, target, class_weights=WEIGHTS)
    check = check_gradient(lambda y: squared_error(y, target, class_weights=WEIGHTS), LOGITS, dy)
    assert check.passed, check


def test_weighted_gradients_of_parts_make_that_of_the_whole():
    whole = cross_entropy_backward(cross_entropy(LOGITS, LABELS)[1], LABELS, class_weights=WEIGHTS)
    parts = [
        cross_entropy_backward(cross_entropy(LOGITS[some], LABELS[some])[1], LABELS[some], class_weights=WEIGHTS)
        for some in (slice(0, 2), slice(2, 4))
    ]
    np.testing.assert_allclose(np.concatenate(parts) / 2, whole, rtol=1e-14)


def test_class_weights_that_do_not_fit():
    with pytest.raises(ShapeError, match="one weight for each of the classes"):
        cross_entropy(LOGITS, LABELS, class_weights=WEIGHTS[:4])
    with pytest.raises(ArgumentError, match="finite and at least 0"):
        cross_entropy(LOGITS, LABELS, class_weights=-WEIGHTS)
    with pytest.raises(ArgumentError, match="finite and at least 0"):
        squared_error(LOGITS, -ROWS, class_weights=WEIGHTS)
