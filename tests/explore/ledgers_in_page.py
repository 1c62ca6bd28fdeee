"""Reads drawn ledgers from the page and compares them with NumPy: the number, and the printed digits that must add up.

    python tests/explore/ledgers_in_page.py --count 500

Draws cells of every layer, forward, backward and of parameters, in networks that have every kind of layer. With --seed,
other cells: --count 100 --seed 1, 2, ... goes the way in slices. Prints one JSON object; the exit status is 1 if a
number differs, or a printed sum is not that of the printed entries.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from fractions import Fraction
from typing import Any

import numpy as np
from browser import Tab, browser, open_tab
from serving import NETWORK, end, start

from rot180.explore import Subject, open_subject
from rot180.inside.explain import Trace
from rot180.inside.explain.arrays import layer_arrays

NETWORKS = (
    NETWORK,
    "8x8x1 > conv3x3:6:same gn2 silu avgpool2 > ( conv1:6 + skip ) convt2x2:4:s2 prelu > gap fc10",
    "8x8x1 > conv3x3:4:same ln gelu ( skip | conv3x3:4:same:g4 ) shuffle2 lrn relu6 > up2 maxpool3 > fc12 elu > fc10",
    "8x8x1 > conv3x3:8:same:nobias bn hardswish ( skip * gap fc4 leakyrelu fc8 hardsigmoid ) in > gmp > fc10",
    "8x8x1 > conv5:4 tanh slice3 ( conv3:3:same noisyrelu droppath0.1 + skip ) adaptavg2 > fc9 sigmoid dropout0.5 fc10",
)

READ = """() => {
  const text = (row, at) => row.cells[at].textContent;
  const body = [...document.querySelectorAll('.ledger .scroll tbody tr')];
  const foot = [...document.querySelectorAll('.ledger .scroll tfoot tr')];
  return {
    stored: document.querySelector('.ledger .value').dataset.stored,
    entries: body.map((row) => text(row, 2)), sum: text(foot[0], 2), shown: text(foot[1], 2), left: text(foot[2], 2),
    verdict: document.querySelector('.ledger > p.small').textContent,
  };
}"""


def drawn_cells(
    trace: Trace, draw: random.Random, count: int
) -> list[tuple[str, str, str, str, tuple[int, ...], float]]:
    """Draw cells: layer, view, name, parameter, index, and the number that the network has there."""
    found = []
    layers = trace.model.layers
    for at in range(count):
        place = at % len(layers)
        layer = layers[place]
        arrays = layer_arrays(trace, place)
        views = [("forward", "output", "")]
        views += [("backward", name, "") for name in arrays if name.startswith("input") and name.endswith(".grad")]
        views += [("weight", f"{name}.grad", name) for name in layer.parameters]
        view, name, parameter = draw.choice(views)
        array = arrays[name] if parameter else arrays[name][0]
        index = tuple(draw.randrange(size) for size in array.shape)
        found.append((layer.name, view, name, parameter, index, float(array[index])))
    return found


def number(text: str) -> Fraction:
    """Return a printed number exactly."""
    return Fraction(text.replace("−", "-"))


def differences(tab: Tab, subject: Subject, count: int, *, seed: int = 0, image: int = 5) -> list[str]:
    """Return what is wrong with the ledgers of drawn cells as the page prints them."""
    draw = random.Random(seed)
    trace = Trace(subject.model, np.asarray(subject.images[image]), int(subject.labels[image]))
    wrong = []
    for layer, view, name, parameter, index, value in drawn_cells(trace, draw, count):
        slot = int(name[5:-5] or 1) - 1 if view == "backward" else 0
        query = f"image={image}&layer={layer}&view={view}&slot={slot}&parameter={parameter}"
        cell = f"{layer}.{name}[{','.join(map(str, index))}]"
        tab.go("microscope", f"{query}&cell={','.join(map(str, index))}")
        tab.ledger(cell)
        read: dict[str, Any] = tab.page.evaluate(READ)
        printed = sum(map(number, read["entries"]), Fraction(0))
        if float(read["stored"]) != value:
            wrong.append(f"{cell}: the page says {read['stored']}, the network {value}")
        if printed != number(read["sum"]):
            wrong.append(f"{cell}: the entries add up to {float(printed)}, the page prints {read['sum']}")
        if "More" in read["verdict"]:
            wrong.append(f"{cell}: {read['left']} left over: {read['verdict']}")
    return wrong


def main(given: Any) -> int:
    """Read ledgers of every network and print."""
    wrong, cells = [], 0
    with browser() as chromium:
        for turn, network in enumerate(NETWORKS):
            count = given.count // len(NETWORKS) + (turn < given.count % len(NETWORKS))
            process, served = start(network, "--engine", "numpy")
            try:
                served.open()
                tab = open_tab(chromium, served)
                wrong += differences(tab, open_subject(network), count, seed=given.seed) + tab.faults
                cells += count
            finally:
                end(process)
    print(json.dumps({"cells": cells, "networks": len(NETWORKS), "wrong": wrong}))
    return int(bool(wrong))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    sys.exit(main(parser.parse_args()))
