"""How much of delta flows where is known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

import rot180
from rot180.inside.explain import Trace
from rot180.inside.rivers import river


def test_a_pool_keeps_delta_from_the_pixels_that_lost() -> None:
    model = rot180.network("4x4x1 > maxpool2 > fc3").build(seed=0)
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    pool = next(bed for bed in river(Trace(model, image, 0)) if bed.kind == "MaxPool2d")
    assert pool.closed == 12 / 16
    assert pool.passed == pytest.approx(pool.delta)


def test_a_closed_gate_and_a_dead_filter_are_told() -> None:
    model = rot180.network("6x6x1 > conv3x3:4:same relu > fc3").build(seed=1)
    model.parameters["conv1.bias"][:] = [-99, 99, 99, 99]
    beds = {bed.layer: bed for bed in river(Trace(model, np.full((6, 6, 1), 200, np.uint8), 1))}
    assert beds["relu1"].closed == pytest.approx(0.25)
    assert (beds["conv1"].maps, beds["conv1"].dry) == (4, 1)
    assert (beds["relu1"].maps, beds["relu1"].dry) == (4, 0)
    assert beds["relu1"].passed < beds["relu1"].delta


def test_the_norms_are_those_of_the_pass_also_with_branches() -> None:
    model = rot180.network("6x6x2 > ( conv3x3:2:same relu + skip ) > fc3").build(seed=1)
    trace = Trace(model, np.full((6, 6, 2), 200, np.uint8), 1)
    beds = river(trace)
    assert [bed.layer for bed in beds] == [layer.name for layer in reversed(model.layers)]
    for place, bed in enumerate(reversed(beds)):
        assert bed.delta == pytest.approx(np.linalg.norm(trace.deltas[place + 1]), rel=1e-6)
    add = next(bed for bed in beds if bed.kind == "Add")
    assert add.passed == pytest.approx(np.sqrt(2) * add.delta)
