"""What it costs to run a kernel on several threads: a list of kernels that hardly do anything, in one launch.

Beside it, as many parallel loops of Numba, one after another in compiled code, on OpenMP and on the work queue, which
is all that macOS and Windows have. Our kernels run on threads of our own: to a training step, these do not matter.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rounds import thread_environment

KERNELS = 25
"""About as many as a training step of a small network has."""
LAYERS = ("omp", "workqueue")
TARGET = 1.3
"""The most that a launch may take, in relation to OpenMP."""
_SECONDS, _WARM_UP = 1.0, 50


def measure(threads: int) -> dict[str, Any]:
    """Return microseconds for each kernel: ours, and on Numba's layers; or why a layer could not be measured."""
    found: dict[str, Any] = {"threads": threads, "target": TARGET, "microseconds": {}, "faults": {}}
    for name in ("rot180", *LAYERS):
        environment = thread_environment(threads) | ({} if name == "rot180" else {"NUMBA_THREADING_LAYER": name})
        done = subprocess.run(
            [sys.executable, __file__, name, str(threads)],
            env=environment,
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            found["faults"][name] = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        else:
            found["microseconds"][name] = json.loads(done.stdout)
    return found


def _ours(threads: int) -> Callable[[], object]:
    from rot180.kernels.clearing import clear
    from rot180.kernels.launching import Launch

    return Launch([(clear, (np.zeros((1, threads, 1, 64), np.float32),))] * KERNELS)


def _of_numba(threads: int) -> Callable[[], object]:
    from numba import njit, prange

    @njit(parallel=True)
    def clear(x):
        for row in prange(x.shape[0]):
            for i in range(x.shape[1]):
                x[row, i] = 0

    @njit
    def many(x):
        for _ in range(KERNELS):
            clear(x)

    x = np.zeros((threads, 64), np.float32)
    return lambda: many(x)


def main() -> None:
    """Measure one of them in this process."""
    call = (_ours if sys.argv[1] == "rot180" else _of_numba)(int(sys.argv[2]))
    for _ in range(_WARM_UP):
        call()
    seconds = []
    end = time.perf_counter() + _SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    print(json.dumps(1e6 * float(np.median(seconds)) / KERNELS))


if __name__ == "__main__":
    main()
