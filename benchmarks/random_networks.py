"""Check correct networks drawn at random; none may be reported as wrong.

    python benchmarks/random_networks.py 1000

Each network has one to seven layers of any kind, with random sizes, strides, paddings, dilations and groups. A gradient
that is reported as wrong is a false alarm; one that could be checked only at kinks is counted as undecided.
"""

from __future__ import annotations

import sys
from time import perf_counter

import numpy as np

from rot180.errors import Rot180Error
from rot180.inside.check import CheckReport, check
from rot180.nn import Sequential, network


def draw(seed: int) -> Sequential:
    """Return a correct network; each seed gives a different one."""
    generator = np.random.default_rng(seed)
    while True:
        try:
            model = network(_notation(generator)).build(seed=seed, dtype=np.float64)
            model(np.zeros((1, *model.input_shape)))
            return model
        except Rot180Error:  # a window larger than its image or wholly in the padding, groups that do not divide
            continue


def _notation(generator: np.random.Generator) -> str:
    def one_of(*choices: str) -> str:
        return str(generator.choice(choices))

    def padding() -> str:
        return one_of("", ":same", ":pad1", ":pad2x1", ":pad0,1,1,0")

    def activation() -> str:
        return one_of("relu", "relu", "noisyrelu", "leakyrelu", "sigmoid", "tanh", "dropout0.3", "softmax")

    def map_layer() -> str:
        kind = one_of("conv", "conv", "maxpool", "avgpool", "activation")
        if kind == "conv":
            rest = one_of("", ":s2", ":s2x1", ":d2", ":g2", ":nobias", ":s2:d2")
            kernel = one_of("1", "2", "3", "3x2", "1x3")
            return f"conv{kernel}:{generator.integers(1, 6)}{padding()}{rest}"
        if kind == "activation":
            return activation()
        rest = padding() + one_of("", ":s1", ":s2", ":s3x1")
        if kind == "avgpool":
            rest += one_of("", ":excludepad")
        return f"{kind}{one_of('2', '3', '2x3')}{rest}"

    size = f"{generator.integers(3, 10)}x{generator.integers(3, 10)}x{generator.integers(1, 5)}"
    layers = [map_layer() for _ in range(generator.integers(0, 5))]
    for _ in range(generator.integers(0, 2)):
        layers += [f"fc{generator.integers(2, 12)}", activation()]
    end = one_of("fc", "fc", "fc", "sigmoid", "softmax", "open")
    if end != "open":
        layers.append(f"fc{generator.integers(2, 8)}")
    if end in ("sigmoid", "softmax"):
        layers.append(end)
    return f"{size} > {' '.join(layers or ['relu'])}"


def alarms(count: int, start: int = 0) -> tuple[list[tuple[int, CheckReport]], int]:
    """Check `count` networks; return the false alarms with their seeds, and the number of undecided gradients."""
    found, undecided = [], 0
    for seed in range(start, start + count):
        report = check(draw(seed), seed=seed, coordinates=6, directions=4)
        undecided += sum(array.verdict == "undecided" for part in report.parts for array in part.arrays)
        if not report.passed:
            found.append((seed, report))
    return found, undecided


def main() -> int:
    """Check as many networks as the command line says and print the count."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    start = perf_counter()
    found, undecided = alarms(count)
    for seed, report in found:
        print(f"seed {seed}: {report.subject}\n{report}\n")
    print(
        f"{count} correct networks, {len(found)} false alarms, {undecided} gradients undecided, "
        f"{perf_counter() - start:.0f} s"
    )
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
