"""Feed generated inputs to every reader: typed errors only, at most 256 MB of memory and 2 s of processor time each.

    python benchmarks/soak_parsers.py [--count 100000] [--seed 0] [--parser NAME ...] [--jobs 2] [--save FOLDER]

`--count` is the number of inputs for each reader. Most inputs are valid ones with a few bytes changed, cut, doubled or
spliced; some are entirely random. An input may be read, or refused with a `Rot180Error`; anything else is a fault, and
`--save` keeps its input. Each reader runs in its own process, with limited memory. The exit status is 1 if there is a
fault.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from random import Random
from types import FrameType

from rot180.errors import Rot180Error
from soak_inputs import GRAPHS, IMAGES, KERAS, WEIGHTS, make_seeds, parsers

MAX_MEMORY, MAX_SECONDS = 256 * 1024**2, 2.0

LIMIT = 1024**3
"""Bytes of addresses that a process may take beyond those it begins with: an input that asks for more is a fault."""

WATCHED = 64
"""Inputs between two looks at the memory; where it was exceeded, they are read again one by one."""

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
"""What breaks sizes and offsets."""

_JSON = [*rb'{ } [ ] , : null true 1e999 -1 0.5 NaN 99999999999999999999 \u0000 "epoch" "event"'.split(b" "), b"\n"]
_TABLE = [*rb"0 9 255 256 -1 1e9 nan inf , ,, ; label ../../a.png 99999999999999999999".split(b" "), b'"', b"\n", b"\r"]

_ONNX = [
    *rb"Conv Relu Resize Pad Tile Expand ConstantOfShape Reshape Split Concat Gemm MatMul axis pads".split(b" "),
    b"\x22\x04Tile", b"\x0a\x00", b"\x12\x00", b"\xff" * 9 + b"\x01", b"\x80\x80\x80\x80\x10", b"\x08\x80\x80\x04",
]  # fmt: skip

WORDS = {
    "csv": [*_TABLE, b"\xff", b"\t"],
    "listing": [*_TABLE, b"a.png", b"/"],
    "config": [
        *rb"= [ ] [[ ]] { } # inf nan 1e400 0x 1979-05-27 true .".split(b" "),
        b'"',
        b'"""',
        b"\n",
        b"\\",
        b"\xff",
    ],
    "notation": rb"> x conv pool fc relu [ ] * 2 99999 : same valid / - 0 1e9 dropout 28x28x1 maxpool".split(b" "),
    "history": _JSON,
    "state": _JSON,
    "hub-config": _JSON,
    "keras-config": [
        *_JSON,
        *b"Conv2D Dense Reshape Add Concatenate Multiply Flatten Functional Sequential InputLayer units".split(b" "),
    ],
    "onnx": _ONNX,
    "onnx-nodes": _ONNX,
}
"""Pieces of the text formats, put in now and then."""


class Hang(BaseException):
    """Reading an input took so long that it was interrupted."""


@dataclass
class Tally:
    """The results for one reader's inputs."""

    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    memory: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


def mutate(parser: str, seeds: list[bytes], generator: Random) -> bytes:
    """Return an input: a valid one with one to six faults in it, or occasionally random bytes."""
    draw = generator.random
    if draw() < 0.03:
        return generator.randbytes(int(400 * draw()))
    content = bytearray(seeds[int(draw() * len(seeds))])
    for _ in range(1 + int(6 * draw())):
        # Headers are at the beginning; the directories of zip, Parquet and TIFF files are at the end.
        place, near = draw(), int(64 * draw())
        at = int(draw() * (len(content) + 1))
        if place < 0.4:
            at = min(near, len(content))
        elif place < 0.55:
            at = max(len(content) - 4 * near, 0)
        end = min(at + 1 + int(16 * draw()), len(content))
        kind = int(9 * draw())
        if kind == 0:
            content[at:end] = generator.randbytes(max(end - at, 0))
        elif kind == 1 and at < len(content):
            content[at] ^= 1 << int(8 * draw())
        elif kind == 2:
            del content[at:end]
        elif kind == 3:
            content[at:at] = generator.randbytes(max(end - at, 0))
        elif kind == 4:
            content[at:at] = content[at : at + 1 + int(200 * draw())]
        elif kind == 5 and draw() < 0.3:
            del content[at:]
        elif kind == 6:
            size = (1, 2, 4, 8)[int(4 * draw())]
            number = NUMBERS[int(len(NUMBERS) * draw())] % 256**size
            content[at : at + size] = number.to_bytes(size, "big" if draw() < 0.5 else "little")
        elif kind == 7 and draw() < 0.5:
            other = seeds[int(draw() * len(seeds))]
            content[at:] = other[int(draw() * (len(other) + 1)) :]
        elif parser in WORDS:
            content[at:at] = WORDS[parser][int(draw() * len(WORDS[parser]))]
    return bytes(content)


