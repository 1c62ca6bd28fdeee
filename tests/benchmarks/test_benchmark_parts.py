"""The parts of the benchmarks that decide what the numbers mean, without a peer or a clock."""

from __future__ import annotations

import doctest
import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

import rot180

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def part(monkeypatch):
    """Import a file of benchmarks/, whose files import each other by bare names."""
    monkeypatch.syspath_prepend(FOLDER)
    before = set(sys.modules)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(FOLDER)):
            del sys.modules[name]


def test_named_models_are_the_projects_own(part):
    workloads = part("workloads")
    named = {"cnn-32-64-512": workloads.CNN, "lenet5": workloads.LENET5, "cnn-8-16": workloads.CNN_SMALL}
    assert named == {name: rot180.MODELS[name] for name in named}


def test_workloads_fit_the_networks_that_are_built_from_them(part):
    for workload in part("workloads").WORKLOADS[3:7]:
        model = rot180.network(workload.notation).build(seed=0)
        shapes = {name: value.shape for name, value in workload.weights().items()}
        assert shapes == {name: value.shape for name, value in model.parameters.items()}


def test_published_networks_are_named_models_and_asked_for_by_name(part):
    deep, chosen = part("deep"), part("compare").chosen
    assert {work.model for work in (*deep.DEEP, deep.MEMORY)} <= set(rot180.MODELS)
    assert not any(chosen(["steps", "b16", "resnet18"], "deep", work.name) for work in deep.DEEP)
    assert sum(chosen(["deep-infer"], "deep", work.name) for work in deep.DEEP) == 6


def test_unknown_words_are_refused(part):
    with pytest.raises(ValueError, match="cannot read 'dropout'"):
        part("workloads").read_layers("8x8x1 > dropout > fc10")


def test_multiply_adds_leave_out_the_first_data_gradient(part):
    workload = part("workloads").Workload("tiny", "train", "4x4x1 > conv3x3:2 > fc3", batch=5)
    assert workload.multiply_adds() == 5 * (2 * (9 * 2 * 4) + 3 * (8 * 3))


@pytest.mark.parametrize("name", ["workloads", "rounds", "steps", "passes", "report", "compare", "kinks"])
def test_examples_run(part, name):
    assert doctest.testmod(part(name)).failed == 0


def test_ratio_is_taken_against_the_fastest_peer(part):
    found = part("steps").best_peer(
        {"rot180": [1.0, 1.0], "rot180 numpy": [0.1, 0.1], "torch": [3.0, 3.0], "jax": [2.0, 4.0]}
    )
    assert (found["best_peer"], found["ratio"]) == ("torch", 3.0)


def test_a_ledger_entry_has_machine_commit_trials_and_ratio(part):
    report = part("report")
    summary = {"median_ms": 2.0, "quartile1_ms": 1.9, "quartile3_ms": 2.1, "cores": 2.0, "images_per_second": 16000.0}
    work = {
        "name": "train", "threads": 2, "batch": 32, "multiply_adds": 10**9, "target": 2.0,
        "contenders": {"rot180": summary, "torch": {**summary, "median_ms": 5.0}},
        "faults": {"jax": "ImportError: none"}, "largest_difference": {"rot180": 1e-7},
        "best_peer": "torch", "ratio": 2.5, "ratio_quartiles": [2.4, 2.6],
    }  # fmt: skip
    speed = dict.fromkeys(
        ("peak_one_core_gflops", "peak_all_cores_gflops", "triad_gbytes", "copy_gbytes", "threads"), 2.0
    )
    result = {
        "date": "2026-01-01", "commit": "abc1234", "versions": {"torch": "2"}, "works": [work], "passes": [],
        "machine": {"processor": "P", "llvm_cpu": "znver5", "cores": 2, "system": "Linux", "python": "3.11"},
        "settings": {"trials": 11, "turn_seconds": 0.3, "cores_busy_otherwise": 0.0},
        "speed": speed, "startup": {}, "memory": None,
        "peaks": {"name": "net", "peaks": {"rot180": 2e8, "torch": 3e8, "torch channels_last": 2.5e8}, "faults": {}},
    }  # fmt: skip
    ledger = report.insert_entry("# Ledger\n\nText.\n\n## older\n", report.ledger_entry(result))
    for piece in (
        "## 2026-01-01, commit abc1234",
        "11 trials",
        "2.50 (2.40-2.60) | 2.0 | yes",
        "not run: ImportError",
        "| 2 | 2 (1.9-2.1) | 50000% | torch |",
        "| peak of memory, net | 200 MB | 250 MB (torch channels_last) | yes |",
    ):
        assert piece in ledger
    assert ledger.index("abc1234") < ledger.index("## older")


def test_all_works_that_are_asked_for_are_measured(part, capsys):
    parse = part("compare").parse
    assert parse(["--work", "steps", "lenet5", "--work", "startup"]).work == ["steps", "lenet5", "startup"]
    assert parse(["--work", "deep-infer", "deep"]).work == ["deep-infer", "deep"]
    assert parse([]).work == ["steps", "passes", "startup", "memory"]
    with pytest.raises(SystemExit):
        parse(["--work", "steps", "--work", "lenet6"])
    assert "--work: nothing is called 'lenet6'; --list prints the names" in capsys.readouterr().err
