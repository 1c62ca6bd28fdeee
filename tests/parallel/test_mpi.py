"""Training on MPI itself, with a few processes of this machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from trainings import CASES, measure

from rot180.cli import main
from rot180.parallel.communicator import ALONE
from rot180.parallel.launch import _ranks_below

BESIDE = Path(sys.executable).with_name("mpiexec")
MPIEXEC = str(BESIDE) if BESIDE.is_file() else shutil.which("mpiexec")

pytestmark = [
    pytest.mark.skipif(find_spec("mpi4py") is None, reason="mpi4py is not installed"),
    pytest.mark.skipif(MPIEXEC is None, reason="no mpiexec is installed"),
]

ROT180 = [sys.executable, "-P", "-c", "import sys; from rot180.cli import main; sys.exit(main())"]
SHARDS = "--limit 200 --batch-size 20 --shards 4 --no-pictures --engine numpy".split()  # which starts in half the time
NETWORK = [*SHARDS, "-m", "8x8x1 > conv3x3:4 bn > fc10"]
MANY = [*NETWORK, "--epochs", "1000", "--checkpoint-every", "5"]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """The cores are few, and neither must waiting processes take them, nor are the tests themselves run by MPI."""
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")


def start(*words, **options):
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return found


def checkpoints(run):
    return sorted(run.glob("checkpoints/*/SHA256SUMS"))


def rank(process, number):
    """Return the process of a rank below another process."""
    for one in _ranks_below(process.pid):
        if f"PMI_RANK={number}".encode() in Path(f"/proc/{one}/environ").read_bytes().split(b"\0"):
            return one
    return None


needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="ranks are found in /proc")


def test_shards_give_the_same_bits_on_three_processes(tmp_path):
    alone = measure(ALONE)
    program, out = Path(__file__).with_name("trainings.py"), tmp_path / "out.json"
    subprocess.run([MPIEXEC, "-n", "3", sys.executable, program, out], check=True, timeout=120)
    found = json.loads(out.read_text())
    for name in CASES:
        assert found[name] == alone[name], name
    np.testing.assert_allclose(found["ordinary"], alone["ordinary"], rtol=0, atol=1e-12)


BESIDE_OTHER_WORK = """
import time
import numpy as np
from rot180.parallel import connect
from rot180.parallel.tree import Partial

together = connect()
together.overlaps, together.patience = True, 1.0
own = Partial()
own.add(together.rank, np.full(200_000, 1 + together.rank, np.float32))
wait = together.begin_sum(own.nodes, 2)
for _ in range(40):
    time.sleep(0.002)
    together.advance()
together._go_on = lambda: None  # from here on, nothing more arrives
print(wait()[0])
together.barrier()
"""


def test_sums_go_on_beside_other_work():
    over = {"UCX_TLS": "tcp,self", "FI_PROVIDER": "tcp", "MPIR_CVAR_NOLOCAL": "1"}
    program = [sys.executable, "-c", BESIDE_OTHER_WORK]
    process = start(MPIEXEC, "-n", "2", *program, env={**os.environ, **over})
    output, errors = process.communicate(timeout=60)
    assert output.split() == ["3.0", "3.0"], errors


def test_an_error_is_shown_once_and_ends_all(tmp_path):
    process = start(MPIEXEC, "-n", "3", *ROT180, "train", "--bogus")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.count("No such option: --bogus") == 1
    assert len(errors.splitlines()) == 1


def test_an_exception_in_a_program_ends_all():
    program = "from rot180.parallel import connect; c = connect(); assert c.rank != 1, 'spoiled'; c.barrier()"
    process = start(MPIEXEC, "-n", "3", sys.executable, "-c", program)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.count("AssertionError: spoiled") == 1


@needs_proc
def test_a_signal_to_one_process_stops_and_saves_all(tmp_path):
    run = tmp_path / "run"
    process = start(MPIEXEC, "-n", "2", *ROT180, "train", *MANY, "--out", run)
    wait_for(lambda: len(checkpoints(run)) > 1)
    os.kill(rank(process, 1), signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 75
    assert "resume with:" in output


@needs_proc
def test_a_training_whose_processes_are_killed_ends_with_the_same_bits(tmp_path):
    expected, run = tmp_path / "expected", tmp_path / "run"
    short = [*NETWORK, "--epochs", "6", "--checkpoint-every", "2"]
    assert main(["train", *short, "--out", str(expected)]) == 0
    process = start(*ROT180, "launch", "-n", "2", "--max-restarts", "2", "--", "train", *short, "--out", run)
    wait_for(lambda: len(checkpoints(run)) > 1)
    os.kill(rank(process, 1), signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "restart 1 of 2 from the last checkpoint" in errors
    assert (run / "model.safetensors").read_bytes() == (expected / "model.safetensors").read_bytes()
    assert not list(_ranks_below(process.pid))


@needs_proc
def test_a_process_that_hangs_is_noticed(tmp_path):
    run = tmp_path / "run"
    process = start(MPIEXEC, "-n", "2", *ROT180, "train", *MANY, "--watchdog", "2", "--out", run)
    wait_for(lambda: len(checkpoints(run)) > 1)
    os.kill(rank(process, 1), signal.SIGSTOP)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 71
    assert "process 0 has waited 2 seconds for the others: one of them hangs" in errors


@needs_proc
def test_no_process_survives_the_launch_command(tmp_path):
    run = tmp_path / "run"
    process = start(*ROT180, "launch", "-n", "2", "--", "train", *MANY, "--out", run)
    wait_for(lambda: len(checkpoints(run)) > 1)
    ranks = list(_ranks_below(process.pid))
    assert len(ranks) == 2
    process.kill()
    process.communicate(timeout=30)
    wait_for(lambda: not any(Path(f"/proc/{one}").exists() for one in ranks), 10)
