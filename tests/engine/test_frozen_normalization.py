"""Frozen batch normalization: both engines compute the same, and its statistics stay."""

from __future__ import annotations

import numpy as np
import pytest

import rot180

NETWORK = (
    "8x8x3 > conv3x3:4:same:nobias bn:frozen relu6 > ( conv1x1:4:nobias bn:frozen + skip ) relu > "
    "conv3x3:4:same:g4:nobias bn:frozen silu > gap fc3"
)


def trained(engine):
    """Return the model after some steps, and its statistics before."""
    generator = np.random.default_rng(0)
    model = rot180.network(NETWORK).build(seed=1)
    for name, array in model.statistics.items():
        array[...] = 1 + generator.random(array.shape) if name.endswith("var") else generator.normal(size=array.shape)
    before = {name: array.copy() for name, array in model.statistics.items()}
    trainer = rot180.Trainer(model, optimizer=rot180.SGD(lr=0.5), engine=engine)
    images, labels = generator.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8), np.arange(6) % 3
    for _ in range(5):
        trainer.step(images, labels)
    return model, before


def test_both_engines_agree_and_the_statistics_stay():
    (one, before), (other, _) = trained("numpy"), trained("compiled")
    for name, array in one.state.items():
        np.testing.assert_allclose(other.state[name], array, rtol=1e-4, atol=1e-6, err_msg=name)
    for model in (one, other):
        assert all(np.array_equal(model.statistics[name], array) for name, array in before.items())
    assert not np.allclose(one.state["bn1.weight"], 1)


def test_a_single_value_can_be_normalized_in_training():
    model = rot180.network("1x1x2 > bn:frozen > fc2").build()
    y, saved = model.forward(np.ones((1, 1, 1, 2), np.float32), training=True)
    assert np.isfinite(y).all()
    model.learn(saved)
    assert model.statistics["bn1.running_mean"].tolist() == [0, 0]


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_frozen_is_obeyed_by_the_next_step(engine):
    model, before = trained(engine)
    for layer in model.layers:
        if isinstance(layer, rot180.BatchNorm2d):
            layer.frozen = False
    trainer = rot180.Trainer(model, engine=engine)
    trainer.step(np.random.default_rng(1).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8), np.arange(6) % 3)
    assert not any(np.array_equal(model.statistics[name], array) for name, array in before.items())
    assert "frozen" not in model.notation
