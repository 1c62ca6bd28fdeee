"""Kernels compiled ahead of a plan, in several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rot180.engine import planning
from rot180.kernels import ahead
from rot180.nn import Linear, Sequential

COLD = """
from rot180.kernels import ahead
from rot180.nn import Linear, Sequential
tasks = ["rot180.kernels.folding pack_kernel_rows f4:4 f4:4", "rot180.kernels.clearing clear f4:4",
         "rot180.kernels.walk _gather f4"]
told = []
ahead.compile_ahead(tasks, lambda done, count: told.append((done, count)))
assert told == [(done, 3 + len(ahead.ALWAYS)) for done in range(4 + len(ahead.ALWAYS))], told
assert not any(map(ahead._is_missing, (*tasks, *ahead.ALWAYS)))
ahead.compile_ahead(tasks, lambda done, count: 1 / 0)
"""


def test_two_processes_fill_one_cache(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", COLD], check=True, env=environment, timeout=600)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What this process compiles of tasks that only have a name."""
    done: list[str] = []
    monkeypatch.setattr(ahead, "_is_missing", lambda task: True)
    monkeypatch.setattr(ahead, "_length", len)
    monkeypatch.setattr(ahead, "_compile", done.append)
    monkeypatch.setattr(ahead, "ALWAYS", [])
    return done


@pytest.mark.parametrize("executable", ["", "/no/such/python"])
def test_without_another_python_this_process_compiles_everything(
    executable: str, compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    tasks = [f"task{i}" for i in range(9)]
    told: list[int] = []
    ahead.compile_ahead(tasks, lambda done, count: told.append(done))
    assert compiled == tasks
    assert told == list(range(10))


def test_a_process_that_ends_at_once_takes_no_task(compiled: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = subprocess.PIPE
    ends = subprocess.Popen([sys.executable, "-c", ""], stdin=pipe, stdout=pipe, text=True)
    monkeypatch.setattr(ahead, "_start", lambda count: [ends])
    tasks = [f"task{i}" for i in range(9)]
    ahead.compile_ahead(tasks, lambda done, count: None)
    assert compiled == tasks


def test_an_interruption_ends_the_others(compiled: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(task: str) -> None:
        raise KeyboardInterrupt

    pipe = subprocess.PIPE
    waits = subprocess.Popen([sys.executable, "-c", "input()"], stdin=pipe, stdout=pipe, text=True)
    monkeypatch.setattr(ahead, "_start", lambda count: [waits])
    monkeypatch.setattr(ahead, "_compile", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ahead.compile_ahead(["one", "two"], lambda done, count: None)
    assert waits.poll() is not None


def test_a_process_that_may_start_no_other_compiles_alone(compiled, monkeypatch):
    monkeypatch.setattr(ahead, "_start", lambda count: pytest.fail("started a process"))
    tasks = [f"task{i}" for i in range(9)]
    ahead.compile_ahead(tasks, lambda done, count: None, may_start=False)
    assert compiled == tasks


@pytest.mark.parametrize("mpi_runs", [False, True])
def test_a_plan_starts_no_process_once_mpi_runs(mpi_runs, monkeypatch):
    given = []
    monkeypatch.setattr(planning, "compile_ahead", lambda tasks, tell, may_start: given.append(may_start))
    if mpi_runs:
        monkeypatch.setitem(sys.modules, "mpi4py.MPI", object())
    planning.make_plan(Sequential([Linear(2)]).build((3,)), 1, training=False, threads=1)
    assert given == [not mpi_runs]
