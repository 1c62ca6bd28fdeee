"""The number of threads follows what is faster, at little cost for trying, and never the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Thread

import numpy as np
import pytest
from agreement import batches, built, momentum

import rot180
from rot180.engine import make_engine, threads
from rot180.engine.governor import Governor
from rot180.errors import ArgumentError
from rot180.kernels.launching import most_threads, threads_in_use
from rot180.nn.loss import CrossEntropyLoss


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(threads, "_threads", None)
    yield
    rot180.set_threads(None)


class Machine:
    """Time that passes as fast as the test says; counts the seconds of either number of threads."""

    def __init__(self, most: int) -> None:
        self.now = 0.0
        self.governor = Governor(most, lambda: self.now)
        self.spent = dict.fromkeys((1, most), 0.0)

    def run(self, seconds: Callable[[int], float], until: float) -> dict[int, float]:
        self.spent = dict.fromkeys(self.spent, 0.0)
        while self.now < until:
            count = self.governor.threads("plan")
            self.now += seconds(count)
            self.governor.took("plan", count, seconds(count))
            self.spent[count] += seconds(count)
        return self.spent


def test_a_quiet_machine_uses_all_cores() -> None:
    spent = Machine(4).run(lambda count: 0.004 / count, 10)
    assert spent[1] < 0.1


def test_a_busy_core_costs_little_and_is_noticed_when_it_is_free_again() -> None:
    machine = Machine(2)
    machine.run(lambda count: 0.0013 if count == 2 else 0.002, 5)
    spent = machine.run(lambda count: 0.3 if count == 2 else 0.004, 65)
    assert spent[2] < 4
    spent = machine.run(lambda count: 0.0013 if count == 2 else 0.002, 125)
    assert spent[1] < 16  # until the next try, 15 s after the last one that was slow


def test_one_slow_step_does_not_last() -> None:
    machine = Machine(2)
    slow = iter([0.05])
    machine.run(lambda count: 0.0013 if count == 2 else 0.002, 5)
    machine.run(lambda count: next(slow, 0.0013) if count == 2 else 0.002, 5.01)
    spent = machine.run(lambda count: 0.0013 if count == 2 else 0.002, 10)
    assert spent[1] < 0.3


def test_a_try_that_met_a_slow_moment_is_repeated_soon() -> None:
    machine = Machine(2)
    slow = iter([0.2, 0.2])
    spent = machine.run(lambda count: next(slow, 0.0013) if count == 2 else 0.002, 20)
    assert spent[1] < 3


def test_what_is_too_small_to_share_runs_on_one_core() -> None:
    spent = Machine(16).run(lambda count: 0.0001 if count > 1 else 0.00005, 10)
    assert spent[16] < 0.01


def test_plans_that_no_longer_come_are_forgotten() -> None:
    governor = Governor(2)
    for plan in range(1000):
        governor.took(plan, governor.threads(plan), 1.0)
    assert len(governor._known) < 100


def test_each_plan_has_its_own_best() -> None:
    governor, spent = Governor(4), {1: 0, 4: 0}
    for _ in range(100):
        for plan, seconds in (("large", {1: 0.4, 4: 0.1}), ("small", {1: 0.1, 4: 0.4})):
            count = governor.threads(plan)
            governor.took(plan, count, seconds[count])
            spent[count] += seconds[count] > 0.1
    assert sum(spent.values()) < 8


def test_the_users_choice_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    rot180.set_threads(1)
    assert rot180.threads() == 1
    model = built("5x5x1 > conv3x3:4 relu > fc3", np.float32)
    engine = make_engine("compiled", model, CrossEntropyLoss())
    ((images, labels),) = batches(model, [4])

    def run(found: list[int]) -> None:  # a new thread starts with all cores
        found.append(threads_in_use())
        engine.train_step(images, labels, momentum())
        found.append(threads_in_use())

    for _ in range(10):
        found: list[int] = []
        thread = Thread(target=run, args=(found,))
        thread.start()
        thread.join()
        assert found == [most_threads(), 1]


def test_the_engines_choice_is_not_the_threads() -> None:
    most = most_threads()
    model = built("5x5x1 > conv3x3:4 relu > fc3", np.float32)
    engine = make_engine("compiled", model, CrossEntropyLoss())
    ((images, _),) = batches(model, [1])
    for _ in range(300):  # one core or all: both are tried, and the faster one stays
        engine.forward(images)
        assert threads_in_use() == most


@pytest.mark.parametrize("count", [0, -1, 10_000, 1.0, True, "2"])
def test_a_number_that_cannot_be(count: object) -> None:
    with pytest.raises(ArgumentError, match="threads must be an integer from 1 to"):
        rot180.set_threads(count)  # type: ignore[arg-type]
