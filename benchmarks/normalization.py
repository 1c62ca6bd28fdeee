"""Time each pass of batch normalization, and compare its memory traffic with that of a copy.

    .venv/bin/python benchmarks/normalization.py --threads 2

Every line is one shape of maps; for each pass, the least of some repetitions that alternate with a copy of the same
maps, in milliseconds and in gigabytes per second of what must be read and written.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from rot180.kernels.copying import copy
from rot180.kernels.elementwise import RELU
from rot180.kernels.feature_map import FeatureMap, new_map
from rot180.kernels.launching import Launch, most_threads, use_threads
from rot180.kernels.memory import aligned
from rot180.kernels.normalization_calls import Normalization

SHAPES = ((128, 32, 32, 16), (128, 16, 16, 32), (128, 8, 8, 64), (32, 56, 56, 24), (64, 28, 28, 40), (16, 28, 28, 512))


def least(calls: dict[str, Callable[[], None]], repetitions: int) -> dict[str, float]:
    """Return the shortest time of each call in seconds; they take turns."""
    times = dict.fromkeys(calls, float("inf"))
    for _ in range(repetitions + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name] = min(times[name], time.perf_counter() - start)
    return times


def filled(shape: tuple[int, ...], rng: np.random.Generator) -> FeatureMap:
    """Return maps of normal numbers."""
    made = new_map(shape[0], shape[1:], ((0, 0), (0, 0)), np.float32)
    made.array[...] = rng.normal(size=shape)
    return made


def main(repetitions: int, threads: int) -> None:
    """Print a table."""
    use_threads(threads)
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        x, dy, y, dx = (filled(shape, rng) for _ in range(4))
        gamma, beta, mean, var, dgamma, dbeta = (np.ones(shape[3], np.float32) for _ in range(6))
        norm = Normalization(gamma, beta, mean, var, 1e-5, kind=RELU, threads=most_threads(), scratch=aligned)
        sizes = np.array([*shape[1:3], 0, 0, 0, 0, 1, 1])
        passes: dict[str, tuple[Callable[[], None], int]] = {
            # As a plan launches them: a call on its own would spend a tenth of a millisecond on its arguments.
            "copy": (Launch([(copy, (x.array, y.array, sizes))]), 2),
            "moments": (Launch([norm.moments(x)]), 1),
            "normalize, ReLU": (Launch([norm.forward(x, y)]), 2),
            "and shortcut": (Launch([norm.forward(x, y, dy)]), 3),
            "sums": (Launch([norm.parameter_gradients(dy, x, dgamma, dbeta)]), 2),
            "dx": (Launch([norm.data_gradient(dy, x, dx, dgamma, dbeta)]), 3),
        }
        times = least({name: call for name, (call, _) in passes.items()}, repetitions)
        megabytes = x.array.nbytes / 1e6
        cells = (
            f"{name} {times[name] * 1e3:.2f} ms {maps * megabytes / times[name] / 1e3:.0f} GB/s"
            for name, (_, maps) in passes.items()
        )
        print("x".join(map(str, shape)), " | ".join(cells), sep="  ")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=30)
    parser.add_argument("--threads", type=int, default=most_threads())
    options = parser.parse_args()
    main(options.repetitions, options.threads)