def soak(parser: str, count: int, seed: int, folder: Path, save: Path | None = None) -> Tally:
    """Feed `count` inputs to one reader."""
    seeds, parse = make_seeds(folder)[parser], parsers(folder)[parser]
    for content in seeds:  # they must be readable, or the rest would show little; this also does what is done only once
        parse(content)
    generator = Random(f"{seed} {parser}")
    tally, began = Tally(), time.perf_counter()
    before = signal.signal(signal.SIGPROF, break_off)
    base, inputs = forget_peak(), []

    def fault(number: int, content: bytes, what: str) -> None:
        tally.faults.append(f"{parser} input {number} of seed {seed}: {what}")
        if save is not None:
            save.mkdir(parents=True, exist_ok=True)
            (save / f"{parser}-{seed}-{number}").write_bytes(content)

    for number in range(count):
        content = mutate(parser, seeds, generator)
        inputs.append((number, content))
        if what := _feed(parse, content, parser, tally):
            fault(number, content, what)
        if len(inputs) == WATCHED or number == count - 1:
            memory = peak() - base
            if memory > MAX_MEMORY and tally.memory <= MAX_MEMORY:
                for earlier, again in inputs:
                    before_it = forget_peak()
                    _feed(parse, again, parser, Tally())
                    if peak() - before_it > MAX_MEMORY:
                        fault(earlier, again, f"{(peak() - before_it) / 1024**2:.0f} MB of memory")
                        break
                else:
                    fault(number, content, f"{memory / 1024**2:.0f} MB of memory, with those before it")
            tally.memory = max(tally.memory, memory)
            inputs.clear()
    signal.signal(signal.SIGPROF, before)
    tally.seconds = time.perf_counter() - began
    return tally


def _feed(parse: Callable[[bytes], object], content: bytes, parser: str, tally: Tally) -> str:
    """Read one input; return what is wrong with the outcome, empty if nothing is."""
    what = ""
    began = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, 5 * MAX_SECONDS)
    try:
        parse(content)
        tally.read += 1
    except Rot180Error as error:
        tally.refused += 1
        if parser != "notation" and "\n" in str(error):
            what = "a message of several lines"
        elif len(str(error)) > 1000:
            what = f"a message of {len(str(error))} characters"
    except BaseException as error:
        what = f"{type(error).__name__}: {str(error)[:200]}"
    signal.setitimer(signal.ITIMER_PROF, 0)
    seconds = time.process_time() - began
    tally.slowest = max(tally.slowest, seconds)
    return what or (f"{seconds:.1f} s" if seconds > MAX_SECONDS else "")


def peak() -> int:
    """Return the peak memory of this process since `forget_peak`, in bytes."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def forget_peak() -> int:
    """Restart the measurement of peak memory, if the system can, and return the bytes in memory now."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak()


def break_off(number: int, frame: FrameType | None) -> None:
    """Interrupt whatever hangs."""
    raise Hang("broken off")


def _in_a_process(parser: str, count: int, seed: int, save: Path | None) -> Tally:
    """Soak one reader in a process with limited memory."""
    warnings.simplefilter("ignore")
    shared = Path("/dev/shm")  # in memory, if the system has it: a file is written for each input
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        make_seeds(Path(folder))
        with suppress(OSError, IndexError):
            taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (taken + LIMIT, resource.RLIM_INFINITY))
        return soak(parser, count, seed, Path(folder), save)


def main() -> int:
    """Run the soak from the command line."""
    names = ["idx", "csv", "listing", "npy", "npz", "parquet", "cifar", *IMAGES, "safetensors", "config", "history",
             "state", "notation", *WEIGHTS, *GRAPHS, *KERAS]  # fmt: skip
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--count", type=int, default=100_000, help="inputs for each reader")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument(
        "--parser", action="append", choices=names, help="only this reader; may be given more than once"
    )
    arguments.add_argument("--jobs", type=int, default=2, help="number of processes")
    arguments.add_argument("--save", type=Path, help="where to save inputs that show a fault")
    given = arguments.parse_args()
    began, inputs, faults = time.perf_counter(), 0, []
    print(f"{'reader':<20}{'inputs':>9}{'read':>9}{'refused':>9}{'slowest':>11}{'memory':>10}{'faults':>8}  a second")
    chosen = given.parser or names
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        running = [pool.submit(_in_a_process, name, given.count, given.seed, given.save) for name in chosen]
        for name, future in zip(chosen, running, strict=True):
            tally = future.result()  # raises if a reader took its process down, which is a fault as well
            print(
                f"{name:<20}{given.count:>9,}{tally.read:>9,}{tally.refused:>9,}{1000 * tally.slowest:>8.0f} ms"
                f"{tally.memory / 1024**2:>7.0f} MB{len(tally.faults):>8}{given.count / tally.seconds:>10,.0f}",
                flush=True,
            )
            inputs += given.count
            faults += tally.faults
    print(f"{inputs:,} inputs in {time.perf_counter() - began:.0f} s, {len(faults)} faults")
    for fault in faults[:50]:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
