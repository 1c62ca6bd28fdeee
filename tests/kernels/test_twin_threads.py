"""The public twins in several threads and in forked processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
LAYERS = """
from pathlib import Path
from threading import active_count
import rot180
tasks = Path('/proc/self/task')
before = len(list(tasks.iterdir())) if tasks.exists() else 0
work(1)
model = rot180.network("20x20x3 > conv3x3:8 relu maxpool2 > fc4").build(seed=0)
rot180.fit(model, (x, np.arange(8) % 4), epochs=1, batch_size=4)
threads = active_count() - 1
if tasks.exists():
    assert len(list(tasks.iterdir())) - before == threads
loaded = [name for name in sys.modules if name.startswith('numba.np.ufunc.') and name.endswith(('pool', 'workqueue'))]
maps = Path('/proc/self/maps')
if maps.exists():
    loaded += [name for name in ('libgomp', 'libiomp', 'libomp', 'libtbb') if name in maps.read_text()]
print(threads, loaded)
"""


def run(source: str, **environment: str) -> str:
    command = [sys.executable, "-W", "ignore", "-c", PREPARED + source]  # newer Pythons warn of forks beside threads
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("threads", [1, 2])
def test_no_threading_layer_is_loaded_and_one_thread_starts_no_other(threads: int) -> None:
    assert run(LAYERS, NUMBA_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS="1") == f"{threads - 1} []"


def test_twins_in_four_threads_that_compile_them(tmp_path: Path) -> None:
    assert run(ALONE, NUMBA_CACHE_DIR=str(tmp_path)) == "right"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_twins_in_a_forked_process() -> None:
    assert run(FORKED) == "right"
