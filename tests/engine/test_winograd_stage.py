"""Minimal filtering in the compiled engine: where it is chosen, and that it agrees with the layers in float64."""

from __future__ import annotations

import numpy as np
import pytest

from rot180 import network
from rot180.engine import make_engine
from rot180.engine.planning import make_plan
from rot180.nn.loss import CrossEntropyLoss
from rot180.training import SGD

NETWORKS = (
    "13x11x3 > conv3x3:20:same relu > conv3x3:24:same bn relu > conv3x3:16 > conv5x5:32:same relu > gap fc5",
    "12x12x16 > ( conv3x3:16:same bn relu > conv3x3:16:same bn + skip ) relu > conv3x3:17:same relu maxpool2 > fc4",
    "13x15x16 > conv5x5:17:same relu maxpool2 > conv3x3:16:same maxpool2 relu > fc4",
    "12x12x16 > conv3x3:16:same relu maxpool3 > fc4",
    "16x16x3 > ( conv1:16:s2 + conv7x7:16:s2:pad3 bn ) relu > gap fc4",
    "8x8x17 > ( conv3x3:20:same relu | conv5x5:17:pad2 | skip ) > conv3x3:16:same relu6 > gap > fc3",
)


def steps(text, count=2, training=True):
    model = network(text).build(seed=0)
    gradients = {name: np.zeros_like(array) for name, array in model.parameters.items()}
    plan = make_plan(model, count, training=training, threads=1, gradients=gradients)
    return [step.does for step in (*plan.forward, *plan.backward) if "conv1" in step.layers]


@pytest.mark.parametrize("text", NETWORKS)
def test_engine_agrees_with_float64(text):
    """Outputs and the gradients of one step, which momentum holds, in inference and in training."""
    single = network(text).build(seed=0)
    double = network(text).build(seed=0, dtype=np.float64)
    double.load_parameters(single.parameters)
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(5, *single.input_shape)).astype(np.float32), np.arange(5) % 3
    found = []
    for name, model in (("compiled", single), ("numpy", double)):
        engine, rule = make_engine(name, model, CrossEntropyLoss()), SGD(lr=0.01, momentum=0.9)
        inputs = x.astype(model.dtype)
        y = engine.forward(inputs)
        engine.train_step(inputs, labels, rule, np.random.default_rng(0))
        found.append({"y": y, "after": engine.forward(inputs), **rule.state["velocity"]})
    for name, expected in found[1].items():
        # A bias before batch normalization has no gradient but rounding.
        largest = max(np.abs(expected).max(), 1e-2)
        np.testing.assert_allclose(found[0][name], expected, rtol=0, atol=2e-5 * largest, err_msg=name)


@pytest.mark.parametrize(
    ("word", "image", "tiles"),
    [
        ("conv3x3:16:same", "8x8x16", True),
        ("conv3x3:16:same", "7x7x16", True),
        ("conv3x3:16:same", "5x5x16", False),  # 64 outputs for 25
        ("conv3x3:16:same", "8x8x15", False),
        ("conv3x3:15:same", "8x8x16", False),
        ("conv3x3:16:same:s2", "8x8x16", False),
        ("conv3x3:16:same:d2", "8x8x16", False),
        ("conv3x3:16:same:g2", "8x8x32", False),
        ("conv5x5:16:same", "8x8x16", True),
        ("conv3x5:16:same", "8x8x16", False),
    ],
)
def test_shapes_alone_decide(word, image, tiles):
    for count in (1, 2, 40):
        for training in (False, True):
            found = steps(f"{image} > {word} > gap fc3", count, training)
            assert ("convolve in tiles" in found) == tiles, found


def test_the_layer_may_name_an_algorithm():
    model = network("8x8x16 > conv3x3:16:same > conv3x3:16:same:s2 > gap fc3").build(seed=0)
    plan = lambda: make_plan(model, 2, training=False, threads=1)  # noqa: E731
    assert [step.does for step in plan().forward][:2] == ["transform weights", "convolve in tiles"]
    model.layers[0].algorithm = "im2col"
    assert [step.does for step in plan().forward][:2] == ["pack weights", "convolve"]


def test_any_company_same_bits():
    model = network("9x9x16 > conv3x3:32:same relu > conv3x3:40:same > gap fc3").build(seed=0)
    x = np.random.default_rng(0).normal(size=(40, 9, 9, 16)).astype(np.float32)
    engine = make_engine("compiled", model, CrossEntropyLoss())
    alone = engine.forward(x[:2]).copy()
    assert np.array_equal(engine.forward(x)[:2], alone)


def test_the_plan_tells_how_many_multiply_adds_are_made():
    model = network("9x8x16 > conv1:16 conv3x3:20:same:nobias > gap fc3").build(seed=0)
    gradients = {name: np.zeros_like(array) for name, array in model.parameters.items()}
    plan = make_plan(model, 40, training=True, threads=1, gradients=gradients)
    made = {step.does: step.multiply_adds_made for step in (*plan.forward, *plan.backward) if step.layers == "conv2"}
    tiles = 40 * 3 * 2 * 36 * 16 * 20
    kinds = ("convolve in tiles", "weight gradient in tiles", "data gradient in tiles")
    assert {kind: made[kind] for kind in kinds} == dict.fromkeys(kinds, tiles)
    described = {step["step"]: step for step in plan.to_dict()["forward"]}["convolve in tiles"]
    assert (described["multiply_adds"], described["multiply_adds_made"]) == (40 * 72 * 9 * 16 * 20, tiles)
    saved = 3 * (40 * 72 * 9 * 16 * 20 - tiles) // 40
    assert plan.multiply_adds_made == plan.multiply_adds - saved
    assert f"(minimal filtering) make fewer: {plan.multiply_adds_made:,} per image in all" in str(plan)
