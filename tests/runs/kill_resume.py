"""Ends trainings at random moments and takes them up again: nothing may be lost, and not a bit may change.

    python tests/runs/kill_resume.py kill --count 200      kill -9, every fifth inside a checkpoint's write
    python tests/runs/kill_resume.py terminate --count 50  SIGTERM: saved and gone in how many seconds?
    python tests/runs/kill_resume.py chain --count 300     SIGINT, SIGTERM and kill -9 in drawn order
    python tests/runs/kill_resume.py fine-tune --count 30  kill -9 of fine-tuning, at first in the last layer's training

`--model resnet20` trains a named model on the compiled engine instead of a small network in NumPy.
Prints one JSON object; the exit status is 1 if anything was not as it must be.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rot180.cli import main as rot180
from rot180.data import load_data
from rot180.nn import network
from rot180.runs import load_model, load_run, save_model
from rot180.runs.checkpoint import list_checkpoints, load_newest
from rot180.runs.history_file import read_history
from rot180.training import evaluate as measure

SHORT = ["--limit", "200", "--epochs", "3", "--batch-size", "8", "--validation", "0.1", "--engine", "numpy"]
SETTINGS = [*SHORT, "--model", "8x8x1 > conv3x3:4 relu maxpool2 > fc16 relu dropout0.2 > fc10"]
NORMALIZED = "8x8x1 > conv3x3:4 bn relu maxpool2 > fc16 relu dropout0.2 > fc10"
MORE_STATE = [
    *SHORT,
    *("--augment", "shift:1,mixup:0.2"),
    *("--ema", "0.9", "--clip-norm", "1", "--optimizer", "adamw", "--no-decay-bias-and-norm"),
    *("--label-smoothing", "0.1", "--early-stopping", "3"),
]
"""With statistics, an average and the best weights in the checkpoints as well."""
EVERY = ["--checkpoint-every", "9", "--no-pictures", "--json"]
CHECKPOINTS = 10
"""About as many as such a training writes."""
CALLS = 28
"""System calls of writing one checkpoint."""

# Forked from a process that has imported everything but never trained: a start takes milliseconds, not a second.
PROCESSES = multiprocessing.get_context("forkserver")


def child(arguments: list[str], die_at: tuple[int, int] | None, began: Any) -> None:
    """Run the command line; with `die_at`, end it at this system call of this checkpoint's write."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    if die_at is not None:
        die_inside_a_checkpoint(*die_at)
    if began is not None:
        began.set()
    sys.exit(rot180(arguments))


