"""Kill random processes of a training under `rot180 launch` at random times; it must finish with the same weights.

    python benchmarks/parallel_kills.py [--kills 100] [--processes 3] [--seed 0]

For every kill: how long until the other processes are gone, and whether any of them was left. Needs Linux and mpiexec.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from parallel_bits import ROT180, digest
from rot180.parallel.launch import _ranks_below

OPTIONS = ["--batch-size", "20", "--shards", "4", "--no-pictures", "--checkpoint-every", "10", "--watchdog", "60"]
NETWORK = "8x8x1 > conv3x3:8:same bn relu maxpool2 > fc32 relu dropout0.3 > fc10"


def exists(process: int) -> bool:
    """Return whether a process is there, and not only its exit status."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def main() -> int:
    """Run until there have been enough kills; return 1 if anything was not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance, environment = random.Random(given.seed), {**os.environ, "NUMBA_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as name:
        folder, steps = Path(name), 15 * given.kills
        train = ["train", "--limit", "200", "--epochs", str(max(2, steps // 10)), "-m", NETWORK, *OPTIONS]
        subprocess.run(
            [*ROT180, *train, "--out", folder / "expected"], check=True, env=environment, capture_output=True
        )
        launch = ["launch", "-n", str(given.processes), "--max-restarts", str(given.kills), "--"]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                [*ROT180, *launch, *train, "--out", folder / "run"], env=environment, stdout=log, stderr=log
            )
            kills, slowest, left = 0, 0.0, 0
            while process.poll() is None and kills < given.kills:
                ranks = list(_ranks_below(process.pid))
                if len(ranks) < given.processes:
                    time.sleep(0.02)
                    continue
                time.sleep(chance.uniform(0, 3))  # while they start, train, write or end
                victim = chance.choice(ranks)
                if process.poll() is not None or not exists(victim):
                    continue
                began = time.monotonic()
                os.kill(victim, signal.SIGKILL)
                kills += 1
                while any(map(exists, ranks)) and time.monotonic() < began + 10:
                    time.sleep(0.005)
                took = time.monotonic() - began
                slowest, left = max(slowest, took), left + sum(map(exists, ranks))
                print(f"kill {kills}: the others were gone after {took:.2f} s", flush=True)
            status = process.wait()
        restarts = (folder / "log").read_text().count(" from the last checkpoint")
        same = status == 0 and digest(folder / "run") == digest(folder / "expected")
    print(f"{kills} kills, {restarts} restarts, exit status {status}, slowest {slowest:.2f} s, left behind: {left}")
    print("the weights are those of an undisturbed training" if same else "THE WEIGHTS DIFFER")
    return int(not same or left > 0 or slowest > 2)


if __name__ == "__main__":
    sys.exit(main())
