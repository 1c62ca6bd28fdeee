"""Growth of the process's memory over many training steps."""

from __future__ import annotations

from typing import Any

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
