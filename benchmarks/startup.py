"""What users wait for: the import, the first training step of a process, the first step ever, and 99% on MNIST."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from rounds import thread_environment

TARGETS = {"import": 0.3, "first step, kernels cached": 0.6, "first step ever, compiling": 8.0, "99% on MNIST": 15.0}
"""Seconds, at most."""

_IMPORT = "import time; s = time.perf_counter(); import rot180; print(time.perf_counter() - s)"
_STEP = """
import numpy as np, rot180
model = rot180.model("cnn-32-64-512").build(seed=0)
images, labels = np.random.default_rng(0).random((32, 28, 28, 1), np.float32), np.arange(32) % 10
rot180.Trainer(model, optimizer="adam").step(images, labels)
"""


class _ProcessError(Exception):
    pass


def _run(arguments: list[str], environment: dict[str, str]) -> tuple[float, str]:
    """Run a process; return its duration in seconds, and what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        done = subprocess.run(arguments, env=environment, cwd=folder, capture_output=True, text=True, timeout=600)
        seconds = time.perf_counter() - start
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise _ProcessError(lines[-1])
    return seconds, done.stdout


def measure(threads: int, trials: int, mnist: Path | None) -> dict[str, Any]:
    """Measure each wait in new processes; if one cannot be measured, return why."""
    # As for users, Python keeps the bytecode of modules.
    environment = {**thread_environment(threads), "PYTHONDONTWRITEBYTECODE": ""}
    python = sys.executable
    result: dict[str, Any] = {}

    def record(name: str, measured: Any) -> None:
        try:
            seconds, extra = measured()
        except (_ProcessError, subprocess.TimeoutExpired, ValueError, KeyError) as error:
            result[name] = {"fault": str(error), "target": TARGETS[name]}
        else:
            middle = float(np.median(seconds))
            result[name] = {"seconds": middle, "all": seconds, "target": TARGETS[name], **extra}

    def importing() -> Any:
        _run([python, "-c", _IMPORT], environment)
        return [float(_run([python, "-c", _IMPORT], environment)[1]) for _ in range(trials)], {}

    def cached() -> Any:
        _run([python, "-c", _STEP], environment)
        return [_run([python, "-c", _STEP], environment)[0] for _ in range(trials)], {}

    def ever() -> Any:
        with tempfile.TemporaryDirectory() as cache:
            return [_run([python, "-c", _STEP], {**environment, "NUMBA_CACHE_DIR": cache})[0]], {}

    def mnist_run() -> Any:
        if mnist is None:
            raise _ProcessError("no folder of MNIST given (--mnist)")
        command = [str(Path(python).with_name("rot180")), "train", str(mnist.resolve()), "--recipe", "fast", "--json"]
        seconds, accuracies = [], []
        for _ in range(min(trials, 3)):
            taken, printed = _run(command, environment)
            seconds.append(taken)
            accuracies.append(json.loads(printed)["test_accuracy"])
        return seconds, {"test_accuracy": accuracies, "is_accurate": min(accuracies) >= 0.99}

    record("import", importing)
    record("first step, kernels cached", cached)
    record("first step ever, compiling", ever)
    record("99% on MNIST", mnist_run)
    return result
