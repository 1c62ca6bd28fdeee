"""Feed generated inputs to every parser: typed errors only, at most 256 MB of memory and 2 s for each.

    python benchmarks/soak_parsers.py [--count 100000] [--seed 0] [--parser NAME ...] [--save FOLDER]

`--count` is for each parser. Most inputs are valid ones with a few bytes changed, cut, doubled or spliced; some are
random altogether. An input may be read or refused with a `Rot180Error`; anything else is a fault, whose input is saved.
Exits 1 if there is one.
"""

from __future__ import annotations

import argparse
import gzip
import io
import resource
import signal
import struct
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import numpy as np
from PIL import Image

from rot180 import model, network, save_model
from rot180.data import read_csv, read_idx
from rot180.data.image import decode_image, look_at_image
from rot180.data.npz import read_npz
from rot180.errors import Rot180Error
from rot180.nn import MODELS
from rot180.runs import load_run
from rot180.runs.config import read_config, write_config

MAX_MEMORY, MAX_SECONDS = 256 * 1024**2, 2.0

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
"""What breaks sizes and offsets."""

WORDS = {
    "csv": [*rb"0 9 255 256 -1 1e9 nan inf , ,, label 99999999999999999999".split(b" "), b'"', b"\n", b"\r", b"\xff"],
    "config": [
        *rb"= [ ] [[ ]] { } # inf nan 1e400 0x 1979-05-27 true .".split(b" "),
        b'"',
        b'"""',
        b"\n",
        b"\\",
        b"\xff",
    ],
    "notation": rb"> x conv pool fc relu [ ] * 2 99999 : same valid / - 0 1e9 dropout 28x28x1 maxpool".split(b" "),
}
"""Pieces of the text formats, put in now and then."""


class Hang(BaseException):
    """An input took so long that it was broken off."""


@dataclass
class Tally:
    """What came of a parser's inputs."""

    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    memory: int = 0
    faults: list[str] = field(default_factory=list)


