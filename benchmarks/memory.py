"""Memory of the process: its growth over many training steps, and the peak of a training step beside PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deep import MEMORY
from rounds import Worker, WorkerError

WORKLOAD = "train-cnn-32-64-512-b32"
WARM_UP, STEPS = 200, 2000
TOLERANCE = 256 * 1024
"""Bytes that count as none: the interpreter's own arenas move by some pages."""


def measure(threads: int, steps: int = STEPS) -> dict[str, Any]:
    """Return resident bytes before and after the steps, after a warm-up."""
    try:
        worker = Worker("steps", "rot180", WORKLOAD, threads)
        worker.ask(command="losses")
        worker.ask(command="memory", steps=WARM_UP)
        answer = worker.ask(command="memory", steps=steps)
        worker.close()
    except WorkerError as error:
        return {"fault": str(error)}
    growth = answer["after"] - answer["before"]
    return {"steps": steps, **answer, "growth": growth, "is_none": growth <= TOLERANCE}


def compare_peaks(threads: int, note: Callable[[str], None], steps: int = 2) -> dict[str, Any]:
    """Return the largest resident memory of a fresh process after some training steps, by contender, in bytes.

    This project's first process is not counted: it compiles what the second one reads from a cache.
    """
    peaks: dict[str, int] = {}
    faults: dict[str, str] = {}
    for name in ("rot180", "torch", "torch channels_last"):
        note(f"{MEMORY.name}: {name}")
        try:
            for _ in range(2 if name == "rot180" else 1):
                worker = Worker("steps", name, MEMORY.name, threads)
                peaks[name] = worker.ask(command="memory", steps=steps)["peak"]
                worker.close()
        except WorkerError as error:
            faults[name] = str(error)
    return {"name": MEMORY.name, "peaks": peaks, "faults": faults}
