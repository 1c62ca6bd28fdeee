"""Strided convolutions by minimal filtering, over images rearranged from space to depth."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import rot180
from rot180 import nn
from rot180.engine import make_engine
from rot180.engine.planning import make_plan
from rot180.nn.loss import CrossEntropyLoss
from rot180.training import SGD


def network(size: tuple[int, int, int], *layers: nn.Layer, dtype: type = np.float64) -> nn.Sequential:
    layers = (*layers, nn.GlobalAvgPool2d(), nn.Linear(4))
    return nn.Sequential(list(layers), input_shape=size).build(seed=0, dtype=dtype)


def steps(model: nn.Sequential, training: bool) -> list[str]:
    gradients = {name: np.zeros_like(array) for name, array in model.parameters.items()}
    plan = make_plan(model, 2, training=training, threads=2, gradients=gradients)
    return [step.does for step in (*plan.forward, *plan.backward)]


@pytest.mark.parametrize(
    ("size", "layers"),
    [
        ((23, 30, 3), [nn.Conv2d(20, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(), nn.ReLU()]),
        ((32, 32, 3), [nn.Conv2d(16, 7, stride=2, padding="same"), nn.ReLU()]),
        (
            (32, 36, 3),  # in inference, the sum is finished with the convolution
            [
                nn.Add([nn.Conv2d(24, 1, stride=2)], [nn.Conv2d(24, 7, stride=2, padding=3), nn.BatchNorm2d()]),
                nn.ReLU(),
            ],
        ),
        ((53, 54, 1), [nn.Conv2d(33, 11, stride=4, padding=((2, 1), (0, 5)))]),
        ((20, 21, 5), [nn.Conv2d(16, 5, stride=2, padding="valid"), nn.ReLU6()]),
        (
            (18, 18, 3),
            [nn.Conv2d(6, 3), nn.Tanh(), nn.Conv2d(17, 6, stride=2, padding=2), nn.ReLU()],
        ),  # a data gradient
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_training_and_inference_agree_with_numpy(size: tuple[int, int, int], layers: list, dtype: type) -> None:
    model = network(size, *layers, dtype=dtype)
    assert {"space to depth", "order weight gradient"} <= set(steps(model, True))
    rng = np.random.default_rng(1)
    x, labels = rng.normal(size=(3, *size)).astype(dtype), np.array([0, 3, 1])
    found = []
    for name in ("numpy", "compiled"):
        mine = copy.deepcopy(model)
        engine = make_engine(name, mine, CrossEntropyLoss())
        before = engine.forward(x).copy()
        engine.train_step(x, labels, SGD(lr=1.0), np.random.default_rng(2))
        found.append([before, *mine.state.values()])
    for ours, theirs in zip(*reversed(found), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 if dtype == np.float32 else 1e-12)


def test_it_is_not_for_every_stride() -> None:
    """3x3 with stride 2 has too few taps; and whoever names another algorithm gets that."""
    for conv in (nn.Conv2d(16, 3, stride=2), nn.Conv2d(16, 7, stride=2, algorithm="im2col"), nn.Conv2d(16, 7)):
        assert "space to depth" not in steps(network((32, 32, 3), conv), True)


def test_published_stems_take_it() -> None:
    model = rot180.model("resnet18").build((64, 64, 3), seed=0)
    plan = make_plan(model, 1, training=False, threads=1)
    assert plan.forward[1].does == "space to depth" or plan.forward[0].does == "space to depth"
