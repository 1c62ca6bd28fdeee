"""The compiled engine's step is predicted from its plan, and a busy machine is told from an idle one."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

import rot180
from rot180.cli import main
from rot180.errors import ArgumentError
from rot180.inside import compiled_cost
from rot180.inside.busy import BUSY, share_of_others, warning
from rot180.inside.compiled_cost import _Measured, _predicted

TEXT = "14x14x1 > conv3x3:12:same relu maxpool2 > conv3x3:20 tanh avgpool2 > fc30 relu > fc10"


def step(does: str, multiply_adds: int, touched: int) -> SimpleNamespace:
    return SimpleNamespace(does=does, multiply_adds=multiply_adds, bytes=touched)


def test_a_step_is_predicted_from_the_most_similar_ones_of_its_kind() -> None:
    from math import log

    known = {
        "multiply": [_Measured(log(1e6), log(1e4), 1e-3), _Measured(log(1e8), log(1e6), 50e-3)],
        "gate": [_Measured(log(1e5), log(1e5), 1e-4)],
    }
    assert _predicted(step("multiply", 10**6, 10**4), known) == pytest.approx(1e-3, rel=0.1)
    assert _predicted(step("multiply", 10**8, 10**6), known) == pytest.approx(50e-3, rel=0.1)
    assert 1e-3 < _predicted(step("multiply", 10**7, 10**5), known) < 50e-3
    assert _predicted(step("gate", 0, 2 * 10**5), known) == pytest.approx(2e-4, rel=0.05)
    # A kind that was not measured goes as fast as what moves or multiplies as much.
    assert _predicted(step("share delta", 0, 10**5), known) == pytest.approx(1e-4, rel=0.05)


def test_every_step_of_the_plan_is_predicted_and_measured() -> None:
    """A wide bound that holds on a busy machine too; benchmarks/cost.py holds whole steps to a factor of 1.5."""
    model = rot180.network(TEXT)
    found = compiled_cost(model, 8, measure=True)
    assert not model.is_built
    assert [one.step for one in found.steps[:2]] == ["pack weights", "convolve and pool"]
    assert {one.is_forward for one in found.steps} == {True, False}
    assert all(one.predicted > 0 and one.measured for one in found.steps)
    assert found.predicted_total == pytest.approx(found.beside + sum(one.predicted for one in found.steps))
    assert found.measured_total
    assert 1 / 8 < found.predicted_total / found.measured_total < 8
    assert found.to_dict()["predicted_total"] == found.predicted_total


class Doubled(rot180.nn.Layer):
    def forward(self, x, *, training=False, generator=None):
        return 2 * x, None

    def backward(self, dy, saved, *, needs_dx=True):
        return 2 * dy, {}


@pytest.mark.filterwarnings("ignore:own. Doubled has no compiled kernel")
def test_a_layer_that_runs_in_numpy_is_measured_and_not_predicted() -> None:
    model = rot180.Sequential([rot180.Linear(4), Doubled(name="own")], input_shape=(6,))
    found = compiled_cost(model, 2, measure=True)
    assert (found.predicted_total, found.unknown) == (None, ("own",))
    assert found.measured_total
    assert {one.layers for one in found.steps if one.predicted is None} == {"own"}
    assert all(one.measured for one in found.steps)


def test_the_command_tells_of_both_engines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", TEXT, "--batch-size", "8"]) == 0
    said = capsys.readouterr().out
    assert "numpy engine" in said
    assert "compiled engine, a training step: predicted" in said
    assert main(["cost", TEXT, "--batch-size", "8", "--engine", "compiled"]) == 0
    assert "convolve and pool" in capsys.readouterr().out
    assert main(["cost", TEXT, "--engine", "compild"]) == 2
    assert "--engine must be numpy, compiled or both; it is 'compild'" in capsys.readouterr().err
    with pytest.raises(ArgumentError, match="batch_size must be an int, at least 1; it is 0"):
        compiled_cost(rot180.network(TEXT), 0)


def test_a_busy_machine_is_noticed() -> None:
    """Others are imitated by threads of this process: what one of them gets, the measuring threads do not."""
    import hashlib

    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            hashlib.sha256(bytes(2**20)).digest()

    others = [threading.Thread(target=work) for _ in range(16)]
    for thread in others:
        thread.start()
    try:
        busy = max(share_of_others() for _ in range(3))
    finally:
        stop.set()
        for thread in others:
            thread.join()
    assert busy > BUSY
    assert "other programs use" in warning(busy)
    assert warning(BUSY / 2) == ""
