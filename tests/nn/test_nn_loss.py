"""Losses as objects."""

from __future__ import annotations

import numpy as np
import pytest

from rot180.errors import ArgumentError
from rot180.nn import CrossEntropyLoss, SquaredErrorLoss
from rot180.nn.loss import LOSSES, loss
from rot180.ops.activation import sigmoid, sigmoid_backward

LABELS = np.array([2, 0, 1])


def outputs() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(3, 4))


def test_cross_entropy_is_the_negative_log_of_the_probability() -> None:
    logits = outputs()
    value, saved = CrossEntropyLoss().forward(logits, LABELS)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert isinstance(value, float)
    assert value == pytest.approx(-np.log(probabilities[range(3), LABELS]).mean())
    np.testing.assert_allclose(CrossEntropyLoss().backward(saved), (probabilities - np.eye(4)[LABELS]) / 3)


def test_label_smoothing_spreads_the_target() -> None:
    smoothed, saved = CrossEntropyLoss(label_smoothing=0.2).forward(outputs(), LABELS)
    target = 0.8 * np.eye(4)[LABELS] + 0.05
    expected, expected_saved = CrossEntropyLoss().forward(outputs(), target)
    assert smoothed == pytest.approx(expected)
    np.testing.assert_allclose(
        CrossEntropyLoss(label_smoothing=0.2).backward(saved), CrossEntropyLoss().backward(expected_saved)
    )


def test_squared_error_after_sigmoid_gives_the_classical_delta() -> None:
    y, t = sigmoid(outputs()), np.eye(4)[LABELS]
    value, saved = SquaredErrorLoss().forward(y, LABELS)
    assert value == pytest.approx(0.5 * ((y - t) ** 2).sum() / 3)
    delta = sigmoid_backward(SquaredErrorLoss().backward(saved), y)
    np.testing.assert_allclose(delta, -y * (1 - y) * (t - y) / 3)


def test_losses_by_name() -> None:
    for name, made in LOSSES.items():
        assert isinstance(loss(name), made)
        assert loss(name).name == name
    assert repr(loss("squared_error")) == "SquaredErrorLoss()"
    with pytest.raises(ArgumentError, match="unknown loss 'cross-entropy'; did you mean 'cross_entropy'"):
        loss("cross-entropy")
    with pytest.raises(ArgumentError, match="label_smoothing must be a number, at least 0 and below 1; it is 1"):
        loss("cross_entropy", label_smoothing=1)
    with pytest.raises(ArgumentError, match="SquaredErrorLoss has no argument 'label_smoothing'"):
        loss("squared_error", label_smoothing=1)
