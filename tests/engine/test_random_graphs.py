"""A short form of benchmarks/random_graphs.py, and what it notices."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from rot180.nn import Network, network

pytestmark = pytest.mark.filterwarnings("ignore:.*runs in NumPy")

GATED = "4x3x2 > conv3x3:4:same:nobias bn relu ( skip * gap fc4 sigmoid ) > fc5"


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("random_graphs")


@pytest.mark.parametrize("seed", range(500, 508))
def test_drawn_graphs(graphs: ModuleType, seed: int) -> None:
    text = str(graphs.draw(seed))
    assert not graphs.faults(text), text


def test_what_is_drawn(graphs: ModuleType) -> None:
    models = [graphs.draw(seed) for seed in range(150)]
    kinds = {type(layer).__name__ for model in models for layer in model.layers}
    assert len(kinds) >= 32
    texts = [str(model) for model in models]
    assert 30 < sum(";" in text for text in texts) < 120  # lists, and series and parallel parts
    assert any(sum(-1 in reads for _, reads in model.nodes) > 2 for model in models)
    assert all(str(network(text)) == text for text in texts)


def test_faults_are_noticed(graphs: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not graphs.faults(GATED)
    monkeypatch.setattr("rot180.nn.joins.multiply_backward", lambda dy, x, gate: (dy * gate[:, None, None], 0 * gate))
    assert any(line.startswith("float64, gradient of fc1.weight: off by") for line in graphs.faults(GATED))
    monkeypatch.undo()
    monkeypatch.setattr(Network, "learn", lambda *_: None)  # of the reference; plans have their own
    assert any("bn1.running_mean: off by" in line for line in graphs.faults(GATED))
