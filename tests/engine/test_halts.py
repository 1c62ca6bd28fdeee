"""Passes through parts of a batch: where they halt, and what is complete then."""

from __future__ import annotations

import numpy as np
import pytest

import rot180
from rot180.engine.compiled import CompiledEngine
from rot180.engine.halts import Final, Mean, Pause
from rot180.nn.loss import CrossEntropyLoss
from rot180.training import SGD

NETWORK = "8x8x1 > conv3x3:8:same bn relu ( conv3x3:8:same bn + skip ) relu > maxpool2 > fc16 relu > fc10"


@pytest.fixture(scope="module")
def batch():
    generator = np.random.default_rng(0)
    return generator.standard_normal((12, 8, 8, 1)), np.arange(12) % 10


def engine_of(loss=None, seed=0):
    return CompiledEngine(rot180.network(NETWORK).build(seed=seed, dtype=np.float64), loss or CrossEntropyLoss())


def finish(form):
    """Return the halts and the result of a pass."""
    halts = []
    while True:
        try:
            halts.append(next(form))
        except StopIteration as end:
            return halts, end.value


def test_a_stretch_is_complete_when_the_pass_halts(batch):
    engine = engine_of()
    (whole,), _ = finish(engine.form(*batch))
    expected, seen = engine.gradient.copy(), []
    assert whole == Final(((0, expected.size),))
    assert expected.any()
    engine.gradient[expected != 0] = np.nan  # all is still to be written, but the gaps between arrays
    for piece in engine.form(*batch, least=100):
        if isinstance(piece, Pause):
            continue
        np.testing.assert_array_equal(piece.taken_from(engine.gradient), piece.taken_from(expected))
        seen.append(piece)
    assert len(seen) > 3
    assert all(piece.size >= 100 for piece in seen[:-1])
    places = [place for piece in seen for start, stop in piece.stretches for place in range(start, stop)]
    assert sorted(places) == list(range(expected.size))


def test_a_training_step_is_launched_as_a_whole(batch):
    engine = engine_of()
    engine.train_step(*batch, SGD(lr=0.1))
    plan = engine.plan(12)
    assert (len(plan._forward_runs), len(plan._backward_runs)) == (1, 1)


def test_parts_in_step_have_the_moments_and_the_gradient_of_the_whole(batch):
    whole, first, second = engine_of(), engine_of(), engine_of()
    finish(whole.form(*batch))
    images, labels = batch
    parts = (first.form(images[:3], labels[:3], whole=12), second.form(images[3:], labels[3:], whole=12))
    means = 0
    for one, other in zip(*parts, strict=True):
        if isinstance(one, Mean):
            means += 1
            one.array[:] = other.array[:] = (3 * one.array + 9 * other.array) / 12
    assert means == 2 + 1 + 2  # moments, whether all losses are finite, and sums in dx
    mean = (3 * first.gradient + 9 * second.gradient) / 12
    np.testing.assert_allclose(mean, whole.gradient, rtol=0, atol=1e-14)
    for name, expected in whole.model.statistics.items():
        np.testing.assert_allclose(first.model.statistics[name], expected, rtol=0, atol=1e-14)


def test_parts_in_step_halt_alike_if_one_of_them_is_not_finite(batch):
    class Broken(CrossEntropyLoss):
        def forward(self, outputs, target):
            return np.inf, super().forward(outputs, target)[1]

    images, labels = batch
    engines = engine_of(), engine_of(Broken())
    halts, results, forms = [], [], [engine.form(images, labels, whole=24, least=100) for engine in engines]
    while not results:
        now = []
        for form in forms:
            try:
                now.append(next(form))
            except StopIteration as end:
                results.append(end.value)
        if now and isinstance(now[0], Mean):
            now[0].array[:] = now[1].array[:] = (now[0].array + now[1].array) / 2
        halts.append(tuple(map(type, now)))
    assert [result.finite for result in results] == [True, False]
    assert halts[:3] == [(Mean, Mean)] * 3  # none of the backward pass
    assert set(halts[3:-1]) == {(Final, Final), (Pause, Pause)}
    for engine in engines:
        assert not engine.gradient.any()
        assert not engine.model.statistics["bn1.running_mean"].any()
