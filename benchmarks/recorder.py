"""Measure what naming intermediate arrays costs when nobody is listening: a training step with and without the calls.

The steps alternate, and the best of each kind are compared, since a busy neighbor can only slow them down. The second
figure needs no comparison: it is the number of calls in a step, times the cost of one, divided by the time of the step.

    python benchmarks/recorder.py [MODEL] [BATCH SIZE]
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numpy as np

import rot180
from rot180 import ops
from rot180.ops import recorder

ROUNDS = 40
CALLS = 200_000


def main(name: str = "cnn-32-64-512", batch_size: int = 32) -> None:
    """Print both figures."""
    model = rot180.model(name)
    trainer = rot180.Trainer(model, engine="numpy")
    generator = np.random.default_rng(0)
    images = generator.integers(256, size=(batch_size, *model.input_shape), dtype=np.uint8)
    labels = generator.integers(model.output_shape[-1], size=batch_size)

    def step() -> None:
        trainer.step(images, labels)

    names: list[str] = []
    with recorder.listening(lambda array_name, _: names.append(array_name)):
        step()
    for _ in range(3):
        step()
    as_is, without = [], []
    for _ in range(ROUNDS):
        as_is.append(timed(step))
        with nobody_to_tell():
            without.append(timed(step))
    usual, bare = min(as_is), min(without)
    array = np.zeros(1)
    start = time.perf_counter()
    for _ in range(CALLS):
        recorder.record("x", array)
    call = (time.perf_counter() - start) / CALLS
    print(f"{name}, batches of {batch_size}: a step {1e3 * usual:.2f} ms, without the calls {1e3 * bare:.2f} ms")
    print(f"difference {100 * (usual / bare - 1):+.2f}% (the best of {ROUNDS} alternating steps each)")
    share = len(names) * call / usual
    print(f"{len(names)} calls of {1e9 * call:.0f} ns each are {100 * share:.4f}% of a step")


def timed(call: Callable[[], Any]) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@contextmanager
def nobody_to_tell() -> Any:
    """Replace `record` by a function that does nothing, wherever an operation calls it."""
    modules = [importlib.import_module(f"rot180.ops.{module.name}") for module in pkgutil.iter_modules(ops.__path__)]
    calling = [module for module in modules if getattr(module, "record", None) is recorder.record]
    for module in calling:
        module.record = lambda name, array: None  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in calling:
            module.record = recorder.record  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
