"""How fast the explorer's page answers while it trains, and how much the training is slowed down by it.

    python benchmarks/explorer.py [DATA] [--pairs 3] [--model cnn-32-64-512]

Needs Chromium. Prints one JSON object: milliseconds from pointing at a cell to the outlines of its sum (median and 95th
percentile, 200 cells, while the training runs), seconds of a page load, the size of all files of the page, and the
batches per second of the training with the page open and of the same training without the program, in a process of its
own. Both take short turns, and wait between two batches meanwhile: within a minute, the speed of a machine changes by
more than the page costs. `slowdown` is the median over the rounds of all pairs of processes, `each` that of each pair.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

import rot180
from rot180.explore import open_subject
from rot180.explore.app import PAGE
from rot180.runs.train_run import fit_prepared
from rot180.training.events import Event, StepDone
from rot180.web.page import page_files

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "explore"))
from browser import Tab, browser, open_tab
from serving import Served, end, start

NETWORK = "cnn-32-64-512"
"""Its training is longer than all that is measured."""

HOVER = """([row, column]) => new Promise((resolve) => {
  const map = document.querySelector('figure.primary .map');
  const box = map.querySelector('canvas').getBoundingClientRect();
  const size = box.width / map.getAttribute('aria-colcount');
  const outlined = document.querySelector('.panels figure:not(.primary) svg');
  const began = performance.now();
  const watcher = new MutationObserver(() => { watcher.disconnect(); resolve(performance.now() - began); });
  watcher.observe(outlined, { childList: true });
  map.dispatchEvent(new PointerEvent('pointermove', {
    clientX: box.left + (column + 0.5) * size, clientY: box.top + (row + 0.5) * size, bubbles: true }));
})"""


STEPS = "() => Number(document.querySelector('.tiles div:nth-child(2) dd').textContent.replace(/\\D/g, ''))"

WARM = 50
"""Batches before anything is compared: kernels may be compiled first."""

ROUNDS, LEAD, SECONDS, REST = 16, 0.2, 0.8, 0.3
"""How often each has its turn; how long a turn is before it counts, and then, in which the page draws its curve once;
how long nothing runs afterwards, so that what a turn leaves to be drawn costs the other one nothing."""


class Alone:
    """The same training in a process of its own, without the program; it waits when it is not its turn."""

    def __init__(self, model: str, data: str) -> None:
        command = [sys.executable, __file__, data, "--model", model, "--alone"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._read()

    def rate(self) -> float:
        """Return the batches per second of a turn."""
        if self._process.stdin is None:
            raise TypeError("the process has a pipe")
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> float:
        if self._process.stdout is None:
            raise TypeError("the process has a pipe")
        return float(self._process.stdout.readline())

    def end(self) -> None:
        """End it."""
        self._process.communicate()


def train_in_turns(model: str, data: str) -> None:
    """Be the process of `Alone`: after the warm-up and then for each line read, print the batches per second."""
    subject = open_subject(model, data=data)
    if subject.prepare is None:
        raise SystemExit("the network has no data to train on")
    times: list[float] = []

    def listen(event: Event) -> None:
        if not isinstance(event, StepDone):
            return
        times.append(time.perf_counter())
        if len(times) < WARM if is_warming[0] else times[-1] - times[0] < LEAD + SECONDS:
            return
        counted = [when for when in times if is_warming[0] or when - times[0] >= LEAD]
        print((len(counted) - 1) / (counted[-1] - counted[0]), flush=True)
        is_warming[0] = False
        if not sys.stdin.readline():
            raise KeyboardInterrupt
        times.clear()

    is_warming = [True]
    with contextlib.suppress(KeyboardInterrupt):
        fit_prepared(subject.prepare(), [listen])


def steps_done(served: Served) -> int:
    """Return how many batches the training has done, as the server tells."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    headers = {"Host": served.host, "Cookie": served.cookie, "Last-Event-ID": f"0.{10**9}"}  # without their losses
    connection.request("GET", "/api/events", headers=headers)
    answer, text = connection.getresponse(), b""
    while b"\n\n" not in text:
        text += answer.read1()
    connection.close()
    return int(json.loads(text.partition(b"data: ")[2].partition(b"\n")[0])["step"])


def rate(served: Served) -> float:
    """Return the batches per second of the training's turn."""
    served.post("/api/train", {"command": "run"})
    time.sleep(LEAD)
    first, began = steps_done(served), time.perf_counter()
    time.sleep(SECONDS)
    found = (steps_done(served) - first) / (time.perf_counter() - began)
    served.post("/api/train", {"command": "pause"})
    return found


def measure(tab: Tab, served: Served, alone: Alone) -> dict[str, list[float]]:
    """Return the times of the page while the training runs, and the rates of the training in each round."""
    page = tab.page
    began = time.perf_counter()
    page.reload()
    page.wait_for_selector("body[data-shown]")
    load = time.perf_counter() - began
    tab.go("train")
    page.get_by_role("button", name="Run").click()
    page.wait_for_function(f"() => ({STEPS})() > {WARM}", timeout=180_000)
    served.post("/api/train", {"command": "pause"})
    turns = {"open": partial(rate, served), "alone": alone.rate}
    rates: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(ROUNDS):
        for name in list(turns)[:: 1 - 2 * (number % 2)]:
            time.sleep(REST)
            rates[name].append(turns[name]())
    served.post("/api/train", {"command": "run"})
    tab.go("microscope", "image=0&layer=conv2")
    page.wait_for_selector("figure:not(.primary) svg path")
    cells = np.random.default_rng(0).permutation(14 * 14)
    hover = [page.evaluate(HOVER, [int(cell) // 14, int(cell) % 14]) for cell in cells[:200]]
    return {"hover": hover, "load": [load], **rates}


def shown(model: str, data: str) -> dict[str, list[float]]:
    """Return what is measured with one process of each kind."""
    process, served = start(model, "--data", data)
    alone = Alone(model, data)
    try:
        served.open()
        with browser() as chromium:
            return measure(open_tab(chromium, served), served, alone)
    finally:
        alone.end()
        end(process)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="mnist")
    parser.add_argument("--pairs", type=int, default=3, help="pairs of processes (default: 3)")
    what = "a network for 28x28x1 images, in which conv2 has 14x14 cells, and whose training takes a minute"
    parser.add_argument("--model", default=NETWORK, help=f"{what} (default: {NETWORK})")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        train_in_turns(given.model, given.data)
        return
    found = [shown(given.model, given.data) for _ in range(given.pairs)]

    def slowdown(pairs: list[dict[str, list[float]]]) -> float:
        rounds = [zip(pair["alone"], pair["open"], strict=True) for pair in pairs]
        return float(np.median([alone / mine - 1 for pair in rounds for alone, mine in pair]))

    def median(name: str) -> float:
        return float(np.median([one for pair in found for one in pair[name]]))

    size = sum(map(len, page_files(PAGE).values()))
    measured = {
        "rot180": rot180.__version__,
        "page_bytes": size,
        "load_s": median("load"),
        "hover_median_ms": median("hover"),
        "hover_p95_ms": float(np.median([np.percentile(pair["hover"], 95) for pair in found])),
        "batches_per_second": median("open"),
        "batches_per_second_alone": median("alone"),
        "slowdown": slowdown(found),
        "each": [slowdown([pair]) for pair in found],
    }
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