def make_seeds(folder: Path) -> dict[str, list[bytes]]:
    """Return valid inputs for each parser."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (5, 6, 6), dtype=np.uint8)
    idx = struct.pack(">HBB3I", 0, 8, 3, 5, 6, 6) + pixels.tobytes()
    labels = struct.pack(">HBBI", 0, 8, 1, 5) + bytes(5)
    floats = struct.pack(">HBB2I", 0, 14, 2, 2, 3) + np.arange(6, dtype=">f8").tobytes()
    rows = [f"{k},{','.join(map(str, image.ravel()[:25]))}" for k, image in enumerate(pixels)]
    header = "label," + ",".join(f"p{k}" for k in range(25))
    csv = ["\n".join(rows), "\r\n".join([header, *rows]), "1,2,3,4,5\n"]
    arrays = [io.BytesIO() for _ in range(3)]
    np.savez(arrays[0], images=pixels, labels=np.arange(5))
    np.savez_compressed(arrays[1], x_train=pixels, y_train=np.arange(5), x_test=pixels, y_test=np.arange(5))
    np.savez(arrays[2], x=pixels / 255, y=np.eye(5), class_names=np.array(list("abcde")))
    pictures = []
    color = Image.fromarray(generator.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    for kind, modes in {"PNG": "1 L LA P RGB RGBA I;16", "JPEG": "L RGB CMYK", "GIF": "L P", "BMP": "1 L P RGB",
                        "WEBP": "RGB RGBA"}.items():  # fmt: skip
        for mode in modes.split():
            file = io.BytesIO()
            picture = Image.fromarray(pixels[0].astype(np.uint16) * 257) if mode == "I;16" else color.convert(mode)
            picture.save(file, kind)
            pictures.append(file.getvalue())
    turned, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    color.save(turned, "JPEG", exif=exif)
    small = network("6x6x1 > conv3x3:2 relu maxpool2 > fc3").build()
    save_model(folder / "model.safetensors", small)
    tensors = (folder / "model.safetensors").read_bytes()
    write_config(folder / "config.toml", {"data": "digits", "model": "lenet5", "training": {"lr": 0.1, "epochs": 3}})
    notations = [text.encode() for text in MODELS.values()]
    notations += [
        b"32x32x3 > [conv3x3:8:same relu maxpool2]*2 > dropout0.5 > fc10",
        b"784 > fc10",
        str(model("digits")).encode(),
    ]
    return {
        "idx": [idx, labels, floats, gzip.compress(idx)],
        "csv": [text.encode() for text in csv] + [gzip.compress(csv[0].encode())],
        "npz": [file.getvalue() for file in arrays],
        "image": [*pictures, turned.getvalue()],
        "safetensors": [tensors],
        "config": [(folder / "config.toml").read_bytes(), b"[a]\nb = [1, 2.5, 'c']\n[[d]]\ne = {f = true}\n"],
        "notation": notations,
    }


def parsers(folder: Path) -> dict[str, Callable[[bytes], object]]:
    """Return what reads each kind of input; files are written into a folder first."""

    def from_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
        path = folder / name
        path.touch()

        def parse(content: bytes) -> object:
            # Written over and not made anew: some file systems flush the disk each time a file is cut to nothing.
            with path.open("r+b") as file:
                file.write(content)
                file.truncate()
            return read(path)

        return parse

    def image(content: bytes) -> object:
        look_at_image(content, "an image")
        return decode_image(content, "an image", (28, 28, 3))

    return {
        "idx": from_file("a.idx", read_idx),
        "csv": from_file("a.csv", read_csv),
        "npz": from_file("a.npz", read_npz),
        "image": image,
        "safetensors": from_file("a.safetensors", load_run),
        "config": from_file("a.toml", read_config),
        "notation": lambda content: network(content.decode("utf-8", "surrogateescape")),
    }


def mutate(parser: str, seeds: list[bytes], generator: np.random.Generator) -> bytes:
    """Return an input: a valid one with one to six faults in it, or now and then anything at all."""
    if generator.random() < 0.03:
        return generator.bytes(int(generator.integers(0, 400)))
    content = bytearray(seeds[generator.integers(len(seeds))])
    for _ in range(int(generator.integers(1, 7))):
        at = int(generator.integers(len(content) + 1))
        # Headers stand at the beginning (a zip's directory at the end): half of the faults go there.
        if generator.random() < 0.5:
            at = min(int(generator.integers(64)), len(content))
        end = min(at + int(generator.integers(1, 17)), len(content))
        kind = generator.integers(9)
        if kind == 0:
            content[at:end] = generator.bytes(end - at)
        elif kind == 1 and at < len(content):
            content[at] ^= 1 << int(generator.integers(8))
        elif kind == 2:
            del content[at:end]
        elif kind == 3:
            content[at:at] = generator.bytes(end - at)
        elif kind == 4:
            content[at:at] = content[at : at + int(generator.integers(1, 200))]
        elif kind == 5 and generator.random() < 0.3:
            del content[at:]
        elif kind == 6:
            size = (1, 2, 4, 8)[generator.integers(4)]
            number = NUMBERS[generator.integers(len(NUMBERS))] % 256**size
            content[at : at + size] = number.to_bytes(size, ("big", "little")[generator.integers(2)])
        elif kind == 7:
            other = seeds[generator.integers(len(seeds))]
            content[at:] = other[int(generator.integers(len(other) + 1)) :]
        elif parser in WORDS:
            content[at:at] = WORDS[parser][generator.integers(len(WORDS[parser]))]
    return bytes(content)


def soak(parser: str, count: int, seed: int, folder: Path, save: Path | None = None) -> Tally:
    """Feed `count` inputs to one parser."""
    seeds, parse = make_seeds(folder)[parser], parsers(folder)[parser]
    for content in seeds:  # they must be read, or the rest would show little; this also loads what is loaded once
        parse(content)
    generator = np.random.default_rng([seed, *parser.encode()])
    tally = Tally()
    before = signal.signal(signal.SIGALRM, break_off)
    base = forget_peak()
    for number in range(count):
        content = mutate(parser, seeds, generator)
        fault = ""
        began = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, 5 * MAX_SECONDS)
        try:
            parse(content)
            tally.read += 1
        except Rot180Error as error:
            tally.refused += 1
            if "\n" in str(error) and parser != "notation":
                fault = "a message of several lines"
        except BaseException as error:
            fault = f"{type(error).__name__}: {str(error)[:200]}"
        signal.setitimer(signal.ITIMER_REAL, 0)
        seconds = time.perf_counter() - began
        tally.slowest = max(tally.slowest, seconds)
        # The peak so far can only grow: the first input that lifts it above the limit is the one.
        memory = peak() - base
        if memory > MAX_MEMORY and tally.memory <= MAX_MEMORY:
            fault = fault or f"{memory / 1024**2:.0f} MB of memory"
        tally.memory = max(tally.memory, memory)
        if seconds > MAX_SECONDS:
            fault = fault or f"{seconds:.1f} s"
        if fault:
            tally.faults.append(f"{parser} input {number} of seed {seed}: {fault}")
            if save is not None:
                save.mkdir(parents=True, exist_ok=True)
                (save / f"{parser}-{seed}-{number}").write_bytes(content)
    signal.signal(signal.SIGALRM, before)
    return tally


def peak() -> int:
    """Return the most bytes that this process has had in memory since `forget_peak`."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def forget_peak() -> int:
    """Begin to measure the peak anew, where the system can, and return the bytes in memory now."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass
    return peak()


def break_off(number: int, frame: FrameType | None) -> None:
    """Raise out of whatever hangs."""
    raise Hang("broken off")


def main() -> int:
    """Run the soak from the command line."""
    description = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--count", type=int, default=100_000, help="inputs for each parser")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parser", action="append", help="only this one; may be given again")
    parser.add_argument("--save", type=Path, help="where to put inputs that show a fault")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    faults: list[str] = []
    print(f"{'parser':<12}{'inputs':>9}{'read':>9}{'refused':>9}{'slowest':>11}{'memory':>10}{'faults':>8}  seconds")
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.parser or parsers(Path(folder)):
            began = time.perf_counter()
            tally = soak(name, arguments.count, arguments.seed, Path(folder), arguments.save)
            print(
                f"{name:<12}{arguments.count:>9,}{tally.read:>9,}{tally.refused:>9,}{1000 * tally.slowest:>8.0f} ms"
                f"{tally.memory / 1024**2:>7.0f} MB{len(tally.faults):>8}{time.perf_counter() - began:>9.0f}",
                flush=True,
            )
            faults += tally.faults
    for fault in faults[:50]:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
