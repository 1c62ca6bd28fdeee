"""The loss around a number: its slope there is the gradient, and gates and winners are counted."""

from __future__ import annotations

import numpy as np
import pytest

import rot180
from rot180.errors import ArgumentError
from rot180.inside.explain import Trace
from rot180.inside.nudging import nudge


def _trace() -> Trace:
    model = rot180.network("8x8x1 > conv3x3:4 bn relu maxpool2 > ( conv3x3:4:same + skip ) > fc5").build(seed=3)
    return Trace(model, np.random.default_rng(2).integers(256, size=(8, 8, 1), dtype=np.uint8), 2)


@pytest.mark.parametrize("at", ["image[3,4,0]", "conv1.weight[1,0,0,2]", "bn1.weight[1]", "fc1.bias[2]"])
def test_the_slope_is_the_gradient_and_the_middle_is_the_loss(at: str) -> None:
    trace = _trace()
    found = nudge(trace, at)
    assert found.cell == at
    assert found.central == pytest.approx(found.gradient, rel=1e-3, abs=1e-6)
    assert found.values[20] == found.value
    assert found.losses[20] == pytest.approx(trace.loss_value, rel=1e-5)
    assert found.switched[20] == 0


def test_a_gate_that_closes_is_counted_and_the_loss_is_flat_behind_it() -> None:
    model = rot180.network("1x1x1 > conv1x1:1 relu > fc2:nobias").build(seed=0)
    model.parameters["conv1.weight"][:] = 1
    model.parameters["fc1.weight"][:] = [[1, -1]]
    found = nudge(Trace(model, np.ones((1, 1, 1), np.float32), 0), "conv1.bias[0]", reach=2)
    closed = [loss for loss, count in zip(found.losses, found.switched, strict=True) if count]
    assert len(closed) == 11  # all biases of at most -1
    assert max(closed) - min(closed) < 1e-12


def test_what_the_network_computes_cannot_be_set() -> None:
    for at in ("conv1.output[0,0,0]", "loss", "conv1.weight.grad[0,0,0,0]"):
        with pytest.raises(ArgumentError, match="nudge changes a pixel or a parameter"):
            nudge(_trace(), at)