def die_inside_a_checkpoint(checkpoint: int, call: int) -> None:
    """Arrange for `kill -9` at a system call inside the write of a checkpoint, a write being half done by then."""
    from rot180.runs import checkpoint as module

    write, seen = module.write_folder_atomically, [0]

    def counted(name: str) -> Any:
        original = getattr(os, name)

        def wrapper(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                if name == "write":
                    original(arguments[0], arguments[1][: len(arguments[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **options)

        return wrapper

    left = [0]

    def write_and_die(*arguments: Any, **options: Any) -> None:
        seen[0] += 1
        if seen[0] == checkpoint:
            left[0] = call
            for name in ("open", "write", "fsync", "mkdir", "rename", "close"):
                setattr(os, name, counted(name))
        write(*arguments, **options)

    module.write_folder_atomically = write_and_die


def start(arguments: list[str], die_at: tuple[int, int] | None = None, began: Any = None) -> Any:
    """Start a process and return it; it sets an event when the command line begins."""
    process = PROCESSES.Process(target=child, args=(arguments, die_at, began))
    process.start()
    return process


@dataclass
class Reference:
    """The training that nothing interrupts."""

    checksum: str
    losses: list[float]
    validation: list[float | None]
    seconds: float
    head_seconds: float
    """From the configuration to the first step; with `--from`, the last layer is trained in between."""


def checksum(run: Path) -> str:
    """Return the SHA-256 of a run's weights."""
    return hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()


def uninterrupted(folder: Path, settings: list[str] = SETTINGS) -> Reference:
    """Train without a break, and measure how long that takes."""
    seconds, head_seconds = [], []
    for number in range(2):  # the first also warms up
        run = folder / f"reference-{number}"
        began = time.monotonic()
        process = start(["train", *settings, *EVERY, "--out", str(run)])
        wait_for(process, run / "config.toml")
        configured = time.monotonic()
        wait_for(process, run / "history.jsonl")
        head_seconds.append(time.monotonic() - configured)
        process.join()
        seconds.append(time.monotonic() - began)
        if process.exitcode:
            raise SystemExit(f"the uninterrupted training ended with {process.exitcode}")
    history = read_history(run / "history.jsonl")
    return Reference(checksum(run), history.losses, history.column("validation_loss"), min(seconds), min(head_seconds))


@dataclass
class Tally:
    """What was seen."""

    trainings: int = 0
    finished: int = 0
    same_weights: int = 0
    same_history: int = 0
    interruptions: int = 0
    inside_a_write: int = 0
    before_a_checkpoint: int = 0
    lost_epochs: int = 0
    damaged_checkpoints: int = 0
    stale_weights: int = 0
    wrong_exits: list[int | None] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        """Whether everything was as it must be."""
        return (
            self.trainings == self.finished == self.same_weights == self.same_history
            and not self.lost_epochs
            and not self.damaged_checkpoints
            and not self.stale_weights
            and not self.wrong_exits
            and max(self.seconds, default=0) < 5
        )


def look_at(run: Path, tally: Tally) -> None:
    """Count epochs that were told as finished and are in no checkpoint, and checkpoints that do not load."""
    told = len(read_history(run / "history.jsonl").epochs)
    if not list_checkpoints(run / "checkpoints"):
        tally.before_a_checkpoint += 1
        tally.lost_epochs += told
        return
    checkpoint, damaged = load_newest(run / "checkpoints")
    tally.damaged_checkpoints += len(damaged)
    tally.lost_epochs += max(0, told - len(checkpoint.state.history.epochs))


def killed(process: Any, run: Path, seconds: float, rng: random.Random) -> bool:
    """Kill a process within so many seconds after it began to write; say whether that came before its end."""
    wait_for(process, run / "config.toml")
    process.join(rng.uniform(0, seconds))
    process.kill()
    process.join()
    return bool(process.exitcode == -signal.SIGKILL)


def wait_for(process: Any, path: Path) -> None:
    """Wait until a file is there, or the process ended."""
    while process.is_alive() and not path.exists():
        time.sleep(0.001)


def finish(run: Path, reference: Reference, tally: Tally) -> None:
    """Take a run up for the last time and compare it with the one without a break."""
    process = start(["train", "--resume", str(run), *EVERY])
    process.join()
    tally.trainings += 1
    if process.exitcode:
        tally.wrong_exits.append(process.exitcode)
        return
    tally.finished += 1
    history = read_history(run / "history.jsonl")
    tally.same_weights += checksum(run) == reference.checksum
    tally.same_history += (history.losses, history.column("validation_loss")) == (
        reference.losses,
        reference.validation,
    )
    told = (
        f"{tally.interruptions} interruptions; {tally.same_weights} of {tally.trainings} trainings with the same bits"
    )
    print(told, file=sys.stderr, flush=True)


def kill(count: int, folder: Path, seed: int = 0, other: Sequence[str] = ()) -> Tally:
    """Kill trainings so many times in all, one to three times each, and finish them."""
    return _kill(count, folder, seed, [*MORE_STATE, "--model", NORMALIZED, *other])


def fine_tune(count: int, folder: Path, seed: int = 0, other: Sequence[str] = ()) -> Tally:
    """Kill fine-tunings likewise, each for the first time before its first step, while the last layer is trained."""
    source, generator = network(NORMALIZED).build(seed=1), np.random.default_rng(1)
    for array in source.statistics.values():
        array[...] = 0.5 + generator.random(array.shape)
    save_model(folder / "source.safetensors", source)
    return _kill(count, folder, seed, [*MORE_STATE, "--from", str(folder / "source.safetensors"), *other])


def _kill(count: int, folder: Path, seed: int, settings: list[str]) -> Tally:
    rng, tally, reference = random.Random(seed), Tally(), uninterrupted(folder, settings)
    while tally.interruptions < count:
        run = folder / f"run-{tally.trainings}-{tally.interruptions}"
        began = False
        for _ in range(rng.choice((1, 1, 2, 3))):
            if tally.interruptions >= count:
                break
            arguments = ["train", "--resume", str(run), *EVERY] if began else ["train", *settings, *EVERY]
            arguments += [] if began else ["--out", str(run)]
            inside = tally.interruptions % 5 == 4
            if inside:
                process = start(arguments, (rng.randint(1, CHECKPOINTS), rng.randint(1, CALLS)))
                process.join()
                hit = process.exitcode == -signal.SIGKILL
                if process.exitcode not in (0, -signal.SIGKILL):
                    raise SystemExit(f"a training that was to be killed inside a write ended with {process.exitcode}")
            else:
                early = "--from" in settings and not began
                hit = killed(start(arguments), run, reference.head_seconds if early else reference.seconds, rng)
            if not (run / "config.toml").exists():
                continue
            began = True
            if hit:
                tally.interruptions += 1
                tally.inside_a_write += inside
                look_at(run, tally)
            elif process_failed(run):
                tally.wrong_exits.append(None)
        if began:
            finish(run, reference, tally)
    return tally


def process_failed(run: Path) -> bool:
    """Say whether a training that was not killed left no weights."""
    return not (run / "model.safetensors").exists()


def terminate(count: int, folder: Path, seed: int = 0, other: Sequence[str] = ()) -> Tally:
    """Send SIGTERM at random moments, measure the time to the exit, and finish the training."""
    settings = [*SETTINGS, *other]
    rng, tally, reference = random.Random(seed), Tally(), uninterrupted(folder, settings)
    while tally.interruptions < count:
        run = folder / f"run-{tally.trainings}-{rng.random()}"
        process = start(["train", *settings, *EVERY, "--out", str(run)])
        wait_for(process, run / "history.jsonl")
        time.sleep(rng.uniform(0, reference.seconds / 2))
        if not process.is_alive() or (run / "model.safetensors").exists():
            process.join()
            continue
        began = time.monotonic()
        process.terminate()
        process.join()
        if process.exitcode == 0:
            continue  # it was over already
        tally.interruptions += 1
        tally.seconds.append(time.monotonic() - began)
        if process.exitcode != 75:
            tally.wrong_exits.append(process.exitcode)
        look_at(run, tally)
        finish(run, reference, tally)
    return tally


def newest_whole_state(run: Path) -> bytes | None:
    """Return the weights of the furthest progress that is whole on the disk, found without the code that is tested."""
    states = {}
    for path in (run / "checkpoints").iterdir():
        if path.name.isdigit():
            step = json.loads((path / "state.json").read_text())["progress"]["step"]
            states[step] = load_model(path / "model.safetensors")
    if not states:
        return None
    return content(states[max(states)])


def content(model: Any) -> bytes:
    """Return all weights as bytes."""
    return b"".join(w.tobytes() for _, w in sorted(model.parameters.items()))


def look_at_weights(run: Path, tally: Tally) -> None:
    """Count a run whose commands would take other weights than its newest ones."""
    expected = newest_whole_state(run)
    if expected is None:
        return
    used = load_run(run).model
    tally.stale_weights += content(used) != expected
    status, said = evaluate(run)
    data = load_data()
    measured = measure(used, data.test_images, data.test_labels, engine="numpy")
    tally.stale_weights += status != 0 or json.loads(said)["accuracy"] != measured.accuracy


def evaluate(run: Path) -> tuple[int, str]:
    """Run `rot180 evaluate` in this process."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = rot180(["evaluate", str(run), "--engine", "numpy", "--json"])
    return status, said.getvalue()


def chain(count: int, folder: Path, seed: int = 0, other: Sequence[str] = ()) -> Tally:
    """Interrupt and kill trainings so many times in all, up to eight times each, and look at the weights each time."""
    settings = [*SETTINGS, *other]
    rng, tally, reference = random.Random(seed), Tally(), uninterrupted(folder, settings)
    while tally.interruptions < count:
        run = folder / f"chain-{tally.trainings}-{tally.interruptions}"
        for _ in range(rng.randint(2, 8)):
            there = (run / "config.toml").exists()
            arguments = ["--resume", str(run)] if there else [*settings, "--out", str(run)]
            began = PROCESSES.Event()
            process = start(["train", *arguments, *EVERY], began=began)
            began.wait(60)
            number = rng.choice((signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGKILL))
            wait_for(process, run / "history.jsonl")
            # Part of a training at a time, so that several interruptions find it at work.
            process.join(rng.uniform(0, reference.seconds / 3))
            if process.exitcode is None:
                os.kill(process.pid, number)
            process.join()
            if process.exitcode == 0:
                break  # it was over already
            if process.exitcode not in (75, 130, -number):
                tally.wrong_exits.append(process.exitcode)
            if not (run / "config.toml").exists():
                continue
            tally.interruptions += 1
            look_at(run, tally)
            look_at_weights(run, tally)
        if (run / "config.toml").exists():
            finish(run, reference, tally)
    return tally


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=tuple(MODES))
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", help="train this named model, on the compiled engine")
    arguments = parser.parse_args()
    PROCESSES.set_forkserver_preload(["kill_resume", "rot180.runs.resume"])
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        other = ("--model", arguments.model, "--engine", "compiled") if arguments.model else ()
        tally = MODES[arguments.what](arguments.count, Path(folder), arguments.seed, other)
    told = {name: value for name, value in vars(tally).items() if name != "seconds"}
    if tally.seconds:
        told["slowest"] = round(max(tally.seconds), 3)
    print(json.dumps({"what": arguments.what, **told, "took": round(time.monotonic() - began, 1)}))
    return 0 if tally.is_right else 1


MODES = {"kill": kill, "terminate": terminate, "chain": chain, "fine-tune": fine_tune}


if __name__ == "__main__":
    sys.exit(main())
