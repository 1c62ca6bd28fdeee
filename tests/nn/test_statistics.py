"""Running statistics: learned once from each accepted batch, kept in models, averages and checkpoints."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

from rot180.errors import ArgumentError, ModelError, NonFiniteError, ShapeError
from rot180.nn import BatchNorm2d, Network, network
from rot180.runs import load_model, save_model
from rot180.training import Trainer

TEXT = "6x6x2 > conv3x3:4:same bn relu > fc3"
IMAGES = np.random.default_rng(1).normal(2.0, 3.0, size=(8, 6, 6, 2)).astype(np.float32)
LABELS = np.arange(8) % 3


def running(model: Network) -> dict[str, np.ndarray]:
    return {name: array.copy() for name, array in model.statistics.items()}


def test_statistics_start_at_zero_and_one_and_follow_the_batches() -> None:
    model = network("5 > bn:momentum=0.25").build(dtype=np.float64)
    assert model.statistics.keys() == {"bn1.running_mean", "bn1.running_var"}
    mean, var = np.zeros(5), np.ones(5)
    for seed in range(3):
        x = np.random.default_rng(seed).normal(seed, 2.0, size=(7, 5))
        _, saved = model.forward(x, training=True)
        model.learn(saved)
        mean, var = 0.75 * mean + 0.25 * x.mean(0), 0.75 * var + 0.25 * x.var(0, ddof=1)
    assert np.allclose(model.statistics["bn1.running_mean"], mean)
    assert np.allclose(model.statistics["bn1.running_var"], var)
    y = model(x)
    assert np.allclose(y, (x - mean) / np.sqrt(var + 1e-5))


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_a_step_learns_once_and_looking_never(engine: str) -> None:
    trainer = Trainer(network(TEXT), engine=engine, seed=0)
    trainer.prepare((6, 6, 2))
    model = trainer.model
    expected = copy.deepcopy(model)
    _, saved = expected.forward(IMAGES, training=True)
    expected.learn(saved)
    trainer.step(IMAGES, LABELS)
    after = running(model)
    for name, array in expected.statistics.items():
        assert np.allclose(after[name], array, rtol=1e-5)
    model.forward(IMAGES, training=True)
    model(IMAGES)
    assert all(np.array_equal(array, after[name]) for name, array in model.statistics.items())


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_a_batch_that_is_not_accepted_teaches_nothing(engine: str) -> None:
    trainer = Trainer(network(TEXT), engine=engine, seed=0)
    trainer.prepare((6, 6, 2))
    before = running(trainer.model)
    bad = IMAGES.copy()
    bad[0, 0, 0, 0] = np.inf
    with pytest.raises(NonFiniteError):
        trainer.step(bad, LABELS)
    assert all(np.array_equal(array, before[name]) for name, array in trainer.model.statistics.items())


def test_statistics_are_part_of_a_model(tmp_path: Path) -> None:
    trainer = Trainer(network(TEXT), seed=0)
    for _ in range(3):
        trainer.step(IMAGES, LABELS)
    save_model(tmp_path / "model.safetensors", trainer.model)
    again = load_model(tmp_path / "model.safetensors")
    assert again.state.keys() == trainer.model.state.keys()
    assert all(np.array_equal(array, trainer.model.state[name]) for name, array in again.state.items())
    assert np.array_equal(again(IMAGES), trainer.model(IMAGES))
    assert not np.array_equal(again.statistics["bn1.running_var"], np.ones(4))


def test_statistics_are_taken_over_or_refused() -> None:
    model = network(TEXT).build()
    layer = model.layers[1]
    held = layer.statistics["running_mean"]
    layer.statistics["running_mean"] = np.full(4, 3.0)
    model.look()
    assert layer.statistics["running_mean"] is held
    assert np.array_equal(held, np.full(4, 3.0))
    layer.statistics["running_mean"] = np.zeros(5)
    with pytest.raises(ShapeError, match=r"bn1.running_mean must be \(4,\) of floats"):
        model.look()
    layer.statistics = {"running_mean": np.zeros(4)}
    with pytest.raises(ArgumentError, match="bn1: its statistics are now"):
        model.look()


def test_the_average_covers_statistics() -> None:
    trainer = Trainer(network(TEXT), seed=0, ema=0.5)
    trainer.step(IMAGES, LABELS)
    first = running(trainer.model)
    trainer.step(IMAGES + 1, LABELS)
    second = running(trainer.model)
    with trainer.averaged():
        inside = running(trainer.model)
    share = min(0.5, 3 / 12)
    for name in first:
        assert np.allclose(inside[name], share * first[name] + (1 - share) * second[name], rtol=1e-5)
    assert all(np.array_equal(array, second[name]) for name, array in trainer.model.statistics.items())


def test_a_batch_of_one_value_per_channel_is_refused() -> None:
    model = network("5 > bn > fc2").build()
    with pytest.raises(ShapeError, match="a channel needs at least two values"):
        model.forward(np.zeros((1, 5), np.float32), training=True)
    assert BatchNorm2d(momentum=1.0).momentum == 1.0
    with pytest.raises(ArgumentError, match="momentum"):
        BatchNorm2d(momentum=1.5)


def test_a_file_with_other_statistics_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path / "a.safetensors", network(TEXT).build())
    data = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "b.safetensors").write_bytes(data.replace(b"bn1.running_mean", b"bn1.running_mead"))
    with pytest.raises(ModelError):
        load_model(tmp_path / "b.safetensors")
