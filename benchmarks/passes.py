"""Each pass of a convolution as a fraction of the multiply-add peak, which is measured in the same rounds."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from rounds import Worker, WorkerError, alternate
from workloads import ConvPass

CONTENDERS = ("peak", "rot180", "torch")


def compare_pass(
    job: ConvPass, threads: int, trials: int, turn_seconds: float, note: Callable[[str], None]
) -> dict[str, Any]:
    """Run one pass; return GFLOP/s and the fraction of the peak for each contender that could run it."""
    note(job.name)
    workers: dict[str, Worker] = {}
    faults: dict[str, str] = {}
    versions: dict[str, str] = {}
    try:
        for name in CONTENDERS:
            try:
                worker = Worker("pass", name, job.name, threads)
                worker.ask(command="losses")
                workers[name] = worker
                versions |= worker.versions
            except WorkerError as error:
                faults[name] = str(error)
        samples, fallen, others = alternate(workers, trials, turn_seconds, random.Random(180))
    finally:
        for worker in workers.values():
            worker.close()
    gflops = {
        name: 2e-9 * workers[name].multiply_adds / float(np.median(taken.seconds)) for name, taken in samples.items()
    }
    return {
        "name": job.name,
        "multiply_adds": job.multiply_adds,
        "target": job.target,
        "gflops": gflops,
        "fraction_of_peak": fractions(gflops),
        "contenders": {name: taken.summary() for name, taken in samples.items()},
        "faults": faults | fallen,
        "versions": versions,
        "cores_busy_otherwise": others,
    }


def fractions(gflops: dict[str, float]) -> dict[str, float]:
    """Divide by the peak.

    >>> fractions({"peak": 500.0, "torch": 400.0})
    {'torch': 0.8}
    """
    return {name: value / gflops["peak"] for name, value in gflops.items() if name != "peak" and "peak" in gflops}
