"""How a step of data-parallel training scales: predicted from measured parts, and compared with measured steps.

    python benchmarks/parallel_scaling.py predict [--bandwidth 10e9] [--delay 20e-6] [--batch 64]
    python benchmarks/parallel_scaling.py efficiency
    sudo python benchmarks/parallel_scaling.py network [--network NOTATION] [--rates 100 300 1000]

`predict` measures the gradient of batches of two sizes on this machine, and predicts steps on 1 to 1,024 such machines.
`network` lets ranks run in network namespaces of this machine whose links are shaped to some Mbit/s, each on one core's
thread; asserts by the interfaces' counters that the gradients went over them; and compares the steps with predictions.
`efficiency` compares two processes of one core each with one, on `resnet20` with batches of 128, on two idle cores.
Kernels without netem shape the rate alone; the delay is that of the link, which is measured.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import rot180
from rot180.parallel.launch import launcher_command

NETWORKS = ("cnn-32-64-512", "resnet18", "resnet50")
PROBE = 1 << 20
MACHINES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


@dataclass(frozen=True)
class Parts:
    """What a step on one machine takes, in seconds, and how large the gradient is, in bytes."""

    fixed: float
    """Of a gradient, whatever the number of images."""
    image: float
    """For each image."""
    update: float
    """The update, with everything that is done once to the sum of the gradients."""
    size: int

    def step(self, images: int) -> float:
        """Return the seconds of a step on one machine."""
        return self.fixed + self.image * images + self.update


def exchange(machines: int, size: float, bandwidth: float, delay: float) -> float:
    """Return the seconds of a sum: two rounds in which each machine sends its share to all others.

    The sum of losses and counts, which is small, takes one more round of messages.
    """
    others = machines - 1
    return 2 * size * 8 / bandwidth * others / machines + 3 * delay * others


def predict(
    parts: Parts,
    machines: int,
    images: int,
    bandwidth: float,
    delay: float,
    *,
    compressed: float = 1,
    overlap: bool = False,
) -> float:
    """Return the seconds of a step in which each machine has `images` images.

    With `overlap`, the exchange of all but the last layers' gradients hides behind the backward pass, two thirds of the
    gradient's time.
    """
    sent = exchange(machines, parts.size / compressed, bandwidth, delay)
    hidden = min(sent, 2 / 3 * (parts.fixed + parts.image * images)) if overlap else 0.0
    return parts.step(images) + sent - hidden


def made(name: str) -> rot180.Network:
    """Return a network by name or notation."""
    return rot180.network(name) if ">" in name else rot180.model(name)


def measure(name: str, sizes: tuple[int, int], repeats: int = 3) -> Parts:
    """Measure the parts of a step on this machine: the best of some repetitions."""
    from rot180.training import SGD, Trainer

    model = made(name)
    trainer = Trainer(model, optimizer=SGD(lr=1e-4, momentum=0.9))
    trainer.prepare(model.input_shape)
    generator, seconds = np.random.default_rng(0), []
    for size in sizes:
        images = generator.standard_normal((size, *model.input_shape)).astype(np.float32)
        labels = np.arange(size) % model.output_shape[0]
        times = []
        for _ in range(repeats + 1):
            began = time.perf_counter()
            _, gradient = trainer.form(images, labels, None, generator)
            own = gradient * size  # as for a sum
            times.append(time.perf_counter() - began)
        seconds.append(min(times[1:]))
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        own /= sizes[1]
        trainer.apply(own, sizes[1], update=True)
        times.append(time.perf_counter() - began)
    image = max((seconds[1] - seconds[0]) / (sizes[1] - sizes[0]), 1e-9)
    return Parts(max(seconds[0] - image * sizes[0], 0.0), image, min(times[1:]), gradient.nbytes)


def table(name: str, parts: Parts, images: int, bandwidth: float, delay: float) -> None:
    """Print efficiencies on many machines, where it stops paying, and what would help."""
    print(
        f"\n{name}: {parts.image * 1e3:.2f} ms an image, update {parts.update * 1e3:.1f} ms, {parts.size / 1e6:.1f} MB;"
    )
    print(f"{images} images a machine, {bandwidth / 1e9:g} Gbit/s, {delay * 1e6:g} us")
    print(f"{'machines':>9} {'images/s':>10} {'efficiency':>11} {'4 x batch':>10} {'8-bit':>7} {'overlap':>8}")
    alone, stops = parts.step(images), None
    for machines in MACHINES:
        step = predict(parts, machines, images, bandwidth, delay)
        larger = parts.step(4 * images) / predict(parts, machines, 4 * images, bandwidth, delay)
        small = alone / predict(parts, machines, images, bandwidth, delay, compressed=4)
        hidden = alone / predict(parts, machines, images, bandwidth, delay, overlap=True)
        if alone / step < 0.5 and stops is None:
            stops = machines
        print(
            f"{machines:9} {machines * images / step:10.0f} {alone / step:11.0%} {larger:10.0%} {small:7.0%} "
            f"{hidden:8.0%}"
        )
    print(f"half of the time is lost from {stops} machines on" if stops else "less than half of the time is lost")


def work(name: str, images: int, steps: int) -> None:
    """Be one of the ranks: train for some steps, and print the best time, the delay and the bandwidth of the link.

    The link is measured without a network: by barriers, and by sums of PROBE numbers.
    """
    from rot180.parallel import connect
    from rot180.parallel.messages import everywhere
    from rot180.training import SGD, Trainer
    from rot180.training.data_parallel import DataParallel, Shard

    together = connect()
    model = made(name)
    trainer = Trainer(model, optimizer=SGD(lr=1e-4, momentum=0.9))
    trainer.prepare(model.input_shape)
    parallel = DataParallel(trainer, together)
    generator = np.random.default_rng(together.rank)
    labels = np.arange(images) % model.output_shape[0]
    shard = Shard(together.rank, generator.standard_normal((images, *model.input_shape)).astype("f4"), labels, None)
    times, delays = [], []
    for step in range(steps + 1):
        together.barrier()
        began = time.perf_counter()
        if together.size == 1:
            trainer.run_batch(*shard[1:])
        else:
            parallel.run_batch([shard], images * together.size, 0, step, update=True)
        times.append(time.perf_counter() - began)
        began = time.perf_counter()
        together.barrier()
        delays.append(time.perf_counter() - began)
    seconds = []
    for _ in range(4):
        together.barrier()
        began = time.perf_counter()
        everywhere(together, np.zeros(PROBE, np.float32))
        seconds.append(time.perf_counter() - began)
    if together.rank == 0:
        others, delay = together.size - 1, min(delays[1:]) / together.size.bit_length()
        sent = 2 * 4 * PROBE * others / together.size
        print(min(times[1:]), delay, 8 * sent / max(min(seconds) - 2 * delay * others, 1e-9))


def efficiency(name: str, images: int, steps: int, repeats: int = 3) -> bool:
    """Compare two processes of one core each with one process of one core, and return whether they are 90% faster."""
    environment, best = {**os.environ, "NUMBA_NUM_THREADS": "1"}, {1: float("inf"), 2: float("inf")}
    for _ in range(repeats):
        for size in best:
            program = [sys.executable, __file__, "work", "--network", name, "--images", str(images // size)]
            words = [*launcher_command(None), "-n", str(size), *program, "--steps", str(steps)]
            ran = subprocess.run(words, env=environment, check=True, capture_output=True, text=True)
            best[size] = min(best[size], float(ran.stdout.split()[0]))
    found = best[1] / best[2] / 2
    print(f"{name}, batch {images}: {best[1]:.3f} s on 1 process, {best[2]:.3f} s on 2, efficiency {found:.0%}")
    return found >= 0.9


@contextmanager
def namespaces(count: int, rate: int):
    """Create namespaces with an address each on one bridge, whose links send at most `rate` Mbit/s."""

    def run(*words: str, check: bool = True) -> None:
        subprocess.run(words, check=check, capture_output=not check)

    def remove() -> None:
        for number in range(1, count + 1):
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
            shape = ["tbf", "rate", f"{rate}mbit", "burst", f"{max(64, rate // 4)}kb", "latency", "200ms"]
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


def compare(name: str, images: int, rates: list[int], sizes: list[int], steps: int) -> bool:
    """Print predicted and measured steps, and return whether all are within 15% of each other."""
    os.environ["NUMBA_NUM_THREADS"] = "1"
    environment = {**os.environ, "UCX_TLS": "tcp,self", "FI_PROVIDER": "tcp", "MPIR_CVAR_NOLOCAL": "1"}
    parts = measure(name, (images // 2, images), repeats=10)
    print(f"gradient of {images} images: {parts.step(images) * 1e3:.1f} ms, {parts.size / 1e6:.2f} MB")
    agree = True
    with tempfile.TemporaryDirectory() as folder:
        enter = Path(folder) / "enter"
        enter.write_text(ENTER)
        enter.chmod(0o700)
        for size in sizes:
            hosts = ",".join(f"10.77.0.{number}" for number in range(1, size + 1))
            launcher = [*launcher_command(None), "-launcher", "ssh", "-launcher-exec", str(enter), "-hosts", hosts]
            for rate in rates:
                with namespaces(size, rate):
                    program = [sys.executable, __file__, "work", "--network", name, "--images", str(images)]
                    words = ["ip", "netns", "exec", "rot180-1", *launcher, "-n", str(size), "-ppn", "1", *program]
                    ran = subprocess.run(
                        [*words, "--steps", str(steps)], env=environment, check=True, capture_output=True, text=True
                    )
                    sent = int(Path("/sys/class/net/rot180-1/statistics/rx_bytes").read_text())
                assert sent > steps * parts.size * (size - 1) / size, "the gradients did not go over the link"
                step, delay, bandwidth = map(float, ran.stdout.split())
                cores = max(1, size / (os.cpu_count() or 1))
                slowed = Parts(parts.fixed * cores, parts.image * cores, parts.update * cores, parts.size)
                expected = predict(slowed, size, images, bandwidth, delay)
                off = expected / step - 1
                agree &= abs(off) <= 0.15
                found = f"{step * 1e3:.1f} ms, predicted {expected * 1e3:.1f} ({off:+.0%})"
                print(f"{size} ranks, {rate} Mbit/s, {bandwidth / 1e6:.0f} measured: {found}", flush=True)
    return agree


def main() -> int:
    """Run a subcommand."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("predict", "network", "efficiency", "work"))
    parser.add_argument("--bandwidth", type=float, default=10e9, help="bit/s")
    parser.add_argument("--delay", type=float, default=20e-6, help="seconds")
    parser.add_argument("--batch", type=int, default=32, help="images of a machine")
    parser.add_argument("--network", default="32x32x3 > conv3x3:32:same relu maxpool2 > fc512 relu > fc10")
    parser.add_argument("--images", type=int, default=32)
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
            table(name, measure(name, sizes), given.batch, given.bandwidth, given.delay)
    return 0


if __name__ == "__main__":
    sys.exit(main())
