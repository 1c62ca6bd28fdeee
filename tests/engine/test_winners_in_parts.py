"""Backward through max pooling and convolution, part by part of a batch: a part ends where the caches do."""

from __future__ import annotations

import numpy as np
import pytest
from agreement import built, passed

from rot180.engine.planning import make_plan
from rot180.kernels import winner_calls

POOLED = "20x18x4 > conv5x5:8:same maxpool2 relu > conv5x5:20:same:nobias relu maxpool2 > fc3"


def gradients(count: int, dtype: type) -> tuple[dict[str, np.ndarray], list[int]]:
    """Return the gradients of a batch, and how many images each list of winners has."""
    plan, found = passed(POOLED, count, dtype)
    return found, [len(next(step.arrays)) for step in plan.backward if step.does == "list winners"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parts_have_the_bits_of_the_whole(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, images = gradients(7, dtype)
    assert images == [7, 7]
    monkeypatch.setattr(winner_calls, "CACHED_PART", 1)
    apart, images = gradients(7, dtype)
    assert images == [1] * 14
    monkeypatch.setattr(winner_calls, "CACHED_PART", 3 * 20 * 18 * 8 * np.dtype(dtype).itemsize)
    uneven, images = gradients(7, dtype)
    assert len(images) > 2
    assert sum(images) == 14
    for name, gradient in whole.items():
        np.testing.assert_array_equal(apart[name], gradient)
        np.testing.assert_array_equal(uneven[name], gradient)


def test_multiply_adds_of_parts_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def total() -> int:
        model = built(POOLED, np.float32)
        wanted = {name: np.empty_like(array) for name, array in model.parameters.items()}
        return make_plan(model, 6, training=True, threads=1, gradients=wanted).multiply_adds

    whole = total()
    monkeypatch.setattr(winner_calls, "CACHED_PART", 1)
    assert total() == whole
