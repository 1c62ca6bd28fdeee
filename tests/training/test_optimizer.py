"""Optimizers by name, their state, and their way back from a checkpoint."""

from __future__ import annotations

import numpy as np
import pytest

from rot180.errors import ArgumentError, ModelError, ShapeError
from rot180.training import OPTIMIZERS, SGD, Adam, AdamW, RMSprop, optimizer

KINDS = [SGD(lr=0.1), SGD(lr=0.1, momentum=0.9, nesterov=True), Adam(lr=0.1), AdamW(lr=0.1), RMSprop(lr=0.1)]


def fresh(example):
    return optimizer(**example.to_dict())


@pytest.mark.parametrize("example", KINDS, ids=repr)
def test_each_walks_down_a_bowl(example) -> None:
    chosen, w = fresh(example), {"fc1.weight": np.array([2.0, -3.0])}
    for step in range(300):
        chosen.lr = 0.1 * 0.99**step
        chosen.update(w, {"fc1.weight": w["fc1.weight"].copy()}, {"fc1.weight": 1.0})
    assert chosen.step_count == 300
    assert np.abs(w["fc1.weight"]).max() < 0.1


@pytest.mark.parametrize("example", KINDS, ids=repr)
def test_state_comes_back_bit_for_bit(example) -> None:
    rng = np.random.default_rng(0)
    gradients = [{"w": rng.normal(size=5).astype(np.float32)} for _ in range(6)]
    straight, broken = fresh(example), fresh(example)
    w1, w2 = {"w": np.ones(5, np.float32)}, {"w": np.ones(5, np.float32)}
    for gradient in gradients:
        straight.update(w1, gradient, {})
    for gradient in gradients[:3]:
        broken.update(w2, gradient, {})
    saved = {name: array.copy() for name, array in broken.state_dict().items()}
    resumed = fresh(example)
    resumed.load_state(saved)
    for gradient in gradients[3:]:
        resumed.update(w2, gradient, {})
    assert np.array_equal(w1["w"], w2["w"])
    assert resumed.step_count == 6
    assert resumed.state_dict().keys() == straight.state_dict().keys()


def test_a_layers_factor_multiplies_its_rate() -> None:
    w = {"a": np.zeros(1), "b": np.zeros(1), "c": np.zeros(1)}
    SGD(lr=0.5).update(w, {name: np.ones(1) for name in w}, {"b": 0.1, "c": 0.0})
    assert [float(w[name][0]) for name in "abc"] == pytest.approx([-0.5, -0.05, 0.0])


def test_names_are_the_rules() -> None:
    assert {name: kind.rule for name, kind in OPTIMIZERS.items()} == {
        n: n for n in ("sgd", "adam", "adamw", "muon", "rmsprop")
    }
    assert repr(optimizer("adam", lr=0.01)) == "Adam(lr=0.01, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0)"


def test_the_schedule_does_not_change_what_it_was_made_with() -> None:
    chosen = Adam(lr=0.01)
    chosen.lr = 0.0
    assert chosen.to_dict()["lr"] == 0.01


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optimizer("adamm"), r"unknown optimizer 'adamm'; did you mean 'adam'\?"),
        (lambda: optimizer("zzz"), "known: adam, adamw, muon, rmsprop, sgd"),
        (lambda: optimizer("sgd", momentun=0.9), r"SGD has no argument 'momentun'; did you mean 'momentum'\?"),
        (lambda: Adam(beta=0.9), r"Adam has no argument 'beta'; did you mean 'betas'\?"),
        (lambda: SGD(lr=-1), "sgd: lr must be a number, at least 0"),
        (lambda: SGD(lr=float("nan")), "sgd: lr must be a number"),
        (lambda: SGD(momentum=1.0), "momentum must be a number, at least 0 and below 1"),
        (lambda: SGD(nesterov=True), "nesterov needs a momentum above 0"),
        (lambda: Adam(betas=0.9), "betas must be two numbers"),
        (lambda: Adam(betas=(0.9, 1.0)), r"adam: betas\[1\] must be a number"),
        (lambda: RMSprop(alpha=True), "alpha must be a number"),
        (lambda: SGD(clip_norm=-1), "sgd: clip_norm must be a number, at least 0 and finite; it is -1"),
        (lambda: Adam(clip_norm="1"), "adam: clip_norm must be a number"),
        (lambda: Adam(decay_bias=False), r"Adam has no argument 'decay_bias'; did you mean 'decay_bias_and_norm'\?"),
    ],
)
def test_what_cannot_be_used_is_said(call, message) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()


def test_what_precedes_the_rule_is_named_where_it_is_used() -> None:
    assert "clip" not in repr(Adam())
    assert "decay_bias" not in str(Adam(clip_norm=0).to_dict())
    chosen = AdamW(clip_norm=1, decay_bias_and_norm=False)
    assert repr(chosen).endswith("weight_decay=0.01, clip_norm=1.0, decay_bias_and_norm=False)")
    again = optimizer(**chosen.to_dict())
    assert (again.clip_norm, again.decay_bias_and_norm) == (1.0, False)


def test_state_of_another_optimizer_or_network_is_refused() -> None:
    saved = Adam()
    saved.prepare({"w": np.zeros(3)})
    with pytest.raises(ModelError, match="belongs to another optimizer"):
        SGD().load_state(saved.state_dict())
    with pytest.raises(ModelError, match="no step_count"):
        SGD().load_state({})
    with pytest.raises(ShapeError, match="use a new optimizer for a new network"):
        saved.prepare({"w": np.zeros(4)})
