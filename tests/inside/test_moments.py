"""Moments are evenly spread and few, hold the bits of their step, and tell when an image was decided."""

from __future__ import annotations

import numpy as np
import pytest

import rot180
from rot180.inside.moments import Moment, Moments, decision
from rot180.training.events import Event, StepDone


def test_moments_are_few_evenly_spread_and_exact() -> None:
    data = rot180.load_data("digits").limit(960)
    moments, seen = Moments(most=8), {}
    model = rot180.network("8x8x1 > conv3x3:2 relu > fc10").build(seed=1)
    seen[0] = model.parameters["fc1.weight"].copy()

    def listen(event: Event) -> None:
        if isinstance(event, StepDone):
            seen[len(seen)] = model.parameters["fc1.weight"].copy()

    rot180.fit(model, data, epochs=2, engine="numpy", subscribers=[listen, moments])
    steps = [moment.step for moment in moments.kept]
    assert len(steps) <= 9
    assert steps[0] == 0
    assert len(set(np.diff(steps))) == 1
    for moment in moments.kept:
        np.testing.assert_array_equal(moment.state["fc1.weight"], seen[moment.step])
        np.testing.assert_array_equal(moment.of(model).parameters["fc1.weight"], seen[moment.step])


def test_it_was_decided_when_the_answer_last_changed() -> None:
    model = rot180.network("1x1x1 > fc3").build(seed=0)
    weight = np.zeros((1, 3), np.float32)
    biases = [[3, 0, 0], [0, 3, 0], [0, 0, 3], [0, 3, 0], [0, 4, 0], [0, 5, 0]]
    moments = [
        Moment(10 * at, {"fc1.weight": weight, "fc1.bias": np.array(bias, np.float32)})
        for at, bias in enumerate(biases)
    ]
    image = np.ones((1, 1, 1), np.float32)
    found = decision(model, moments, image, 1)
    assert found.decided == 30
    assert found.probabilities.argmax(axis=1).tolist() == [0, 1, 2, 1, 1, 1]
    assert found.losses[0] == pytest.approx(-np.log(found.probabilities[0, 1]), rel=1e-5)
    assert decision(model, moments[:1], image, 1).decided == 0
    assert model.parameters["fc1.bias"].tolist() == [0, 0, 0]
