"""Interrupt a training on two machines: the link between them goes down, or a process hangs; it must end in time.

    sudo python benchmarks/parallel_partition.py [--watchdog 5] [--count 5]

Two network namespaces are the machines. The training runs until it has written a checkpoint; then, in turns, the link
of the second namespace goes down, or the process there stops. For each: how long until the command has ended, its exit
status, and whether a process was left on either side. All must end within the watchdog's time and 10 s. Needs Linux,
root, and mpiexec.
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

from parallel_bits import ROT180
from parallel_kills import NETWORK, exists
from parallel_scaling import FAR, far_environment, launcher_between, namespaces

GRACE = 10
"""Seconds that may pass after the watchdog's."""


def processes_in(space: int) -> list[int]:
    """Return the processes in a namespace."""
    ran = subprocess.run(["ip", "netns", "pids", f"rot180-{space}"], capture_output=True, text=True, check=True)
    return [int(word) for word in ran.stdout.split()]


def interrupt(how: str, watchdog: int, folder: Path, chance: random.Random) -> bool:
    """Run one training until it is interrupted; return whether it ended as it must."""
    run = folder / "run"
    train = ["train", "--limit", "200", "--epochs", "10000", "-m", NETWORK, "--batch-size", "20", "--no-pictures"]
    train += ["--checkpoint-every", "10", "--watchdog", str(watchdog), "--out", str(run)]
    with namespaces(2, 1000), (folder / "log").open("w") as log:
        words = [*launcher_between(2, folder), *ROT180, *train]
        process = subprocess.Popen(words, env=far_environment(), stdout=log, stderr=log)
        while not list(run.glob("checkpoint*")):
            if process.poll() is not None:
                raise SystemExit((folder / "log").read_text())
            time.sleep(0.1)
        time.sleep(chance.uniform(0, 2))
        everybody = [*processes_in(1), *processes_in(2)]
        began = time.monotonic()
        if how == "link":
            subprocess.run([*FAR, "ip", "link", "set", "eth0", "down"], check=True)
        else:
            os.kill(max(processes_in(2)), signal.SIGSTOP)
        most = watchdog + GRACE
        try:
            status = process.wait(timeout=most)
        except subprocess.TimeoutExpired:
            status = None
        took = time.monotonic() - began
        while any(map(exists, everybody)) and time.monotonic() < began + most:
            time.sleep(0.05)
        left = [one for one in everybody if exists(one)]
        gone = time.monotonic() - began
        for one in left:
            os.kill(one, signal.SIGKILL)
        process.kill()
    print(f"{how}: ended after {took:.1f} s, status {status}; all processes gone after {gone:.1f} s, left {len(left)}")
    return status not in (None, 0) and not left


def main() -> int:
    """Interrupt trainings; return 1 if one of them did not end in time, or left a process."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--watchdog", type=int, default=5, help="seconds")
    parser.add_argument("--count", type=int, default=5, help="of each kind")
    given = parser.parse_args()
    chance, good = random.Random(0), 0
    for number in range(2 * given.count):
        with tempfile.TemporaryDirectory() as folder:
            good += interrupt(("link", "process")[number % 2], given.watchdog, Path(folder), chance)
    print(f"{good} of {2 * given.count} ended in time and left nothing")
    return int(good < 2 * given.count)


if __name__ == "__main__":
    sys.exit(main())
