"""Training steps and predictions of this project and its peers; results are compared before times."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from deep import DeepWorkload
from rounds import Worker, WorkerError, alternate, paired_ratio
from workloads import Workload

TRAIN_PEERS = (
    "torch",
    "torch channels_last",
    "torch compiled",
    "torch compiled channels_last",
    "jax",
)
INFER_PEERS = ("onnxruntime", *TRAIN_PEERS)
DEEP_PEERS = {"train": ("torch", "torch channels_last", "torch compiled channels_last"), "infer": ("onnxruntime",)}
"""Of published networks, whose compilation takes a minute."""
OURS = ("rot180", "rot180 numpy")
TOLERANCE = 1e-4
"""Largest difference of losses or probabilities from PyTorch's, relative to their largest value; all are float32."""


def compare_steps(
    workload: Workload | DeepWorkload,
    threads: int,
    trials: int,
    turn_seconds: float,
    note: Callable[[str], None],
    *,
    compiled: bool = True,
) -> dict[str, Any]:
    """Run one workload; return medians, spreads and ratios of every contender that could run it.

    Without `compiled`, peers that compile first are left out.
    """
    if isinstance(workload, DeepWorkload):
        names = (OURS[0], *DEEP_PEERS[workload.task])
    else:
        names = (*OURS, *(TRAIN_PEERS if workload.task == "train" else INFER_PEERS))
    names = tuple(name for name in names if compiled or "compiled" not in name)
    workers: dict[str, Worker] = {}
    losses: dict[str, list[float]] = {}
    faults: dict[str, str] = {}
    versions: dict[str, str] = {}
    try:
        for name in names:
            note(f"{workload.name}: start {name}")
            try:
                worker = Worker("steps", name, workload.name, threads)
                losses[name] = worker.ask(command="losses")["losses"]
                workers[name] = worker
                versions |= worker.versions
            except WorkerError as error:
                faults[name] = str(error)
        note(f"{workload.name}: {trials} rounds of {len(workers)}")
        samples, fallen, others = alternate(workers, trials, turn_seconds, random.Random(180))
        faults |= fallen
    finally:
        for worker in workers.values():
            worker.close()
    result = {
        "name": workload.name,
        "threads": threads,
        "batch": workload.batch,
        "multiply_adds": workload.multiply_adds(),
        "contenders": {name: taken.summary() for name, taken in samples.items()},
        "faults": faults,
        "versions": versions,
        "cores_busy_otherwise": others,
        "largest_difference": agreement(losses),
        **best_peer({name: taken.seconds for name, taken in samples.items()}),
    }
    result["results_agree"] = all(value <= TOLERANCE for value in result["largest_difference"].values())
    for summary in result["contenders"].values():
        summary["images_per_second"] = 1e3 * workload.batch / summary["median_ms"]
    return result


def agreement(losses: dict[str, list[float]]) -> dict[str, float]:
    """Return each contender's largest difference from PyTorch's results, relative to their largest value.

    >>> agreement({"torch": [2.0, 1.0], "rot180": [2.0, 1.001]})
    {'torch': 0.0, 'rot180': 0.0005}
    """
    reference = np.array(losses.get("torch") or next(iter(losses.values()), []))
    scale = np.abs(reference).max(initial=0) or 1
    return {
        name: float(np.round(np.abs(np.array(values) - reference).max(initial=0) / scale, 9))
        for name, values in losses.items()
    }


def best_peer(seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Return the fastest peer by its median, and its time divided by ours.

    >>> best_peer({"rot180": [1.0], "torch": [3.0], "jax": [2.0]})["best_peer"]
    'jax'
    """
    peers = {name: float(np.median(taken)) for name, taken in seconds.items() if name not in OURS}
    if not peers:
        return {"best_peer": None, "ratio": None}
    best = min(peers, key=peers.__getitem__)
    if OURS[0] not in seconds:
        return {"best_peer": best, "ratio": None}
    pairs = paired_ratio(seconds[best], seconds[OURS[0]])
    return {"best_peer": best, "ratio": pairs["ratio"], "ratio_quartiles": [pairs["quartile1"], pairs["quartile3"]]}
