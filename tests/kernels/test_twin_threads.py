"""The public twins in several threads and in forked processes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PREPARED = """
import os, sys
from threading import Thread
import numpy as np
from rot180 import kernels, ops
rng = np.random.default_rng(0)
x, w = rng.normal(size=(8, 20, 20, 3)), rng.normal(size=(3, 3, 3, 16))
expected = ops.conv2d(x, w), ops.relu(x), ops.avg_pool2d(x, 2)
wrong = []
def work(times=40):
    for _ in range(times):
        found = kernels.conv2d(x, w), kernels.relu(x), kernels.avg_pool2d(x, 2)
        wrong.extend(1 for a, b in zip(found, expected) if not np.allclose(a, b))
def in_threads():
    threads = [Thread(target=work) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
"""
ALONE = "in_threads(); print('right' if not wrong else 'wrong', flush=True)\n"
FORKED = """
work(1)
busy = [Thread(target=work) for _ in range(2)]  # one of them may hold the lock when the process is forked
[t.start() for t in busy]
child = os.fork()
if child == 0:
    in_threads()
    print('right' if not wrong else 'wrong', flush=True)
    os._exit(0)
[t.join() for t in busy]
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def run(source: str) -> str:
    command = [sys.executable, "-W", "ignore", "-c", PREPARED + source]  # newer Pythons warn of forks beside threads
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_twins_in_four_threads() -> None:
    assert run(ALONE) == "right"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_twins_in_a_forked_process() -> None:
    assert run(FORKED) == "right"
