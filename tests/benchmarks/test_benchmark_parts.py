"""The parts of the benchmarks that decide what the numbers mean, without a peer or a clock."""

from __future__ import annotations

import doctest
import importlib
import json
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
    assert {work.model for work in (*deep.DEEP, deep.MEMORY)} - set(rot180.MODELS) == {"photographs"}
    assert not any(chosen(["steps", "b16", "resnet18"], "deep", work.name) for work in deep.DEEP)
    assert sum(chosen(["deep-infer"], "deep", work.name) for work in deep.DEEP) == 7


def test_unknown_words_are_refused(part):
    with pytest.raises(ValueError, match="cannot read 'dropout'"):
        part("workloads").read_layers("8x8x1 > dropout > fc10")


def test_multiply_adds_leave_out_the_first_data_gradient(part):
    workload = part("workloads").Workload("tiny", "train", "4x4x1 > conv3x3:2 > fc3", batch=5)
    assert workload.multiply_adds() == 5 * (2 * (9 * 2 * 4) + 3 * (8 * 3))


@pytest.mark.parametrize("name", ["workloads", "rounds", "steps", "passes", "report", "ledger", "compare", "kinks"])
def test_examples_run(part, name):
    assert doctest.testmod(part(name)).failed == 0


def test_ratio_is_taken_against_the_fastest_peer(part):
    found = part("steps").best_peer(
        {"rot180": [1.0, 1.0], "rot180 numpy": [0.1, 0.1], "torch": [3.0, 3.0], "jax": [2.0, 4.0]}
    )
    assert (found["best_peer"], found["ratio"]) == ("torch", 3.0)


@pytest.mark.parametrize("pass_name", ["forward", "data", "weights"])
@pytest.mark.parametrize("size", [3, 5])
def test_every_pass_is_one_that_multiplies(part, size, pass_name):
    """The passes are found among the engine's steps by what these do."""
    job = part("workloads").ConvPass(2, 8, 8, 16, 16, size, pass_name)
    part("ours").conv_pass(job, 1)()


def run_of(**parts):
    """Return a result of a run that measured these parts alone."""
    speed = dict.fromkeys(
        ("peak_one_core_gflops", "peak_all_cores_gflops", "triad_gbytes", "copy_gbytes", "threads"), 2.0
    )
    return {
        "date": "2026-01-01", "commit": "abc1234", "versions": {"torch": "2"}, "works": [], "passes": [],
        "machine": {"processor": "P", "llvm_cpu": "znver5", "cores": 2, "system": "Linux", "python": "3.11"},
        "settings": {"trials": 11, "turn_seconds": 0.3, "cores_busy_otherwise": 0.0},
        "speed": speed, "startup": {}, "launches": None, "memory": None, "peaks": None, **parts,
    }  # fmt: skip


def work_of(name, seconds=2.0):
    """Return what was measured of one workload."""
    summary = {"median_ms": seconds, "quartile1_ms": 1.9, "quartile3_ms": 2.1, "cores": 2.0, "images_per_second": 160.0}
    return {
        "name": name, "threads": 2, "batch": 32, "multiply_adds": 10**9, "target": 2.0,
        "contenders": {"rot180": summary, "torch": {**summary, "median_ms": 5.0}},
        "faults": {"jax": "ImportError: none"}, "largest_difference": {"rot180": 1e-7},
        "best_peer": "torch", "ratio": 2.5, "ratio_quartiles": [2.4, 2.6],
    }  # fmt: skip


def test_a_section_of_the_ledger_has_machine_commit_trials_and_ratio(part):
    peaks = {"name": "net", "peaks": {"rot180": 2e8, "torch": 3e8, "torch channels_last": 2.5e8}, "faults": {}}
    launches = {
        "threads": 2, "target": 1.3, "microseconds": {"rot180": 0.5, "omp": 2.0, "workqueue": 9.0}, "faults": {},
    }  # fmt: skip
    run = run_of(works=[work_of("train")], peaks=peaks, launches=launches)
    section = part("ledger").section("P, 2 cores, Linux", [run])
    for piece in (
        "## P, 2 cores, Linux\n\n### 2026-01-01, commit abc1234",
        "11 trials",
        "2.50 (2.40-2.60) | 2.0 | yes",
        "not run: ImportError",
        "| 2 | 2 (1.9-2.1) | 50000%* | torch |",
        "| peak of memory, net | 200 MB | 250 MB (torch channels_last) | yes |",
        "nothing, 2 threads | 0.50 us (Numba's work queue: 9.00 us) | 1.3 times OpenMP's 2.00 us | yes |",
    ):
        assert piece in section


def test_a_run_replaces_what_it_measures_again_on_its_kind_of_machine(part, tmp_path, monkeypatch):
    ledger = part("ledger")
    monkeypatch.setattr(ledger, "DATA", tmp_path / "benchmarks.json")
    monkeypatch.setattr(ledger, "PAGE", tmp_path / "benchmarks.md")
    ledger.PAGE.write_text("# Ledger\n\nText.\n\n## Other\n\nKept.\n")
    other = {**run_of(works=[work_of("one")]), "machine": {**run_of()["machine"], "processor": "Q"}}
    for run in (
        run_of(works=[work_of("one", 7.0), work_of("two", 8.0)]),
        other,
        {**run_of(works=[work_of("one", 3.0)]), "commit": "def5678"},
    ):
        ledger.add(run)
    page = ledger.PAGE.read_text()
    assert [line for line in page.splitlines() if line.startswith(("## ", "### "))] == [
        "## Q, 2 cores, Linux", "### 2026-01-01, commit abc1234",
        "## P, 2 cores, Linux", "### 2026-01-01, commit def5678", "### 2026-01-01, commit abc1234",
        "## Other",
    ]  # fmt: skip
    assert page.startswith("# Ledger\n\nText.\n")
    assert page.endswith("## Other\n\nKept.\n")
    assert "| one | 2 | 3 (" in page
    assert "| two | 2 | 8 (" in page
    assert "| 7 (" not in page


def test_the_ledger_is_what_its_data_say(part):
    ledger = part("ledger")
    page = ledger.PAGE.read_text("utf-8")
    for kind, runs in json.loads(ledger.DATA.read_text("utf-8")).items():
        assert ledger.section(kind, runs) in page


def test_all_works_that_are_asked_for_are_measured(part, capsys):
    parse = part("compare").parse
    assert parse(["--work", "steps", "lenet5", "--work", "startup"]).work == ["steps", "lenet5", "startup"]
    assert parse(["--work", "deep-infer", "deep"]).work == ["deep-infer", "deep"]
    assert parse([]).work == ["steps", "passes", "startup", "launches", "memory"]
    with pytest.raises(SystemExit):
        parse(["--work", "steps", "--work", "lenet6"])
    assert "--work: nothing is called 'lenet6'; --list prints the names" in capsys.readouterr().err
