"""One contender in its own process, which sleeps on a pipe while the others have their turns.

Started by `rounds.Worker`, never by hand. It reads one JSON object per line and answers with one: first the job, then

    {"command": "losses"}               some training steps (or one prediction), to compare the results
    {"command": "turn", "seconds": s}   as many steps as fit into s seconds; answers with the seconds of each
    {"command": "memory", "steps": n}   resident bytes before and after n steps, and the process's peak

It ends when the pipe is closed. Whatever libraries print to stdout goes to stderr.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deep import DEEP, MEMORY
from workloads import PASSES, QUIET_LEARNING_RATE, WORKLOADS

CONTENDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "rot180": ("ours", {"engine": "compiled"}),
    "rot180 numpy": ("ours", {"engine": "numpy"}),
    "torch": ("peers_torch", {"channels_last": False, "compiled": False}),
    "torch channels_last": ("peers_torch", {"channels_last": True, "compiled": False}),
    "torch compiled": ("peers_torch", {"channels_last": False, "compiled": True}),
    "torch compiled channels_last": ("peers_torch", {"channels_last": True, "compiled": True}),
    "jax": ("peers_jax", {}),
    "onnxruntime": ("peers_onnx", {}),
}
"""Name, module and settings."""

WARM_UP_STEPS, WARM_UP_SECONDS = 2, 0.02
"""The start of a turn that is not counted (at least both): threads wake up, caches fill."""


def resident_bytes() -> int:
    """Return the resident memory of this process (Linux; elsewhere its peak so far)."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return peak_bytes()


def peak_bytes() -> int:
    """Return the most memory that was resident in this process at once (Linux and macOS)."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class StepJob:
    """Training steps or predictions of one workload."""

    def __init__(self, contender: str, name: str, threads: int) -> None:
        module_name, settings = CONTENDERS[contender]
        module = importlib.import_module(module_name)
        workload = next(work for work in (*WORKLOADS, *DEEP, MEMORY) if work.name == name)
        self.contender = module.Contender(workload, threads, **settings)
        self.versions = module.VERSIONS
        self.multiply_adds = workload.multiply_adds()
        self.is_training = workload.task == "train"
        self.compared_steps = workload.compared_steps
        self.batches = [self.contender.prepare(*batch) for batch in workload.data()]
        self.done = 0

    def __call__(self) -> Any:
        result = self.contender.step(*self.batches[self.done % len(self.batches)])
        self.done += 1
        return result

    def losses(self) -> list[float]:
        """Return what contenders must agree on: the losses of the first steps, or the probabilities of a batch."""
        if not self.is_training:
            return [float(value) for value in self()[:8].ravel()]
        losses = [float(self()) for _ in range(self.compared_steps)]
        self.contender.set_learning_rate(QUIET_LEARNING_RATE)
        return losses


class PassJob:
    """One pass of one convolution, or the multiply-add peak."""

    def __init__(self, contender: str, name: str, threads: int) -> None:
        self.versions: dict[str, str] = {}
        self.multiply_adds = 0
        self.call: Callable[[], object]
        if contender == "peak":
            import machine

            self.call, self.multiply_adds = machine.peak_call(threads)
        else:
            job = next(job for job in PASSES if job.name == name)
            module = importlib.import_module("peers_torch" if contender == "torch" else "ours")
            self.call, self.multiply_adds = module.conv_pass(job, threads), job.multiply_adds
            self.versions = module.VERSIONS

    def __call__(self) -> Any:
        return self.call()

    def losses(self) -> list[float]:
        """Run once, so that everything is compiled."""
        self()
        return []


def turn(job: Callable[[], Any], seconds: float) -> dict[str, Any]:
    """Run `job` repeatedly for about `seconds`, at least once."""
    warm = time.perf_counter() + WARM_UP_SECONDS
    steps = 0
    while steps < WARM_UP_STEPS or time.perf_counter() < warm:
        job()
        steps += 1
    samples: list[float] = []
    cpu, begun = time.process_time(), time.perf_counter()
    end = begun + seconds
    while not samples or time.perf_counter() < end:
        start = time.perf_counter()
        job()
        samples.append(time.perf_counter() - start)
    wall = time.perf_counter() - begun
    return {"seconds": samples, "cores": (time.process_time() - cpu) / wall}


def main() -> None:
    """Serve one job until the pipe closes."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def reply(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=replies, flush=True)

    asked = json.loads(sys.stdin.readline())
    kind = StepJob if asked["kind"] == "steps" else PassJob
    try:
        job = kind(asked["contender"], asked["name"], asked["threads"])
        reply({"versions": job.versions, "multiply_adds": job.multiply_adds})
        for line in sys.stdin:
            request = json.loads(line)
            if request["command"] == "losses":
                reply({"losses": job.losses()})
            elif request["command"] == "turn":
                reply(turn(job, request["seconds"]))
            else:
                before = resident_bytes()
                for _ in range(request["steps"]):
                    job()
                reply({"before": before, "after": resident_bytes(), "peak": peak_bytes()})
    except Exception as error:  # the comparison continues without this contender, and says why
        reply({"error": f"{type(error).__name__}: {error}"[:500]})


if __name__ == "__main__":
    main()
