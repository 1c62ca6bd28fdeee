"""The data gradient below a pooled convolution with few weights, window by window instead of from lists of winners."""

from __future__ import annotations

import numpy as np
import pytest
from agreement import compare, passed
from hypothesis import given, settings
from hypothesis import strategies as st

from rot180.engine.threads import set_threads, threads
from rot180.kernels import winner_calls
from rot180.kernels.winners import scatter_winners, spread_windows

SMALL = "24x22x3 > conv3x3:8:same > conv5x5:8:nobias relu maxpool2 > fc5"


def gradients(text: str, count: int, dtype: type = np.float32) -> tuple[dict[str, np.ndarray], set[object]]:
    """Return the gradients of a batch, and the kernels of the backward pass."""
    plan, found = passed(text, count, dtype)
    return found, {step.call for step in plan.backward}


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_drawn_geometries_agree(data: st.DataObject) -> None:
    def draw(least: int, most: int) -> int:
        return data.draw(st.integers(least, most))

    taps, step = f"{draw(1, 5)}x{draw(1, 7)}", data.draw(st.sampled_from(["", "", ":s2"]))
    padding, pool = (
        data.draw(st.sampled_from(["", ":same", ":pad1"])),
        data.draw(st.sampled_from(["2", "2", "3", "2x3"])),
    )
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    size = f"{draw(16, 24)}x{draw(18, 26)}x{draw(1, 2)}"
    text = f"{size} > conv3x3:{draw(1, 20)} > conv{taps}:{draw(1, 20)}{padding}{step} relu maxpool{pool} > fc2"
    compare(text, (draw(1, 9),), dtype=dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_windows_and_lists_agree(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    by_window, kernels = gradients(SMALL, 9, dtype)
    assert spread_windows in kernels
    assert scatter_winners not in kernels
    monkeypatch.setattr(winner_calls, "CACHED_FRAMES", 0)
    by_list, kernels = gradients(SMALL, 9, dtype)
    assert scatter_winners in kernels
    for name, array in by_window.items():
        np.testing.assert_allclose(by_list[name], array, rtol=0, atol=300 * np.finfo(dtype).eps * np.abs(array).max())


def test_bits_depend_neither_on_threads_nor_on_groups_of_images() -> None:
    before = threads()
    try:
        set_threads(1)
        _, alone = passed(SMALL, 21, threads=1)
        set_threads(None)
        _, together = passed(SMALL, 21, threads=2)
    finally:
        set_threads(before)
    for name, array in alone.items():
        np.testing.assert_array_equal(together[name], array)
