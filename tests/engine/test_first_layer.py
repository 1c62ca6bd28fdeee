"""Pooled convolutions with few channels: windows that share registers, sums of 2x2 windows, gradients without lists."""

from __future__ import annotations

import numpy as np
import pytest
from agreement import compare, passed
from hypothesis import given, settings
from hypothesis import strategies as st

from rot180.engine.threads import set_threads, threads

GRAY = "28x28x1 > conv5x5:8 relu maxpool2 > fc10"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "text",
    [
        GRAY,
        "12x12x1 > conv5x5:4:same relu maxpool2 > fc3",  # four windows share a register
        "12x13x1 > conv3x3:6 maxpool2 relu > fc3",
        "11x14x1 > conv3x3:5:same:nobias maxpool2 > fc3",
        "14x14x1 > conv5x5:32:same relu maxpool2 > fc3",
        "10x12x3 > conv3x3:33 relu maxpool2 > fc3",
        "15x17x2 > conv3x5:7:s2 relu maxpool2 > fc3",
        "19x17x1 > conv3x3:9:d2x1 relu maxpool2 > fc3",
        "12x15x1 > conv4x4:8 relu maxpool3 > fc3",
        "20x20x1 > conv7x7:8 relu maxpool2 > fc3",
        "20x20x6 > conv3x3:8 relu maxpool2 > fc3",
        "16x16x1 > conv3x3:8:same relu maxpool2 > conv3x3:8:same relu maxpool2 > fc3",
    ],
)
def test_engines_agree(text: str, dtype: str) -> None:
    compare(text, (3, 10, 3), dtype=dtype)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_drawn_geometries_agree(data: st.DataObject) -> None:
    def draw(least: int, most: int) -> int:
        return data.draw(st.integers(least, most))

    size, taps = f"{draw(9, 20)}x{draw(9, 20)}x{draw(1, 4)}", f"{draw(1, 6)}x{draw(1, 6)}"
    padding = data.draw(st.sampled_from(["", ":same", ":pad1"]))
    pool = data.draw(st.sampled_from(["maxpool2", "maxpool2", "maxpool2x3", "maxpool3"]))
    compare(f"{size} > conv{taps}:{draw(1, 40)}{padding} relu {pool} > fc2", (draw(1, 20),))


def gradients(count: int) -> dict[str, np.ndarray]:
    plan, found = passed(GRAY, count)
    assert not any(step.does == "list winners" for step in plan.backward)
    return found


def test_bits_do_not_depend_on_the_threads() -> None:
    before = threads()
    try:
        set_threads(1)
        alone = gradients(21)
        set_threads(None)
        together = gradients(21)
    finally:
        set_threads(before)
    for name, array in alone.items():
        np.testing.assert_array_equal(together[name], array)
