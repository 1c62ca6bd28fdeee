"""The walk that everything uses: what it visits, in which order, and what it lets go of."""

from __future__ import annotations

import weakref
from itertools import pairwise

import numpy as np
import pytest

from rot180.errors import ShapeError
from rot180.nn import Layer, Sequential, network
from rot180.nn.walk import backward_passes

X = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype(np.float32)
FROZEN_BEGIN = "8x8x1 > relu avgpool2 > conv3x3:2 relu > fc4 tanh"


def built() -> Sequential:
    return network(FROZEN_BEGIN).build(seed=0)


def test_each_input_is_the_output_before() -> None:
    model = built()
    steps = list(model.walk(X))
    y, _ = model.forward(X)
    assert [step.layer for step in steps] == list(model.layers)
    assert [step.place for step in steps] == list(range(len(steps)))
    assert all(above.x is below.y for below, above in pairwise(steps))
    assert np.array_equal(steps[-1].y, y)
    assert np.array_equal(model(X), y)


@pytest.mark.parametrize("needs_dx", [False, True])
def test_the_way_back_ends_where_nothing_is_left_to_compute(needs_dx: bool) -> None:
    model = built()
    y, saved = model.forward(X)
    backs = list(model.walk_back(np.ones_like(y), saved, needs_dx=needs_dx))
    lowest = 0 if needs_dx else 2  # conv1; the layers below have no parameters
    assert [one.runs for one in backward_passes(model.nodes)] == [False] * 2 + [True] * (len(model.layers) - 2)
    assert [back.place for back in backs] == list(range(len(model.layers)))[lowest:][::-1]
    assert [back.dx is None for back in backs] == [back.place == 2 and not needs_dx for back in backs]
    assert all(below.delta is above.dx for above, below in pairwise(backs))
    dx, gradients = model.backward(np.ones_like(y), saved, needs_dx=needs_dx)
    assert list(gradients) == list(model.parameters)
    merged = {name: gradient for back in backs for name, gradient in back.named_gradients.items()}
    assert all(np.array_equal(gradient, merged[name]) for name, gradient in gradients.items())
    assert (dx is None) is not needs_dx


def test_before_is_called_ahead_of_each_layer_with_what_enters() -> None:
    model, entered, left = built(), [], []
    for step in model.walk(X, before=lambda place, inputs: entered.append((place, inputs[0].shape))):
        left.append((step.place, step.x.shape))
        assert entered == left
    y, saved = model.forward(X)
    deltas: list[tuple[int, np.ndarray]] = []
    backs = list(model.walk_back(y, saved, before=lambda place, delta: deltas.append((place, delta))))
    assert [place for place, _ in deltas] == [back.place for back in backs]
    assert all(delta is back.delta for (_, delta), back in zip(deltas, backs, strict=True))


def test_what_nobody_keeps_is_freed_before_the_next_layer_runs() -> None:
    outputs: list[weakref.ref[np.ndarray]] = []

    class Watching(Layer):
        def forward(self, x, *, training=False, generator=None):
            assert [ref() is not None for ref in outputs] == [False] * (len(outputs) - 1) + [True] * bool(outputs)
            y = x + 1
            outputs.append(weakref.ref(y))
            return y, None

        def backward(self, dy, saved, *, needs_dx=True):
            return self.forward(dy)[0] if needs_dx else None, {}

    model = Sequential([Watching() for _ in range(5)], input_shape=(8, 8, 1)).build(seed=0)
    model(X)
    assert len(outputs) == 5
    outputs.clear()
    y, saved = model.forward(X, training=True)
    outputs.clear()
    model.backward(y, saved, needs_dx=True)
    assert len(outputs) == 5


def test_a_batch_that_does_not_fit_is_refused_before_the_first_layer() -> None:
    with pytest.raises(ShapeError, match=r"the network takes images \(N, 8, 8, 1\); got \(3, 8, 8, 2\)"):
        built().walk(np.zeros((3, 8, 8, 2), np.float32))
