"""Collect those node tests of the onnx package that a network of convolutions can meet, and pass them.

    python benchmarks/onnx_nodes.py            compare the evaluator with the installed package's tests, one line each
    python benchmarks/onnx_nodes.py --write    store them in tests/interop/onnx_node_tests.npz, which the tests read

The package makes its tests anew whenever it is asked, which takes longer than all tests of a room may. They are of the
ONNX project (Apache License 2.0). Which ones are taken is decided by the names in the stored file.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rot180.errors import Rot180Error
from rot180.interop.onnx.evaluate import evaluate
from rot180.interop.onnx.graph import parse_graph

STORED = Path(__file__).parents[1] / "tests" / "interop" / "onnx_node_tests.npz"


class NodeTest(NamedTuple):
    """A graph, usually of one node, with inputs, the outputs that it should have, and how far off they may be."""

    name: str
    model: bytes
    inputs: list[np.ndarray]
    outputs: list[np.ndarray]
    rtol: float
    atol: float


def stored(path: Path = STORED) -> Iterator[NodeTest]:
    """Yield the stored tests."""
    with np.load(path, allow_pickle=False) as file:
        index, data = json.loads(str(file["index"])), file["data"].tobytes()
    at = 0

    def take(dtype: str, shape: list[int]) -> np.ndarray:
        nonlocal at
        array = np.frombuffer(data, dtype, math.prod(shape), at).reshape(shape)
        at += array.nbytes
        return array

    for name, size, inputs, outputs, rtol, atol in index:
        model = take("u1", [size]).tobytes()
        yield NodeTest(name, model, [take(*each) for each in inputs], [take(*each) for each in outputs], rtol, atol)


def collected(names: set[str]) -> Iterator[NodeTest]:
    """Yield the tests of these names as the installed package makes them."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = collect_testcases(None)
    for case in cases:
        if case.name in names:
            ((inputs, outputs),) = case.data_sets
            arrays = [[np.asarray(array) for array in each] for each in (inputs, outputs)]
            yield NodeTest(case.name, case.model.SerializeToString(), *arrays, case.rtol, case.atol)


def fault(test: NodeTest) -> str:
    """Return in what the evaluator differs from a test; empty if it passes."""
    try:
        graph = parse_graph(test.model, test.name)
        given = {value.name: array for value, array in zip(graph.inputs, test.inputs, strict=True)}
        found = list(evaluate(graph, given).values())
    except Rot180Error as error:
        return str(error)
    for place, (y, wanted) in enumerate(zip(found, test.outputs, strict=True)):
        if (y.dtype, y.shape) != (wanted.dtype, wanted.shape):
            return f"output {place} is {y.dtype} {y.shape}, not {wanted.dtype} {wanted.shape}"
        if not np.allclose(y.astype(float), wanted.astype(float), test.rtol, test.atol, equal_nan=True):
            return f"output {place} differs by up to {np.abs(y.astype(float) - wanted.astype(float)).max():.3g}"
    return ""


def write(tests: list[NodeTest]) -> None:
    """Store tests: a table, and all models and arrays one after the other."""
    index, parts = [], []
    for test in tests:
        parts += [test.model, *(array.tobytes() for array in (*test.inputs, *test.outputs))]
        arrays = [[(array.dtype.str, array.shape) for array in each] for each in (test.inputs, test.outputs)]
        index.append((test.name, len(test.model), *arrays, test.rtol, test.atol))
    data = np.frombuffer(b"".join(parts), np.uint8)
    np.savez_compressed(STORED, index=np.array(json.dumps(index)), data=data)


def main() -> int:
    """Run the tests of the installed package and return the number that fail."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="store the tests")
    parser.add_argument("--names", type=Path, help="a text with a name a line; by default the names already stored")
    options = parser.parse_args()
    names = set(options.names.read_text().split()) if options.names else {test.name for test in stored()}
    tests = list(collected(names))
    faults = {test.name: fault(test) for test in tests}
    for name, reason in faults.items():
        if reason:
            print(f"{name}: {reason}")
    failed = sum(map(bool, faults.values())) + len(names) - len(tests)
    print(f"{len(names) - failed} of {len(names)} pass")
    if options.write:
        write(tests)
    return failed


if __name__ == "__main__":
    sys.exit(min(main(), 1))
