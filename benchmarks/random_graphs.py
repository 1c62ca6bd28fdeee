"""Train graphs drawn at random on both engines, and print the notation of each on which they differ.

    python benchmarks/random_graphs.py 1000 --start 0
    python benchmarks/random_graphs.py --network "6x5x3 > conv3x3:4 bn relu ( skip + tanh ) > fc5"

Each graph has up to a dozen layers of any kind and forks up to three deep; any node may be read several times. Checked:
its notation reads back; a saved model is the same model; after three steps in float64, the engines agree on outputs,
gradients, parameters and statistics; in float32, the compiled engine is about as close to float64 as NumPy is, and has
the same bits with one, two and three threads. Where rounding decides, as in a ReLU of a mean that is zero, weights that
differ by a rounding error lead NumPy as far away; there, the engines may differ as much.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter

if __name__ == "__main__":
    os.environ.setdefault("NUMBA_NUM_THREADS", "3")  # read when numba is imported

import numpy as np

import rot180
from rot180.engine import make_engine
from rot180.engine.threads import most_threads
from rot180.errors import Rot180Error
from rot180.nn import Add, Concatenate, Layer, Multiply, Network, Node, network
from rot180.nn.graph import INPUT
from rot180.nn.loss import CrossEntropyLoss
from rot180.training import SGD

Arrays = dict[str, np.ndarray]

STEPS = 3
CLASSES = 5
EXACT = 1e-7
"""The largest difference in float64, of the largest value of each array (of all gradients, for a gradient)."""
RATIO, FLOOR = 50.0, 1e-4
"""In float32, the compiled engine may be off by `FLOOR`, or this many times as far from float64 as NumPy is."""

ANYWHERE = """
relu relu relu6 leakyrelu leakyrelu:slope=0.2 prelu prelu:shared elu elu:alpha=0.5 silu gelu gelu:tanh hardsigmoid
hardswish sigmoid tanh softmax bn bn bn:noaffine bn:momentum=0.3 ln dropout0.3 droppath0.3 noisyrelu
""".split()
MAPS = """
conv3x3:F:same conv3x3:F:same:nobias conv1x1:F conv1x1:F:nobias conv1x1:F:s2 conv3x3:F:s2 conv3x2:F:pad1x2
conv3x3:F:d2:same conv3x3:F:s2:same conv2x2:F:pad0,1,2,0 conv1x3:F:g2:same conv3x3:C:gC:same conv3x3:C:gC:s2:same
conv3x3:F:same:algorithm=winograd conv3x3:F:same:algorithm=winograd conv3x3:F:pad2:nobias:algorithm=winograd
conv5x5:F:same:algorithm=winograd conv5x5:F:s2:same conv7x7:F:s2:pad3:nobias conv5x5:C:gC:same:nobias
conv3x3:D:gC:pad1 convt2x2:F:s2 convt3x3:F:pad1 convt3x3:C:gC:s2:pad1:outpad1
maxpool2 maxpool2 maxpool3:s2:pad1 maxpool2x3:s1 maxpool3:s2:ceil avgpool2 avgpool3:s1:same avgpool3:s2:pad1:excludepad
avgpool2:ceil adaptavg2x3 adaptavg1 up2 up2x1 up2:bilinear up1x2:bilinear gn2 gnC in in:affine ln:axes=3 lrn3 shuffle2
gap gmp flatten
""".split()
VECTORS = ["fcF", "fcF:nobias", "fcF:lr=0.5"]
SHAPE_KEEPING = [word for word in MAPS if word.startswith(("conv3x3:C:gC:same", "gn", "in", "ln", "lrn", "shuffle"))]


class _Drawing:
    """Nodes so far, with the shape of each output."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        sides, channels = self.generator.integers(2, 10, 2).tolist(), int(self.generator.integers(1, 7))
        self.nodes: list[Node] = []
        self.shapes = {INPUT: (*sides, channels)}

    def one_of(self, choices: Iterable[str | int]) -> str:
        return str(self.generator.choice(list(map(str, choices))))

    def append(self, layer: Layer, *reads: int) -> int | None:
        """Append a layer if it fits what it reads; return its place."""
        try:
            shape = layer.output_shape(*(self.shapes[source] for source in reads))
        except Rot180Error:
            return None
        if not 0 < math.prod(shape) < 3000:
            return None
        self.nodes.append(Node(layer, reads))
        self.shapes[len(self.nodes) - 1] = shape
        return len(self.nodes) - 1

    def layer(self, source: int, words: list[str]) -> int:
        """Append a layer with one of these words, or none if it does not fit; return the place of the output."""
        shape = self.shapes[source]
        filters = self.one_of((2, 3, 4, 8, 9, 17))
        word = self.one_of(words).replace("D", str(2 * shape[-1])).replace("C", str(shape[-1])).replace("F", filters)
        try:
            (layer,) = network(f"{'x'.join(map(str, shape))} > {word}").layers
        except Rot180Error:  # a window larger than its map, groups that do not divide
            return source
        layer.name = ""
        place = self.append(layer, source)
        return source if place is None else place

    def any_layer(self, source: int) -> int:
        is_map = len(self.shapes[source]) == 3
        kinds = (ANYWHERE, MAPS if is_map else VECTORS)
        return self.layer(source, kinds[self.generator.integers(2)])

    def branches(self, source: int, depth: int) -> int:
        """Append some branches from a node, and their join; return its place."""
        shape, kind = self.shapes[source], self.one_of(("add", "add", "concat", "gate", "squeeze"))
        if kind == "squeeze" and len(shape) == 3:
            gate = self.layer(source, ["gap", "gmp"])
            for word in (["fcF"], ["relu", "silu"], [f"fc{shape[-1]}"], ["sigmoid", "hardsigmoid"]):
                gate = self.layer(gate, word)
            place = self.append(Multiply(), source, gate)
            return source if place is None else place
        ends = []
        for _ in range(2 if kind in ("gate", "squeeze") else self.generator.integers(2, 4)):
            end = source
            for _ in range(self.generator.integers(0, 3)):
                inner = depth > 1 and self.generator.random() < 0.4
                end = self.branches(end, depth - 1) if inner else self.layer(end, ANYWHERE + SHAPE_KEEPING)
            if self.shapes[end] != shape or (len(shape) == 3 and self.generator.random() < 0.3):
                end = self.layer(
                    end,
                    [
                        f"conv1x1:{shape[-1]}",
                        f"conv3x3:{shape[-1]}:same",
                        f"conv3x3:{shape[-1]}:same:algorithm=winograd",
                    ],
                )
            if kind != "concat" and self.shapes[end] != shape:
                end = source
            ends.append(end)
        join = {"add": Add, "concat": Concatenate}.get(kind, Multiply)()
        place = self.append(join, *ends)
        return source if place is None else place

    def unread(self) -> list[int]:
        read = {source for node in self.nodes for source in node.reads}
        return [place for place in range(len(self.nodes)) if place not in read]


