"""Import the network graphs of the onnx package with random weights, and compare outputs with ONNX Runtime's.

    python benchmarks/onnx_light.py [NAME ...] [--file MODEL.onnx]

The package has nine graphs that Caffe2 made, whose weights are all one number; here they are drawn. Other files are
taken as they are. Printed is the largest difference of the network, and of the evaluator of nodes, relative to the
largest output. Needs onnx and onnxruntime.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from rot180.interop.onnx.evaluate import evaluate
from rot180.interop.onnx.graph import parse_graph
from rot180.interop.onnx.lifting import lift

GRAPHS = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
LIMIT = 1e-4


def with_random_weights(path: Path, seed: int = 0) -> bytes:
    """Return a graph whose ConstantOfShape nodes are replaced by random tensors, positive ones for variances.

    A softmax at the end is left out: after it, large differences are small.
    """
    model, generator = onnx.load(path), np.random.default_rng(seed)
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    variances = {node.input[4] for node in model.graph.node if node.op_type == "BatchNormalization"}
    for node in [node for node in model.graph.node if node.op_type == "ConstantOfShape"]:
        shape, (name,) = tuple(shapes[node.input[0]].tolist()), node.output
        values = generator.normal(0, 1, shape)
        if name in variances:
            values = generator.uniform(0.5, 1.5, shape)
        elif len(shape) > 1:
            values *= np.sqrt(2 / np.prod(shape[1:]))
        model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
        model.graph.node.remove(node)
    last = model.graph.node[-1]
    if last.op_type == "Softmax":
        model.graph.output[0].name = last.input[0]
        model.graph.node.remove(last)
    return bytes(model.SerializeToString())


def compare(data: bytes, name: str) -> tuple[int, float, float]:
    """Return the number of layers, and the largest differences of the network and of the evaluator."""
    graph = parse_graph(data, name)
    model = lift(graph).model
    (value,) = graph.inputs
    x = np.random.default_rng(1).normal(0, 1, (value.shape[0] or 1, *value.shape[1:])).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    (wanted, *_) = session.run(None, {value.name: x})
    (evaluated,) = evaluate(graph, {value.name: x}).values()
    y = model(x.transpose(0, 2, 3, 1))
    scale = np.abs(wanted).max()
    differences = [float(np.abs(array.reshape(wanted.shape) - wanted).max() / scale) for array in (y, evaluated)]
    return len(model.layers), differences[0], differences[1]


def main() -> int:
    """Print a line for each graph and return how many differ by more than the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=sorted(path.stem for path in GRAPHS.glob("*.onnx")))
    parser.add_argument("--file", type=Path, help="an ONNX file of yours")
    options = parser.parse_args()
    wrong = 0
    for name in [str(options.file)] if options.file else options.names:
        data = options.file.read_bytes() if options.file else with_random_weights(GRAPHS / f"{name}.onnx")
        layers, network, evaluator = compare(data, name)
        wrong += max(network, evaluator) > LIMIT
        print(f"{name:24} {layers:4} layers  network {network:.1e}  evaluator {evaluator:.1e}", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(min(main(), 1))
