"""How fast the explorer's page answers while it trains, and how much the training is slowed down by it.

    python benchmarks/explorer.py

Needs Chromium. Prints one JSON object: milliseconds from pointing at a cell to the outlines of its sum (median and 95th
percentile, 200 cells, while the training runs), seconds of a page load, the size of all files of the page, and the
batches per second of the training with the page open and without it, on the same machine.
"""

from __future__ import annotations

import json
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
from serving import end, start

NETWORK = "28x28x1 > conv3x3:8:same relu maxpool2 > conv3x3:16:same relu maxpool2 > fc10"

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


def alone(data: str, batches: int) -> float:
    """Return the batches per second of the same training without a page."""
    subject = open_subject(NETWORK, data=data)
    if subject.prepare is None:
        raise SystemExit("the network has no data to train on")
    times: list[float] = []

    def listen(event: Event) -> None:
        if isinstance(event, StepDone):
            times.append(time.perf_counter())
            if len(times) == batches:
                raise KeyboardInterrupt

    try:
        fit_prepared(subject.prepare(), [listen])
    except KeyboardInterrupt:
        pass
    half = len(times) // 2
    return (len(times) - 1 - half) / (times[-1] - times[half])


def measure(tab: Tab) -> dict[str, float]:
    """Return the times of the page while the training runs."""
    page = tab.page
    began = time.perf_counter()
    page.reload()
    page.wait_for_selector("body[data-shown]")
    load = time.perf_counter() - began
    tab.go("train")
    page.get_by_role("button", name="Run").click()
    page.wait_for_function(f"() => ({STEPS})() > 20", timeout=180_000)  # kernels may be compiled first
    first, began = page.evaluate(STEPS), time.perf_counter()
    time.sleep(4)
    rate = (page.evaluate(STEPS) - first) / (time.perf_counter() - began)
    tab.go("microscope", "image=0&layer=conv2")
    page.wait_for_selector("figure:not(.primary) svg path")
    cells = np.random.default_rng(0).permutation(14 * 14)
    hover = [page.evaluate(HOVER, [int(cell) // 14, int(cell) % 14]) for cell in cells[:200]]
    return {
        "hover_median_ms": float(np.median(hover)),
        "hover_p95_ms": float(np.percentile(hover, 95)),
        "load_s": load,
        "batches_per_second": rate,
    }


def main(data: str = "mnist", batches: int = 3000) -> None:
    """Measure and print."""
    process, served = start(NETWORK, "--data", data)
    try:
        served.open()
        with browser() as chromium:
            found = measure(open_tab(chromium, served))
    finally:
        end(process)
    found["page_bytes"] = sum(map(len, page_files(PAGE).values()))
    found["batches_per_second_alone"] = alone(data, batches)
    found["slowdown"] = found["batches_per_second_alone"] / found["batches_per_second"] - 1
    print(json.dumps({"rot180": rot180.__version__, **found}))


if __name__ == "__main__":
    main(*sys.argv[1:2])