def draw(seed: int) -> Network:
    """Return a graph; each seed gives a different one."""
    drawing = _Drawing(seed)
    generator = drawing.generator
    for _ in range(generator.integers(1, 9)):
        places = list(drawing.shapes)
        near = places[-1] if generator.random() < 0.75 else int(generator.choice(places))
        if generator.random() < 0.3:
            drawing.branches(near, int(generator.integers(1, 4)))
        else:
            drawing.any_layer(near)
    if not drawing.nodes:
        drawing.layer(INPUT, ["relu"])
    # All that nobody reads becomes part of the output.
    for end in drawing.unread():
        if len(drawing.shapes[end]) == 3:
            drawing.layer(end, ["gap", "gmp", "flatten"])
    ends = drawing.unread()
    end = ends[0]
    if len(ends) > 1:
        drawing.nodes.append(Node(Concatenate(), tuple(ends)))
        end = len(drawing.nodes) - 1
        drawing.shapes[end] = (sum(drawing.shapes[place][-1] for place in ends),)
    drawing.layer(end, [f"fc{CLASSES}"])
    return Network(drawing.nodes, input_shape=drawing.shapes[INPUT])


def faults(text: str, seed: int = 0) -> list[str]:
    """Return all that is wrong with this network; nothing, if it is as it should be."""
    found = []
    model = network(text)
    if _described(network(str(model))) != _described(model):
        found.append(f"its notation reads back as another network: {model}")
    model.build(seed=seed)
    start = {name: array.copy() for name, array in model.state.items()}
    exact, compiled = _trained("numpy", text, start, np.float64), _trained("compiled", text, start, np.float64)
    limits = dict.fromkeys(exact, EXACT)
    for name, difference in _beyond(_differences(compiled, exact), limits, text, start, np.float64, exact).items():
        found.append(f"float64, {name}: off by {difference:.1e}")
    threads = [_trained("compiled", text, start, np.float32, count) for count in range(1, most_threads() + 1)]
    for count, other in enumerate(threads[1:], start=2):
        found += [f"{name} differs with {count} threads" for name in other if not _same(other[name], threads[0][name])]
    # Where noise is drawn in the type of the network, NumPy in float32 is the only reference.
    single = _trained("numpy", text, start, np.float32)
    expected = exact if not any(layer.draws for layer in model.layers) else single
    numpy_is_off = _differences(single, expected)
    limits = {name: max(RATIO * off, FLOOR) for name, off in numpy_is_off.items()}
    for name, difference in _beyond(
        _differences(threads[0], expected), limits, text, start, np.float32, single
    ).items():
        found.append(f"float32, {name}: off by {difference:.1e}, but NumPy by {numpy_is_off[name]:.1e}")
    model.load_parameters({name: threads[0][name] for name in model.state})
    with tempfile.TemporaryDirectory() as folder:
        rot180.save_model(Path(folder) / "model.safetensors", model)
        loaded = rot180.load_model(Path(folder) / "model.safetensors")
    if str(loaded) != str(model) or any(not _same(loaded.state[name], array) for name, array in model.state.items()):
        found.append("the saved model is another one")
    return found


