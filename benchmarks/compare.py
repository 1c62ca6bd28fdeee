"""Compare this project with its peers on this machine: `python benchmarks/compare.py --help`.

Each contender runs in its own process; turns alternate in shuffled order; medians and quartiles are over the rounds.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

import launches
import ledger
import memory
import passes
import startup
import steps
from deep import DEEP, MEMORY, DeepWorkload, write_weights
from report import print_tables
from rot180.files import write_atomically
from rounds import thread_environment
from workloads import PASSES, WORKLOADS, Workload, target_on

DISTURBED = 0.1
"""Cores that others may keep busy before the run is called disturbed."""
PARTS = ("steps", "passes", "startup", "launches", "memory")
"""What runs if nothing is named; `deep`, which needs torchvision and timm, is asked for by name."""


NAMES: dict[str, tuple[Any, ...]] = {
    "steps": WORKLOADS,
    "passes": PASSES,
    "startup": (),
    "launches": (),
    "memory": (),
    "deep": (*DEEP, MEMORY),
}
"""The workloads of each part."""


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--work",
        nargs="+",
        action="extend",
        metavar="NAME",
        help=f"what to measure: {', '.join(PARTS)}, deep (published networks; `make bench-deep`), or any part of a "
        "name, such as b32 or train-lenet5, of a published network deep-train or deep-infer-resnet18; may be given "
        f"again (default: {', '.join(PARTS)})",
    )
    parser.add_argument("--list", action="store_true", help="print the names and exit")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="cores to use (default: 2)")
    parser.add_argument("--trials", type=int, default=11, help="rounds (default: 11)")
    parser.add_argument("--turn", type=float, default=0.3, help="seconds per turn (default: 0.3)")
    parser.add_argument(
        "--quick", action="store_true", help="3 rounds of 0.1 s, to see that everything works; not to be quoted"
    )
    parser.add_argument(
        "--no-compile", action="store_true", help="leave PyTorch's compiled settings out, which take minutes to start"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to this file")
    parser.add_argument("--ledger", action="store_true", help="put the results into docs/benchmarks.md")
    parser.add_argument(
        "--mnist", type=Path, default=os.environ.get("MNIST_DIR"), help="folder of the IDX files, for the time to 99%%"
    )
    options = parser.parse_args(arguments)
    for word in options.work or ():
        if word not in NAMES and not any(
            chosen([word], part, work.name) for part, works in NAMES.items() for work in works
        ):
            parser.error(f"--work: nothing is called {word!r}; --list prints the names")
    options.work = options.work or list(PARTS)
    if options.quick:
        options.trials, options.turn = 3, 0.1
    return options


def chosen(wanted: list[str], part: str, name: str) -> bool:
    """Return whether a workload was requested, by its part or by part of its name.

    >>> chosen(["steps"], "steps", "train-lenet5-b32"), chosen(["lenet5"], "steps", "train-lenet5-b32")
    (True, True)
    >>> chosen(["passes"], "steps", "train-lenet5-b32"), chosen(["b16"], "deep", "deep-train-resnet18-b16")
    (False, False)
    """
    words = (word for word in wanted if word not in NAMES and (part != "deep" or word.startswith("deep-")))
    return part in wanted or any(word in name for word in words)


def speed_of_machine(threads: int) -> dict[str, float]:
    """Measure peak and bandwidth in a process of its own, with the same number of threads."""
    code = "import json, machine; print(json.dumps(machine.measure()))"
    return json.loads(_python(code, threads))


def description_of_machine() -> dict[str, Any]:
    """Return what identifies the machine."""
    return json.loads(_python("import json, machine; print(json.dumps(machine.describe()))", 1))


def _python(code: str, threads: int) -> str:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=thread_environment(threads),
        cwd=Path(__file__).parent,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def commit() -> str:
    """Return the commit, with a plus if the sources differ from it."""

    def git(*arguments: str) -> str:
        try:
            done = subprocess.run(["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True)
        except OSError:
            return ""
        return done.stdout.strip()

    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if git("status", "--porcelain", "../src") else "")


def measure(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Run what was requested."""

    def note(text: str) -> None:
        console.print(text, style="dim", highlight=False)

    note("peak and bandwidth")
    result: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "machine": description_of_machine(),
        "speed": speed_of_machine(options.threads),
        "settings": {"threads": options.threads, "trials": options.trials, "turn_seconds": options.turn},
        "works": [],
        "passes": [],
        "startup": {},
        "launches": None,
        "memory": None,
        "peaks": None,
    }

    def compare(work: Workload | DeepWorkload) -> None:
        threads = 1 if work.threads == 1 else options.threads
        compiled = not options.no_compile
        found = steps.compare_steps(work, threads, options.trials, options.turn, note, compiled=compiled)
        target = target_on(work.targets, result["speed"]["peak_one_core_gflops"])
        result["works"].append({**found, "target": target})

    for work in WORKLOADS:
        if chosen(options.work, "steps", work.name):
            compare(work)
    deep = [work for work in NAMES["deep"] if chosen(options.work, "deep", work.name)]
    if deep:
        with tempfile.TemporaryDirectory() as folder:
            note("weights of the published networks")
            write_weights(Path(folder), deep)
            for work in deep:
                if work is MEMORY:
                    result["peaks"] = memory.compare_peaks(options.threads, note)
                else:
                    compare(work)
    for job in PASSES:
        if chosen(options.work, "passes", job.name):
            result["passes"].append(passes.compare_pass(job, options.threads, options.trials, options.turn / 2, note))
    if "startup" in options.work:
        note("startup")
        result["startup"] = startup.measure(options.threads, min(options.trials, 5), options.mnist)
    if "launches" in options.work:
        note("launches")
        result["launches"] = launches.measure(options.threads)
    if "memory" in options.work:
        note("memory")
        result["memory"] = memory.measure(options.threads)
    versions: dict[str, str] = {}
    for found in (*result["works"], *result["passes"]):
        versions |= found["versions"]
    result["versions"] = versions
    busy = [found["cores_busy_otherwise"] for found in (*result["works"], *result["passes"])]
    result["settings"]["cores_busy_otherwise"] = max(busy, default=None)
    return result


def main() -> int:
    """Measure, print, write."""
    options = parse(sys.argv[1:])
    if options.list:
        print("\n".join((*NAMES, *(work.name for works in NAMES.values() for work in works))))
        return 0
    result = measure(options, Console(stderr=True))
    print_tables(result, Console(width=None if sys.stdout.isatty() else 160))
    if options.json:
        write_atomically(options.json, (json.dumps(result, indent=1) + "\n").encode())
    if options.ledger:
        ledger.add(result)
    busy = result["settings"]["cores_busy_otherwise"]
    if busy is not None and busy > DISTURBED:
        print(
            f"something else kept {busy:.2f} cores busy between turns; measure again when it is quiet", file=sys.stderr
        )
    disagree = [work["name"] for work in result["works"] if not work["results_agree"]]
    if disagree:
        print(f"results differ between contenders, the times mean nothing: {', '.join(disagree)}", file=sys.stderr)
    return 1 if disagree else 0


if __name__ == "__main__":
    sys.exit(main())
