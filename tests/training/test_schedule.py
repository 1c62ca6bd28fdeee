"""Learning rates, step by step."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rot180.errors import ArgumentError
from rot180.training import SCHEDULES, schedule


def rates(name: str, total: int, **options: float) -> list[float]:
    rate = schedule(name, 1.0, total, **options)
    return [rate(step) for step in range(total)]


def test_constant() -> None:
    assert rates("constant", 4) == [1.0] * 4


def test_step_falls_by_thirds() -> None:
    assert rates("step", 6) == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert rates("step", 4, every=1, factor=0.5) == pytest.approx([1, 0.5, 0.25, 0.125])


def test_cosine_is_half_a_wave() -> None:
    assert rates("cosine", 4) == pytest.approx([(1 + math.cos(math.pi * t / 4)) / 2 for t in range(4)])
    rate = schedule("cosine", 2.0, 10, floor=0.1)
    assert (rate(0), rate(5), rate(10), rate(99)) == pytest.approx((2.0, 1.1, 0.2, 0.2))


def test_one_cycle_passes_its_three_points() -> None:
    rate = schedule("one-cycle", 1.0, 100)
    assert (rate(0), rate(29), rate(99), rate(500)) == pytest.approx((1 / 25, 1.0, 1 / 250_000, 1 / 250_000))
    assert rate(64) == pytest.approx((1 + 1 / 250_000) / 2)


# From torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=total), PyTorch's defaults.
ONE_CYCLE = {
    1: [4e-06],
    2: [0.8117457, 4e-06],
    3: [0.9944154, 0.4626371, 4e-06],
    4: [0.04, 0.8117457, 0.283061, 4e-06],
    5: [0.04, 0.9504846, 0.611262, 0.1882583, 4e-06],
}


@pytest.mark.parametrize("total", ONE_CYCLE)
def test_one_cycle_has_the_rates_of_its_reference(total: int) -> None:
    assert rates("one-cycle", total) == pytest.approx(ONE_CYCLE[total], rel=1e-5)


def test_warm_up_climbs_in_equal_steps() -> None:
    assert rates("constant", 6, warmup=4) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])
    assert rates("constant", 6, warmup=0.7) == rates("constant", 6, warmup=4)
    assert rates("cosine", 8, warmup=4)[3:] == pytest.approx([1, *rates("cosine", 4)])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(name=st.sampled_from(sorted(SCHEDULES)), total=st.integers(1, 50), step=st.integers(0, 100))
def test_no_rate_leaves_its_bounds(name: str, total: int, step: int) -> None:
    assert 0 <= schedule(name, 0.3, total)(step) <= 0.3 * (1 + 1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: schedule("cosin", 1.0, 9), r"unknown schedule 'cosin'; did you mean 'cosine'\?"),
        (lambda: schedule("step", 1.0, 9, evry=3), r"schedule step has no argument 'evry'; did you mean 'every'\?"),
        (lambda: schedule("step", 1.0, 9, every=0), "every must be a whole number of steps"),
        (lambda: schedule("constant", 1.0, 9, warmup=9), "less than the total of 9, or a share below 1.0; it is 9"),
        (lambda: schedule("constant", 1.0, 9, warmup=-1), "from 0 to less"),
        (lambda: schedule("constant", 1.0, 9, warmup=1.0), "a share below 1.0; it is 1.0"),
        (lambda: schedule("one-cycle", 1.0, 9, warmup=2), "includes its own warm-up"),
    ],
)
def test_what_cannot_be_used_is_said(call, message) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()
