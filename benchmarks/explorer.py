"""How fast the explorer's page answers while it trains, and how much the training is slowed down by it.

    python benchmarks/explorer.py [DATA] [--pairs 3] [--model cnn-32-64-512]

Needs Chromium. Prints one JSON object: milliseconds from pointing at a cell to the outlines of its sum (median and 95th
percentile, 200 cells, while the training runs), seconds of a page load, the size of all files of the page, and the
batches per second of the training with the page open, with the tab showing nothing, in turns, and of the same training
without the program. The latter runs in processes of its own, and processes differ: `slowdown` is that by the page, and
`slowdown_alone` compares the medians of all.
"""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
import time
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

TURNS = 3
"""How often the page is opened and left."""


def alone(model: str, data: str, seconds: float = 6.0) -> float:
    """Return the batches per second of the same training without a page, in the last two thirds of the time."""
    subject = open_subject(model, data=data)
    if subject.prepare is None:
        raise SystemExit("the network has no data to train on")
    times: list[float] = []

    def listen(event: Event) -> None:
        if isinstance(event, StepDone):
            times.append(time.perf_counter())
            if times[-1] - times[0] > seconds:
                raise KeyboardInterrupt

    try:
        fit_prepared(subject.prepare(), [listen])
    except KeyboardInterrupt:
        pass
    first = next(number for number, when in enumerate(times) if when - times[0] > seconds / 3)
    return (len(times) - 1 - first) / (times[-1] - times[first])


def steps_done(served: Served) -> int:
    """Return how many batches the training has done, as the server tells."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    connection.request("GET", "/api/events", headers={"Host": served.host, "Cookie": served.cookie})
    answer, text = connection.getresponse(), b""
    while b"\n\n" not in text:
        text += answer.read1()
    connection.close()
    return int(json.loads(text.partition(b"data: ")[2].partition(b"\n")[0])["step"])


def rate(served: Served, seconds: float = 2.5) -> float:
    """Return the batches per second of the training."""
    first, began = steps_done(served), time.perf_counter()
    time.sleep(seconds)
    return (steps_done(served) - first) / (time.perf_counter() - began)


def measure(tab: Tab, served: Served) -> dict[str, float]:
    """Return the times of the page while the training runs, and the rates of the training."""
    page = tab.page
    began = time.perf_counter()
    page.reload()
    page.wait_for_selector("body[data-shown]")
    load = time.perf_counter() - began
    tab.go("train")
    page.get_by_role("button", name="Run").click()
    page.wait_for_function(f"() => ({STEPS})() > 20", timeout=180_000)  # kernels may be compiled first
    opened, closed, address = [], [], page.url
    for _ in range(TURNS):
        opened.append(rate(served))
        page.goto("about:blank")
        closed.append(rate(served))
        page.goto(address)
        page.wait_for_selector("body[data-shown=train]")
    tab.go("microscope", "image=0&layer=conv2")
    page.wait_for_selector("figure:not(.primary) svg path")
    cells = np.random.default_rng(0).permutation(14 * 14)
    hover = [page.evaluate(HOVER, [int(cell) // 14, int(cell) % 14]) for cell in cells[:200]]
    return {
        "hover_median_ms": float(np.median(hover)),
        "hover_p95_ms": float(np.percentile(hover, 95)),
        "load_s": load,
        "batches_per_second": float(np.median(opened)),
        "batches_per_second_closed": float(np.median(closed)),
    }


def shown(model: str, data: str) -> dict[str, float]:
    """Return what is measured with the page open."""
    process, served = start(model, "--data", data)
    try:
        served.open()
        with browser() as chromium:
            return measure(open_tab(chromium, served), served)
    finally:
        end(process)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="mnist")
    parser.add_argument("--pairs", type=int, default=3, help="how often each is measured (default: 3)")
    what = "a network for 28x28x1 images, in which conv2 has 14x14 cells, and whose training takes a minute"
    parser.add_argument("--model", default=NETWORK, help=f"{what} (default: {NETWORK})")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        print(alone(given.model, given.data))
        return
    found, without = [], []
    for _ in range(given.pairs):
        found.append(shown(given.model, given.data))
        command = [sys.executable, __file__, given.data, "--model", given.model, "--alone"]
        without.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    medians = {name: float(np.median([one[name] for one in found])) for name in found[0]}
    medians["batches_per_second_alone"] = float(np.median(without))
    medians["slowdown"] = medians["batches_per_second_closed"] / medians["batches_per_second"] - 1
    medians["slowdown_alone"] = medians["batches_per_second_alone"] / medians["batches_per_second"] - 1
    each = {"each": [one["batches_per_second"] for one in found], "each_alone": without}
    size = sum(map(len, page_files(PAGE).values()))
    print(json.dumps({"rot180": rot180.__version__, "page_bytes": size, **medians, **each}))


if __name__ == "__main__":
    main()
