"""ONNX Runtime on the CPU, for inference: the graph is written from our weights, with all optimizations."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from deep import DeepWorkload
from workloads import Layer, Workload

VERSIONS = {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__}
_PLAIN = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "flatten": "Flatten"}
_OPSET = 17


def graph(layers: list[Layer], weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    """Write the network in ONNX: images (N, C, H, W) in, probabilities out."""
    nodes, constants = [], []
    flattened: tuple[int, ...] = ()
    last = "images"

    def add(operation: str, *inputs: str, **attributes: Any) -> None:
        nonlocal last
        output = f"value{len(nodes)}"
        nodes.append(helper.make_node(operation, [last, *inputs], [output], **attributes))
        last = output

    for layer in layers:
        window = {"kernel_shape": [layer.size] * 2}
        if layer.name:
            weight = weights[f"{layer.name}.weight"]
            if layer.kind == "conv":
                weight = weight.transpose(3, 2, 0, 1)
            elif flattened:  # ours are flattened (H, W, C), ONNX's (C, H, W)
                weight = weight.reshape(*flattened, -1).transpose(2, 0, 1, 3).reshape(weight.shape)
                flattened = ()
            constants.append(numpy_helper.from_array(np.ascontiguousarray(weight), f"{layer.name}.weight"))
            constants.append(numpy_helper.from_array(weights[f"{layer.name}.bias"], f"{layer.name}.bias"))
            names = (f"{layer.name}.weight", f"{layer.name}.bias")
        if layer.kind == "conv":
            add("Conv", *names, pads=[layer.pad] * 4, **window)
        elif layer.kind == "fc":
            add("Gemm", *names)
        elif layer.kind == "maxpool":
            add("MaxPool", strides=[layer.size] * 2, **window)
        elif layer.kind == "avgpool":
            add("AveragePool", strides=[layer.size] * 2, **window)
        else:
            add(_PLAIN[layer.kind])
        if layer.kind == "flatten":
            flattened = layer.input_shape
    add("Softmax")
    height, width, channels = layers[0].input_shape
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", channels, height, width])
    output = helper.make_tensor_value_info(last, TensorProto.FLOAT, ["n", layers[-1].output_shape[0]])
    model = helper.make_model(
        helper.make_graph(nodes, "network", [image], [output], constants),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    return model


class Contender:
    """A prediction."""

    def __init__(self, workload: Workload | DeepWorkload, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        if isinstance(workload, Workload):
            model = graph(workload.layers, workload.weights()).SerializeToString()
        else:
            model = workload.file(".onnx").read_bytes()
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def prepare(self, images: np.ndarray, labels: np.ndarray) -> tuple[Any, Any]:
        """Convert a batch; not part of the measured time."""
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2)), labels

    def step(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the probabilities."""
        return self.session.run(None, {"images": images})[0]
