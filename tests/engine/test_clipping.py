"""Gradients that are clipped, and parameters that do not decay: both engines, any number of threads."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from agreement import TOLERANCE, assert_agree, compare, train

from rot180.engine import make_engine
from rot180.nn import network
from rot180.nn.loss import CrossEntropyLoss
from rot180.ops import clip_by_norm
from rot180.training import SGD, Adam, AdamW, RMSprop

TEXT = "6x6x2 > conv3x3:4:lr=0.5 relu > fc12 relu > fc5"

OPTIMIZERS = {
    "clipped": lambda: SGD(lr=0.05, momentum=0.9, clip_norm=0.5),
    "clipped now and then": lambda: SGD(lr=0.05, clip_norm=2.5),
    "clipped adam": lambda: Adam(lr=0.01, clip_norm=0.1),
    "weights decay": lambda: SGD(lr=0.1, weight_decay=0.5, decay_bias_and_norm=False),
    "weights decay, adamw": lambda: AdamW(lr=0.1, weight_decay=0.5, decay_bias_and_norm=False),
    "both": lambda: RMSprop(lr=0.01, weight_decay=0.5, decay_bias_and_norm=False, clip_norm=1.0),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_both_engines_take_the_same_steps(name) -> None:
    compare(TEXT, (5, 5, 1, 4), optimizer=OPTIMIZERS[name])
    compare(TEXT, (5, 3, 4), np.float64, optimizer=OPTIMIZERS[name], update=lambda step: step != 1)


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_the_gradient_of_all_parameters_together_is_shortened(engine) -> None:
    free = train(engine, TEXT, [5], optimizer=lambda: SGD(lr=1.0), dtype=np.float64)
    held = train(engine, TEXT, [5], optimizer=lambda: SGD(lr=1.0, clip_norm=0.25), dtype=np.float64)
    start = train(engine, TEXT, [], dtype=np.float64).model.parameters
    factors = held.model.lr_factors
    norm = np.sqrt(sum(((free.model.parameters[n] - w) ** 2).sum() / factors[n] ** 2 for n, w in start.items()))
    assert norm > 0.25
    assert held.optimizer.gradient_norm == pytest.approx(norm, rel=1e-10)
    for name, w in start.items():
        expected = w + (free.model.parameters[name] - w) * 0.25 / norm
        np.testing.assert_allclose(held.model.parameters[name], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_a_gradient_below_the_limit_stays_as_it_is(engine) -> None:
    free = train(engine, TEXT, [5, 5], optimizer=Adam)
    held = train(engine, TEXT, [5, 5], optimizer=lambda: Adam(clip_norm=1e6))
    assert_agree(held, free, TOLERANCE["float32"])
    assert (free.optimizer.gradient_norm is None, held.optimizer.gradient_norm < 1e6) == (True, True)


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
@pytest.mark.parametrize("make", [SGD, Adam, AdamW, RMSprop])
def test_biases_do_not_decay(engine, make) -> None:
    """A gradient that is zero leaves nothing but the decay."""
    model = network("4x4x1 > conv3x3:2 > fc2").build(seed=0)
    for w in model.parameters.values():
        w[...] = 1.0
    runner = make_engine(engine, model, CrossEntropyLoss())
    optimizer = make(lr=0.1, weight_decay=0.5, decay_bias_and_norm=False)
    images, target = np.zeros((2, 4, 4, 1), np.float32), np.full((2, 2), 0.5)
    for _ in range(2):
        runner.train_step(images, target, optimizer)
    for name, w in model.parameters.items():
        decayed = name.endswith("weight")
        assert (w < 0.99).all() if decayed else (w == 1.0).all(), name
    # and the next step obeys a change
    optimizer.decay_bias_and_norm = True
    runner.train_step(images, target, optimizer)
    assert all((w < 0.999).all() for w in model.parameters.values())


def test_a_limit_set_between_two_steps_is_obeyed_by_the_next() -> None:
    found = {}
    for engine in ("numpy", "compiled"):
        model = network(TEXT).build(seed=0, dtype=np.float64)
        runner, optimizer = make_engine(engine, model, CrossEntropyLoss()), SGD(lr=0.1)
        images = np.random.default_rng(0).normal(size=(4, 6, 6, 2))
        norms = []
        for limit in (None, 0.1, 0.2, None):
            optimizer.clip_norm = limit
            runner.train_step(images, np.arange(4), optimizer)
            norms.append(optimizer.gradient_norm)
        assert [norm is None for norm in norms] == [True, False, False, True]
        found[engine] = (norms[1:3], model.parameters)
    assert found["numpy"][0] == pytest.approx(found["compiled"][0], rel=1e-9)
    for name, w in found["numpy"][1].items():
        np.testing.assert_allclose(w, found["compiled"][1][name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_squares_that_overflow(engine) -> None:
    model = network("2 > fc2").build(seed=0, dtype=np.float64)
    runner, optimizer = make_engine(engine, model, CrossEntropyLoss()), SGD(lr=1.0, clip_norm=1.0)
    model.parameters["fc1.weight"][...] = 0.0
    assert runner.train_step(np.full((1, 2), 1e180), np.array([0]), optimizer).finite
    # dw = [[-0.5, 0.5], [-0.5, 0.5]] * 1e180
    assert optimizer.gradient_norm == pytest.approx(1e180)
    np.testing.assert_allclose(model.parameters["fc1.weight"], [[0.5, -0.5], [0.5, -0.5]])


def test_clipping_does_not_change_what_it_is_given() -> None:
    gradients = {"w": np.array([[3.0, 0.0]], np.float32), "b": np.array([4.0], np.float32)}
    clipped, norm = clip_by_norm(gradients, clip_norm=1.0)
    assert (norm, gradients["b"][0], clipped["w"].dtype) == (5.0, 4.0, np.float32)
    same, _ = clip_by_norm(gradients, clip_norm=5.0)
    assert same["w"] is gradients["w"]
    assert clip_by_norm({}, clip_norm=1.0) == ({}, 0.0)


SAME_BITS = """
import numpy as np
import rot180
from rot180.engine import make_engine
from rot180.nn.loss import CrossEntropyLoss

def run(threads):
    rot180.set_threads(threads)
    model = rot180.network("9x9x3 > conv3x3:40 relu > fc300 relu > fc7").build(seed=0)
    engine = make_engine("compiled", model, CrossEntropyLoss())
    optimizer = rot180.AdamW(clip_norm=0.5, decay_bias_and_norm=False)
    rng, norms = np.random.default_rng(0), []
    for count in (19, 1, 8):
        images = rng.normal(size=(count, 9, 9, 3)).astype(np.float32)
        engine.train_step(images, rng.integers(0, 7, count), optimizer)
        norms.append(optimizer.gradient_norm)
    return norms + [w.tobytes() for w in model.parameters.values()]

alone = run(1)
assert run(2) == run(3) == alone
assert min(alone[:3]) > 0.5
"""


def test_the_bits_do_not_depend_on_the_threads() -> None:
    import os

    environment = {**os.environ, "NUMBA_NUM_THREADS": "3"}
    subprocess.run([sys.executable, "-W", "error", "-c", SAME_BITS], check=True, env=environment)
