"""How a step of data-parallel training scales: predicted from measured parts, and compared with measured steps.

    python benchmarks/parallel_scaling.py predict [--bandwidth 10e9] [--delay 20e-6] [--images 32]
    python benchmarks/parallel_scaling.py efficiency
    sudo python benchmarks/parallel_scaling.py network [--network NOTATION] [--rates 100 300 1000] [--ranks 2 4]

`predict` measures the gradient of batches of two sizes on this machine, and predicts steps on 1 to 1,024 such machines.
`network` lets ranks run in network namespaces of this machine whose links are shaped to some Mbit/s, each on one core's
thread; asserts by the interfaces' counters that the gradients went over them; and compares steps, with sums during the
backward pass and after it, with predictions from parts that the ranks measure: gradients without sums, which all of
them form at the same time, as several may share a core; sums without gradients; and by how much sums slow them down.
`efficiency` compares two processes of one core each with one, on `resnet20` with batches of 128, on two idle cores.
Kernels without netem shape the rate alone; the delay is that of the link, which is measured.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

import rot180
from parallel_model import Link, Parts, measure
from rot180.parallel.launch import launcher_command

NETWORKS = ("cnn-32-64-512", "resnet18", "resnet50")
SUMS = 4
"""How many sums follow one another where their time is measured."""
ROUNDS = 5
"""How often each part is measured, in turns: a machine is not equally fast at all times."""

MACHINES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


def trainer_of(name: str):
    """Return the trainer of a network, by name or notation."""
    from rot180.training import SGD, Trainer

    model = rot180.network(name) if ">" in name else rot180.model(name)
    trainer = Trainer(model, optimizer=SGD(lr=1e-4, momentum=0.9))
    trainer.prepare(model.input_shape)
    return trainer


def table(name: str, parts: Parts, images: int, link: Link) -> None:
    """Print efficiencies on many machines, where it stops paying, and what would help."""
    print(
        f"\n{name}: {parts.image * 1e3:.2f} ms an image, update {parts.update * 1e3:.1f} ms, {parts.size / 1e6:.1f} MB;"
    )
    print(f"{images} images a machine, {link.bandwidth / 1e9:g} Gbit/s, {link.delay * 1e6:g} us")
    print(f"{'machines':>9} {'images/s':>10} {'efficiency':>11} {'no overlap':>11} {'4 x batch':>10} {'8-bit':>7}")
    alone, stops = parts.alone(images), None
    for machines in MACHINES:
        step = parts.step(machines, images, link)
        after = alone / parts.step(machines, images, link, overlap=False)
        larger = parts.alone(4 * images) / parts.step(machines, 4 * images, link)
        small = alone / parts.step(machines, images, link, compressed=4)
        if alone / step < 0.5 and stops is None:
            stops = machines
        print(
            f"{machines:9} {machines * images / step:10.0f} {alone / step:11.0%} {after:11.0%} {larger:10.0%} "
            f"{small:7.0%}"
        )
    print(f"half of the time is lost from {stops} machines on" if stops else "less than half of the time is lost")


def work(name: str, images: int, steps: int) -> None:
    """Be one of the ranks, and let the first print what was found, as JSON: steps, and what they are predicted from."""
    from rot180.parallel import connect
    from rot180.parallel.tree import Partial
    from rot180.training.data_parallel import DataParallel
    from rot180.training.gradient_sum import piece_of
    from rot180.training.shards import Shard

    together = connect()
    trainer = trainer_of(name)
    parallel = DataParallel(trainer, together)
    generator = np.random.default_rng(together.rank)
    labels = np.arange(images) % trainer.model.output_shape[0]
    pixels = generator.standard_normal((images, *trainer.model.input_shape)).astype("f4")
    shard = Shard(together.rank, images, pixels, labels, None)

    def times(*runs, repeats: int) -> list[list[float]]:
        """Return the times of runs that take turns, without those of the sums that they leave behind."""
        found = []
        for repeat in range(repeats + 2):
            found.append([])
            for run in runs:
                together.barrier()
                began = time.perf_counter()
                waits = run(repeat)
                found[-1].append(time.perf_counter() - began)
                for wait in waits or ():
                    wait()
        return found[2:]

    def timed(run, repeats: int) -> float:
        """Return the median time of a run."""
        return median(one for (one,) in times(run, repeats=repeats))

    def begin(numbers: int, count: int) -> list:
        waits = []
        for _ in range(count):
            own = Partial()
            own.add(together.rank, np.ones(numbers, np.float32))
            waits.append(together.begin_sum(own.nodes, together.size))
        return waits

    def sums(numbers: int, _: int) -> None:
        for wait in begin(numbers, SUMS):
            wait()

    if together.size == 1:

        def alone(_: int) -> None:
            trainer.run_batch(*shard[2:])

        found = {"step": timed(alone, steps)}
    else:

        def step(number: int) -> None:
            parallel.run_batch([shard], images * together.size, 0, number, update=True)

        def form(_: int) -> None:
            for _ in trainer.form(trainer.engine, pixels, labels, None, generator, least=least):
                together.advance()

        def form_beside(numbers: int, count: int, number: int) -> list:
            waits = begin(numbers, count)
            form(number)
            return waits

        def round_of_each() -> dict:
            """Return what one round finds: each of its parts lasts a moment of the same minute as the steps."""
            found = {"step": timed(step, steps)}
            parts = measure(trainer, (images, images), steps, together)
            probes = [max(size for _, size in parts.pieces) // 4 // share for share in (2, 1)]
            half, whole = (timed(partial(sums, numbers), 5) / SUMS for numbers in probes)
            others = together.size - 1
            bits = 8 * 2 * 4 * (probes[1] - probes[0]) * others / together.size
            beside = times(partial(form_beside, probes[1], len(parts.pieces)), form, repeats=steps)
            found |= asdict(parts) | {
                "bandwidth": bits / max(whole - half, 1e-9),
                "delay": max(2 * half - whole, 0.0) / (2 * others),
                "slowed": max(median(slow - fast for slow, fast in beside), 0.0),
            }
            begin_sum, together.begin_sum = together.begin_sum, lambda *of: partial(together.sum, *of)
            found["after"] = timed(step, steps)
            together.begin_sum = begin_sum
            return found

        least, steps = piece_of(trainer.engine.gradient), max(steps // ROUNDS, 3)
        rounds = [round_of_each() for _ in range(ROUNDS)]
        found = {
            key: value if isinstance(value, tuple) else median(one[key] for one in rounds)
            for key, value in rounds[0].items()
        }
    if together.rank == 0:
        print(json.dumps(found))


def efficiency(name: str, images: int, steps: int, repeats: int = 3) -> bool:
    """Compare two processes of one core each with one process of one core, and return whether they are 90% faster.

    Two cores may compute at less than twice the speed of one, as they share caches and memory: so the same is told of
    two processes that form their gradients and make their updates, without sums.
    """
    environment, best = {**os.environ, "NUMBA_NUM_THREADS": "1"}, {1: math.inf, 2: math.inf, "apart": math.inf}
    for _ in range(repeats):
        for size in (1, 2):
            program = [sys.executable, __file__, "work", "--network", name, "--images", str(images // size)]
            words = [*launcher_command(None), "-n", str(size), *program, "--steps", str(steps)]
            ran = subprocess.run(words, env=environment, check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(ran.stdout)
            best[size] = min(best[size], found["step"])
            if size == 2:
                best["apart"] = min(best["apart"], found["fixed"] + found["update"])
    reached, possible = best[1] / best[2] / 2, best[1] / best["apart"] / 2
    print(f"{name}, batch {images}: {best[1]:.4f} s on 1 process, {best[2]:.4f} s on 2, efficiency {reached:.0%}")
    print(f"2 processes without sums: {best['apart']:.4f} s, efficiency {possible:.0%}")
    return reached >= 0.9


@contextmanager
def namespaces(count: int, rate: int):
    """Create namespaces with an address each on one bridge, whose links send at most `rate` Mbit/s."""

    def run(*words: str, check: bool = True) -> None:
        subprocess.run(words, check=check, capture_output=not check)

    def remove() -> None:
        for number in range(1, count + 1):
            run("ip", "link", "del", f"rot180-{number}", check=False)  # which a namespace takes a while to remove
            run("ip", "netns", "del", f"rot180-{number}", check=False)
        run("ip", "link", "del", "rot180-bridge", check=False)

    remove()
    run("ip", "link", "add", "rot180-bridge", "type", "bridge")
    run("ip", "link", "set", "rot180-bridge", "up")
    try:
        for number in range(1, count + 1):
            space, outer = f"rot180-{number}", f"rot180-{number}"
            run("ip", "netns", "add", space)
            run("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", space)
            run("ip", "link", "set", outer, "master", "rot180-bridge", "up")
            run("ip", "-n", space, "addr", "add", f"10.77.0.{number}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                run("ip", "-n", space, "link", "set", device, "up")
            shape = [
                "tbf",
                "rate",
                f"{rate}mbit",
                "burst",
                f"{max(64, rate // 4)}kb",
                "latency",
                "5s",
            ]  # nothing is lost
            run("ip", "netns", "exec", space, "tc", "qdisc", "add", "dev", "eth0", "root", *shape)
        yield
    finally:
        remove()


ENTER = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
host=$1; shift
exec ip netns exec rot180-${host##*.} sh -c "$*" < /dev/null
"""
"""What MPICH's launcher calls instead of ssh: options, the host, and a command."""


