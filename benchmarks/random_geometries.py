"""Pass convolutions of geometries drawn at random by all algorithms, and print each geometry on which they differ.

    python benchmarks/random_geometries.py 3000 --start 0
    python benchmarks/random_geometries.py 3000 --processor haswell

Outputs and all gradients in float32 and float64, by each algorithm of `rot180.ops` that the geometry allows and by the
compiled kernels, direct and by minimal filtering, are compared with float64. Compiled ones must have the same bits with
one to four threads. `--processor` compiles the kernels for an older processor of the family of this one: haswell, with
AVX2; nehalem, without fused multiply-adds. For 64-bit ARM processors, `tests/processors/emulated.py --program` runs
this script on an emulated one.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

if __name__ == "__main__":
    os.environ.setdefault("NUMBA_NUM_THREADS", "4")  # read when the kernels are imported

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "kernels"))
from families import AVX2, V2

FEATURES = {"haswell": AVX2, "nehalem": V2}

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}
"""Of the largest value of an array."""
LOOPS = 50_000
"""Multiply-adds up to which windows are passed one by one in Python."""

Geometry = tuple[tuple[int, int, int, int], tuple[int, int, int, int], dict[str, Any]]


def drawn(seed: int) -> Geometry:
    """Return the shapes of a batch and of a kernel, and the other arguments of `conv2d`."""
    rng = np.random.default_rng(seed)

    def one_of(*choices: Any) -> Any:
        return choices[rng.integers(len(choices))]

    kernel = one_of((3, 3), (3, 3), (5, 5), (1, 1), tuple(rng.integers(1, 6, 2).tolist()))
    plain = rng.random() < 0.6
    stride, dilation = ((1, 1) if plain else tuple(rng.integers(1, 4, 2).tolist()) for _ in range(2))
    groups = one_of(1, 1, 1, 1, 2, 3)
    per_group, filters = one_of(1, 2, 3, 8, 16, 17, 33, 64, 80), groups * one_of(1, 3, 8, 16, 21, 31, 48, 70)
    if groups == 1 and rng.random() < 0.2:  # of whole registers, sums may take the place of pixels
        per_group = filters = one_of(8, 16, 32)
    if rng.random() < 0.15:  # depthwise
        groups, per_group = one_of(2, 3, 16, 17, 33, 64, 100), 1
        filters = groups * one_of(1, 1, 2)
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    sides = tuple(tuple(pair) for pair in rng.integers(0, 5, (2, 2)).tolist())
    padding = one_of("same", "valid", sides)
    height, width = (least + int(rng.integers(0, one_of(3, 10, 24))) for least in reach)
    how = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return (int(rng.integers(0, 5)), height, width, groups * per_group), (*kernel, per_group, filters), how


def wrong(seed: int) -> Iterator[str]:
    """Yield in what ways a drawn geometry's passes differ from their reference."""
    from rot180 import kernels, ops
    from rot180.kernels.launching import most_threads, use_threads

    x_shape, w_shape, how = drawn(seed)
    rng = np.random.default_rng([seed, 1])
    x, w, b = (rng.normal(size=shape) for shape in (x_shape, w_shape, w_shape[3]))
    dy = rng.normal(size=ops.conv2d(x, w, b, **how).shape)
    work = dy.size * np.prod(w_shape[:3])
    plain = (how["stride"], how["dilation"], how["groups"]) == ((1, 1), (1, 1), 1)
    filtered = plain and w_shape[:2] in {(3, 3), (5, 5)}
    algorithms = ["auto", *(one for one in ops.ALGORITHMS if one != "loops" or work < LOOPS)]
    algorithms = [one for one in algorithms if one != "winograd" or filtered]

    def passes(room: Any, dtype: Any, algorithm: str) -> list[np.ndarray]:
        images, weights, bias, delta = (array.astype(dtype) for array in (x, w, b, dy))
        y = room.conv2d(images, weights, bias, algorithm=algorithm, **how)
        return [y, *room.conv2d_backward(delta, images, weights, algorithm=algorithm, **how)]

    expected = passes(ops, np.float64, "offsets")
    for dtype, tolerance in TOLERANCE.items():
        for room, names in ((ops, algorithms), (kernels, [*algorithms[:1], "im2col", *(["winograd"] * filtered)])):
            for name in names:
                what = f"{room.__name__}, {np.dtype(dtype)}, {name}"
                found = passes(room, dtype, name)
                for array, one, reference in zip(("y", "dx", "dw", "db"), found, expected, strict=True):
                    far = np.abs(one - reference).max(initial=0) / (np.abs(reference).max(initial=0) + 1e-3)
                    if not far <= tolerance or (one.dtype, one.shape) != (dtype, reference.shape):
                        yield f"{what}: {array} is off by {far:.1e}"
                if room is kernels:
                    for threads in range(1, most_threads() + 1):
                        use_threads(threads)
                        again = passes(room, dtype, name)
                        if [one.tobytes() for one in again] != [one.tobytes() for one in found]:
                            yield f"{what}: other bits with {threads} threads"
                    use_threads(0)


def main() -> int:
    """Draw and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", nargs="?", type=int, default=3000)
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--processor", choices=FEATURES, help="compile for this one")
    given = parser.parse_args()
    if given.processor and "NUMBA_CPU_NAME" not in os.environ:
        build = {"NUMBA_CPU_NAME": given.processor, "NUMBA_CPU_FEATURES": FEATURES[given.processor]}
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **build})
    began, failed = perf_counter(), 0
    for number in range(given.count):
        found = list(wrong(given.start + number))
        failed += bool(found)
        for line in found:
            print(f"{given.start + number} {drawn(given.start + number)}: {line}", flush=True)
        if number % 100 == 99:
            print(f"{number + 1} geometries, {failed} wrong, {perf_counter() - began:.0f} s", file=sys.stderr)
    print(f"{given.count} geometries, {failed} wrong")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
