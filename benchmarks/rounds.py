"""Alternating rounds: every contender has a turn in every round, in shuffled order, while the others sleep.

Each contender has its own process, so that its thread pool does not spin during another's turn and its number of
threads is its own. Drift of the machine (clock, neighbors) affects all of them alike.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

PAUSE = 0.05
"""Seconds between two turns: longer than thread pools spin before they sleep."""


def thread_environment(threads: int) -> dict[str, str]:
    """Return an environment that sets the number of threads of every library before it is imported."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "NPROC")
    environment = {**os.environ, **dict.fromkeys(names, str(threads))}
    if threads == 1:
        environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    return environment


class WorkerError(Exception):
    """A contender could not run; the text says why."""


class Worker:
    """A contender's process, seen from the outside."""

    def __init__(self, kind: str, contender: str, name: str, threads: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("BENCH_DEBUG") else subprocess.DEVNULL,
            env=thread_environment(threads),
            text=True,
        )
        ready = self.ask(kind=kind, contender=contender, name=name, threads=threads)
        self.versions: dict[str, str] = ready["versions"]
        self.multiply_adds: float = ready["multiply_adds"]
        """Of one step."""

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for the answer."""
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(f"the process ended with status {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            self.close()
            raise WorkerError(answer["error"])
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass
class Samples:
    """The samples of one contender: the median of each of its turns."""

    seconds: list[float] = field(default_factory=list)
    steps: int = 0
    cores: list[float] = field(default_factory=list)

    def add(self, answer: dict[str, Any]) -> None:
        """Add one turn."""
        self.seconds.append(float(np.median(answer["seconds"])))
        self.steps += len(answer["seconds"])
        self.cores.append(answer["cores"])

    def summary(self) -> dict[str, float]:
        """Return median and quartiles over the rounds, in milliseconds."""
        low, middle, high = np.percentile(self.seconds, [25, 50, 75]) * 1e3
        return {
            "median_ms": float(middle),
            "quartile1_ms": float(low),
            "quartile3_ms": float(high),
            "best_ms": min(self.seconds) * 1e3,
            "steps": self.steps,
            "cores": float(np.median(self.cores)),
        }


def busy_seconds() -> float:
    """Return the seconds that all cores together have been busy since the system started (Linux; 0 elsewhere)."""
    try:
        user, nice, system, _, _, *rest = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return 0.0
    return sum(int(ticks) for ticks in (user, nice, system, *rest)) / os.sysconf("SC_CLK_TCK")


class Quiet:
    """How many cores are busy between turns, when nothing in the comparison should run.

    More than a trace means that another program, or threads of a contender that still spin, disturb the measurement.
    """

    def __init__(self) -> None:
        self._busy = self._seconds = 0.0

    def pause(self) -> None:
        """Wait for thread pools to fall asleep; watch the second half of the wait."""
        time.sleep(PAUSE / 2)
        busy, start = busy_seconds(), time.perf_counter()
        time.sleep(PAUSE / 2)
        self._busy += busy_seconds() - busy
        self._seconds += time.perf_counter() - start

    @property
    def cores(self) -> float:
        """Cores busy, on average."""
        return self._busy / self._seconds if self._seconds else 0.0


def alternate(
    workers: dict[str, Any], trials: int, turn_seconds: float, shuffle: random.Random
) -> tuple[dict[str, Samples], dict[str, str], float]:
    """Give each worker `trials` turns, alternating.

    Return the samples, the errors of contenders that failed, and the cores that something else kept busy.
    """
    samples = {name: Samples() for name in workers}
    faults: dict[str, str] = {}
    quiet = Quiet()
    for _ in range(trials):
        order = [name for name in workers if name not in faults]
        shuffle.shuffle(order)
        for name in order:
            quiet.pause()
            try:
                samples[name].add(workers[name].ask(command="turn", seconds=turn_seconds))
            except WorkerError as error:
                faults[name] = str(error)
    return {name: taken for name, taken in samples.items() if name not in faults}, faults, quiet.cores


def paired_ratio(peer: list[float], ours: list[float]) -> dict[str, float]:
    """Return the ratio of the medians, and the quartiles of the ratios within each round.

    >>> paired_ratio([2.0, 4.0, 6.0], [1.0, 2.0, 2.0])
    {'ratio': 2.0, 'quartile1': 2.0, 'quartile3': 2.5}
    """
    low, high = np.percentile(np.divide(peer, ours), [25, 75])
    return {"ratio": float(np.median(peer) / np.median(ours)), "quartile1": float(low), "quartile3": float(high)}