def _beyond(
    differences: dict[str, float], limits: dict[str, float], text: str, start: Arrays, dtype: type, expected: Arrays
) -> dict[str, float]:
    """Return the differences above their limits that rounding errors do not explain."""
    found = {name: difference for name, difference in differences.items() if not difference <= limits[name]}
    if found:  # seldom; it takes three trainings
        unsure = _unsure(text, start, dtype, expected)
        found = {name: difference for name, difference in found.items() if not difference <= RATIO * unsure[name]}
    return found


def _unsure(text: str, start: Arrays, dtype: type, expected: Arrays) -> dict[str, float]:
    """Return how far rounding errors in the weights lead NumPy away, at most, in three tries."""
    found = dict.fromkeys(expected, 0.0)
    for seed in range(3):
        generator, size = np.random.default_rng(seed), 4 * np.finfo(dtype).eps
        moved = {
            name: w.astype(dtype) + (size * generator.normal(size=w.shape)).astype(dtype) for name, w in start.items()
        }
        differences = _differences(_trained("numpy", text, moved, dtype), expected)
        found = {name: max(found[name], difference) for name, difference in differences.items()}
    return found


def _described(model: Network) -> list[object]:
    kinds = [layer.kind if layer.is_join else repr(layer) for layer in model.layers]
    return [model.input_shape, kinds, [(layer.name, reads) for layer, reads in model.nodes]]


def _trained(engine: str, text: str, start: Arrays, dtype: type, threads: int | None = None) -> Arrays:
    """Return outputs, gradients of the first step, and the arrays of the model after some steps."""
    model = network(text).build(dtype=dtype)
    model.load_parameters({name: array.astype(dtype) for name, array in start.items()})
    generator, noise = np.random.default_rng(1), np.random.default_rng(2)
    images = generator.normal(size=(STEPS, 5, *model.input_shape)).astype(np.float32)
    labels = generator.integers(0, model.output_shape[0], (STEPS, 5))
    rot180.set_threads(threads)
    runner, optimizer = make_engine(engine, model, CrossEntropyLoss()), SGD(lr=0.01, momentum=0.9)
    found = {}
    try:
        for step in range(STEPS):
            count = 5 if step < 2 else 3
            result = runner.train_step(images[step, :count], labels[step, :count], optimizer, noise)
            found[f"loss {step + 1}"] = np.array([result.loss])
            if not result.finite:
                found["not finite"] = np.array([step])
            if step == 0:
                velocity = optimizer.state["velocity"]
                found |= {f"gradient of {name}": array.copy() for name, array in velocity.items()}
        found["outputs"] = runner.forward(images[0]).copy()
        found["outputs for one image"] = runner.forward(images[0, :1]).copy()
    finally:
        rot180.set_threads(None)
    return {**found, **{name: array.copy() for name, array in model.state.items()}}


def _differences(found: Arrays, expected: Arrays) -> dict[str, float]:
    gradients = [np.abs(array).max(initial=0) for name, array in expected.items() if name.startswith("gradient")]
    largest = float(max(gradients, default=0.0))
    differences = {}
    for name, array in expected.items():
        if name not in found:
            differences[name] = math.inf
            continue
        scale = largest if name.startswith("gradient") else max(float(np.abs(array).max(initial=0)), 1e-2)
        difference = float(np.abs(found[name].astype(np.float64) - array).max(initial=0)) / max(scale, 1e-6)
        differences[name] = difference if math.isfinite(difference) else math.inf
    return differences


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.tobytes() == b.tobytes()


def main() -> int:
    """Draw as many graphs as the command line says, and print what is wrong with any."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("count", type=int, nargs="?", default=1000)
    parser.add_argument("--start", type=int, default=0, metavar="SEED", help="the seed of the first graph")
    parser.add_argument("--network", help="check this network instead")
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # that a layer runs in NumPy
    wrong, began = 0, perf_counter()
    for seed in range(given.start, given.start + (1 if given.network else given.count)):
        try:
            text = given.network or str(draw(seed))
        except Exception as error:
            wrong += 1
            print(f"seed {seed}: drawing raised {type(error).__name__}: {error}", flush=True)
            continue
        try:
            found = faults(text)
        except Exception as error:
            found = [f"{type(error).__name__}: {error}"]
        if found:
            wrong += 1
            print(f"seed {seed}: {text}", *found, sep="\n  ", flush=True)
        if (seed - given.start) % 50 == 49:
            print(f"{seed - given.start + 1} graphs, {wrong} wrong so far", file=sys.stderr, flush=True)
    print(f"{given.count if not given.network else 1} graphs, {wrong} wrong, {perf_counter() - began:.0f} s")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
