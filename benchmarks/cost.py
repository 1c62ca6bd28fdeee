"""Compare the times that `rot180 cost` predicts with measured times, for every layer and step of the named models.

Each round measures the machine again in a separate process, predicts, and then runs the layers. A layer's ratio is that
of its best prediction to its best measurement over the rounds, since a busy neighbor can only slow things down. The
exit status is 1 if a ratio exceeds the factor. On a machine that is not idle, OPENBLAS_NUM_THREADS=1 in the environment
helps: a product on two threads waits for the one whose processor is taken.

    python benchmarks/cost.py [--rounds 3] [--factor 1.5] [--batch-size 32]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import defaultdict

import rot180

SINGLE = "import sys; from rot180.cli import main; sys.exit(main(sys.argv[1:]))"


def main() -> int:
    """Print a table of all layers; return 1 if a ratio is out of bounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--factor", type=float, default=1.5)
    parser.add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args()
    worst = 1.0
    for name in rot180.MODELS:
        best, whole = best_times(name, options.batch_size, options.rounds)
        print(f"{name}, batches of {options.batch_size}{'predicted':>24}{'measured, µs':>14}{'ratio':>8}")
        for (layer, way), (predicted, measured) in best.items():
            if not measured:
                continue
            ratio = predicted / measured
            worst = max(worst, ratio, 1 / ratio)
            mark = "  <--" if not 1 / options.factor <= ratio <= options.factor else ""
            print(f"  {layer:10} {way:9} {1e6 * predicted:26.1f} {1e6 * measured:13.1f} {ratio:7.2f}{mark}")
        ratio = whole[0] / whole[1]
        worst = max(worst, ratio, 1 / ratio)
        mark = "  <--" if not 1 / options.factor <= ratio <= options.factor else ""
        print(f"  {'a compiled training step':20} {1e6 * whole[0]:26.1f} {1e6 * whole[1]:13.1f} {ratio:7.2f}{mark}")
    print(f"the furthest is off by a factor of {worst:.2f}; {options.factor} is allowed")
    return int(worst > options.factor)


def best_times(
    name: str, batch_size: int, rounds: int
) -> tuple[dict[tuple[str, str], tuple[float, float]], tuple[float, float]]:
    """Return the shortest predicted and measured times by (layer, direction), and of a compiled training step."""
    whole = []
    times: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    arguments = ["cost", name, "--measure", "--json", "--batch-size", str(batch_size)]
    for _ in range(rounds):
        said = subprocess.run([sys.executable, "-c", SINGLE, *arguments], capture_output=True, text=True, check=True)
        found = json.loads(said.stdout)
        whole.append((found["compiled"]["predicted_total"], found["compiled"]["measured_total"]))
        for layer in found["layers"]:
            for way in ("forward", "backward"):
                times[layer["name"], way].append((layer[f"predicted_{way}"], layer[f"measured_{way}"]))
    best = {key: (min(p for p, _ in pairs), min(m for _, m in pairs)) for key, pairs in times.items()}
    return best, (min(p for p, _ in whole), min(m for _, m in whole))


if __name__ == "__main__":
    sys.exit(main())