FAR = ["ip", "netns", "exec", "rot180-2"]
"""What runs a command on the second machine."""


def launcher_between(count: int, folder: Path) -> list[str]:
    """Return what runs a command on so many machines, which are namespaces; `folder` keeps its script."""
    enter = folder / "enter"
    enter.write_text(ENTER)
    enter.chmod(0o700)
    hosts = ",".join(f"10.77.0.{number}" for number in range(1, count + 1))
    over = ["-launcher", "ssh", "-launcher-exec", str(enter), "-hosts", hosts, "-n", str(count), "-ppn", "1"]
    return ["ip", "netns", "exec", "rot180-1", *launcher_command(None), *over]


def far_environment() -> dict[str, str]:
    """Return an environment in which MPI does not share memory between namespaces, and a process has one thread."""
    far = {"UCX_TLS": "tcp,self", "FI_PROVIDER": "tcp", "MPIR_CVAR_NOLOCAL": "1"}
    return {**os.environ, **far, "NUMBA_NUM_THREADS": "1"}


def compare(name: str, images: int, rates: list[int], sizes: list[int], steps: int) -> bool:
    """Print predicted and measured steps, and return whether all are within 15% of each other."""
    agree = True
    program = [sys.executable, __file__, "work", "--network", name, "--images", str(images), "--steps", str(steps)]
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            for rate in rates:
                with namespaces(size, rate):
                    words = [*launcher_between(size, Path(folder)), *program]
                    ran = subprocess.run(words, env=far_environment(), check=True, stdout=subprocess.PIPE, text=True)
                    sent = int(Path("/sys/class/net/rot180-1/statistics/rx_bytes").read_text())
                found = json.loads(ran.stdout)
                link = Link(found["bandwidth"], found["delay"])
                parts = Parts(**{key: found[key] for key in ("fixed", "image", "update", "pieces", "halts", "slowed")})
                assert sent > 2 * steps * parts.size * (size - 1) / size, "the gradients did not go over the link"
                print(
                    f"{size} ranks, {rate} Mbit/s ({link.bandwidth / 1e6:.0f} measured, {link.delay * 1e6:.0f} us), "
                    f"gradient {parts.fixed * 1e3:.1f} ms, update {parts.update * 1e3:.1f} ms, "
                    f"{parts.size / 1e6:.2f} MB",
                    flush=True,
                )
                for what, overlap in (("step", True), ("after", False)):
                    expected = parts.step(size, images, link, overlap=overlap)
                    off = expected / found[what] - 1
                    agree &= abs(off) <= 0.15
                    when = "during" if overlap else "after "
                    measured = f"{found[what] * 1e3:.1f} ms, predicted {expected * 1e3:.1f} ({off:+.0%})"
                    print(f"  sums {when} the backward pass: {measured}", flush=True)
    return agree


def main() -> int:
    """Run a subcommand."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("predict", "network", "efficiency", "work"))
    parser.add_argument("--bandwidth", type=float, default=10e9, help="bit/s")
    parser.add_argument("--delay", type=float, default=20e-6, help="seconds")
    parser.add_argument("--network", default="resnet20", help="a name, or a notation")
    parser.add_argument("--images", type=int, default=32, help="of a machine")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rates", type=int, nargs="+", default=[100, 300, 1000], help="Mbit/s")
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4])
    given = parser.parse_args()
    if given.what == "work":
        work(given.network, given.images, given.steps)
    elif given.what == "efficiency":
        return int(not efficiency("resnet20", 128, given.steps))
    elif given.what == "network":
        return int(not compare(given.network, given.images, given.rates, given.ranks, given.steps))
    else:
        for name in NETWORKS:
            sizes = (32, 128) if name.startswith("cnn") else (2, 4)
            table(name, measure(trainer_of(name), sizes, 3), given.images, Link(given.bandwidth, given.delay))
    return 0


if __name__ == "__main__":
    sys.exit(main())
