"""Train with --shards 8 on 1, 2, 4 and 8 processes, killed and resumed with another number, and compare the weights.

    python benchmarks/parallel_bits.py [--count 20] [--seed 0]

Each training is of a chain, of resnet20, or of resnet20 with synchronized normalization, on random images. It is
started on some processes; a random one of them is killed or asked to stop after some checkpoints; and it is resumed on
another number of processes. The SHA-256 of its model file must be that of the same training on one process without a
break. Needs Linux and mpiexec.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from rot180.parallel.launch import _ranks_below, launcher_command

ROT180 = [sys.executable, "-P", "-c", "import sys; from rot180.cli import main; sys.exit(main())"]
NETWORKS = {
    "chain": ["-m", "32x32x3 > conv3x3:8 relu maxpool4 > fc32 relu dropout0.3 > fc10"],
    "resnet20": ["-m", "resnet20"],
    "resnet20, synchronized": ["-m", "resnet20", "--sync-batch-norm"],
}
SIZES = (1, 2, 4, 8)


def write_images(path: Path) -> None:
    """Write a small data set of random images."""
    generator = np.random.default_rng(0)
    labels = np.arange(120) % 10
    images = generator.integers(0, 256, (120, 32, 32, 3), np.uint8)
    np.savez(path, x_train=images[:100], y_train=labels[:100], x_test=images[100:], y_test=labels[100:])


def arguments(network: str, data: Path, out: Path) -> list[str]:
    """Return a command that trains in a dozen steps."""
    options = ["--epochs", "3", "--batch-size", "25", "--shards", "8", "--augment", "shift:2,flip", "--ema", "0.9"]
    return ["train", str(data), *NETWORKS[network], *options, *UNCHANGED, "--out", str(out)]


UNCHANGED = ["--no-pictures", "--checkpoint-every", "1"]


def start(size: int, words: list[str]) -> subprocess.Popen[bytes]:
    """Start a command on some processes of one thread."""
    command = [*launcher_command(None), "-n", str(size), *ROT180, *words]
    environment = {**os.environ, "NUMBA_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def digest(run: Path) -> str:
    """Return the checksum of a run's weights."""
    return hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()


def disturb(process: subprocess.Popen[bytes], run: Path, chance: random.Random) -> str:
    """Kill one of the processes, or ask it to stop, after some checkpoints; return what was done."""
    after = chance.randint(2, 9)
    while process.poll() is None and not (run / "checkpoints" / f"{after:06}").exists():
        time.sleep(0.01)
    ranks = list(_ranks_below(process.pid))
    if not ranks:
        return "finished before it was disturbed"
    number = chance.choice([signal.SIGKILL, signal.SIGTERM])
    try:
        os.kill(chance.choice(ranks), number)
    except ProcessLookupError:
        return "finished before it was disturbed"
    process.wait()
    return f"{number.name} after checkpoint {after}"


def main() -> int:
    """Run the trainings and return 1 if any weights differ."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance, equal = random.Random(given.seed), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(data := folder / "images.npz")
        expected = {}
        for network in NETWORKS:
            start(1, arguments(network, data, folder / network)).wait()
            expected[network] = digest(folder / network)
            print(f"{network}, undisturbed on 1 process: {expected[network][:16]}", flush=True)
        for turn in range(given.count):
            network, run = list(NETWORKS)[turn % 3], folder / f"run{turn}"
            first = SIZES[turn // 3 % 4]
            second = chance.choice([size for size in SIZES if size != first])
            process = start(first, arguments(network, data, run))
            done = disturb(process, run, chance)
            process.wait()
            start(second, ["train", "--resume", str(run), *UNCHANGED]).wait()
            same = digest(run) == expected[network]
            equal += same
            print(f"{network} on {first}, {done}, resumed on {second}: {'same' if same else 'OTHER'}", flush=True)
    print(f"{equal} of {given.count} have the same weights")
    return int(equal < given.count)


if __name__ == "__main__":
    sys.exit(main())
