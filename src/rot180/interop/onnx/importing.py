"""Networks from ONNX files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from rot180.errors import ModelError, Rot180Error
from rot180.files import open_regular
from rot180.interop.onnx.evaluate import evaluate
from rot180.interop.onnx.graph import OnnxGraph, read_graph
from rot180.interop.onnx.lifting import LiftedNetwork, lift
from rot180.interop.onnx.value import Value
from rot180.nn import Network, Preprocessing
from rot180.nn.keywords import answering_call
from rot180.nn.validation import image_shape
from rot180.ops.types import Array

MAX_CHECKED = 5 * 10**9
"""The most multiply-adds of a network that is held against its graph: about three seconds."""


@answering_call
def import_onnx(path: str | Path, *, input_shape: Iterable[int] | None = None, output: str | None = None) -> Network:
    """Make a network of an ONNX file, with its weights: its nodes become layers.

    Parameters
    ----------
    path : str or Path
        A file for version 7 to 28 of ONNX's operators, which holds all of its weights.
    input_shape : (H, W, C) or (n,), optional
        The shape of one image, where the file leaves it open.
    output : str, optional
        The name of the output that the network has, if the graph has several.

    Returns
    -------
    Network
        Built. It takes images (N, H, W, C), even if the graph takes (N, C, H, W). Its preprocessing and class names are
        those that `rot180.export_onnx` noted in the file, or that the graph does itself; other programs note neither,
        so set `model.preprocessing` to what the network was trained with.

    Raises
    ------
    ModelError
        The file cannot be read or is damaged; it uses another file, or an operator that no layer stands for: the
        message names the node.
    TooLargeError
        The network needs more memory than is available.

    Examples
    --------
    >>> import tempfile
    >>> from rot180 import export_onnx, network
    >>> path = Path(tempfile.mkdtemp()) / "model.onnx"
    >>> _ = export_onnx(network("8x8x1 > conv3x3:4 relu > fc10").build(seed=0), path)
    >>> import_onnx(path)
    network('8x8x1 > conv3x3:4 relu > fc10')
    """
    return network_of(read_graph(path), input_shape=input_shape, output=output).model


def network_of(
    graph: OnnxGraph, *, input_shape: Iterable[int] | None = None, output: str | None = None
) -> LiftedNetwork:
    """Return the network of a graph; see `import_onnx`."""
    lifted = lift(graph, None if input_shape is None else image_shape(input_shape), output)
    _describe(lifted.model, graph)
    return lifted


def is_onnx(path: str | Path) -> bool:
    """Return whether a file's first bytes are those of an ONNX file: field 1, a number, which is the version."""
    try:
        with open_regular(Path(path).resolve()) as file:
            head = file.read(16)
    except (OSError, ValueError, RuntimeError):
        return False
    return len(head) > 2 and head[0] == 0x08 and head[1] < 100 and head[8:9] != b"{"


def difference(graph: OnnxGraph, lifted: LiftedNetwork) -> float | None:
    """Return the largest difference between a network and its graph, on random images, relative to the largest output.

    None for graphs that take whole numbers, and for networks of more than `MAX_CHECKED` multiply-adds.
    """
    model, takes, gives = lifted.model, lifted.takes, lifted.gives
    pairs = zip(model.layers, model.layer_shapes, strict=True)
    total = takes.shape[0] * sum(layer.multiply_adds(shapes.input) for layer, shapes in pairs)
    (value,) = graph.inputs
    if total > MAX_CHECKED or value.dtype == np.uint8:
        return None
    x = np.random.default_rng(0).normal(0, 1, takes.shape).astype(value.dtype or np.float32)
    wanted = evaluate(graph, {value.name: x})[lifted.output]
    y = model(_own(x, takes).astype(np.float32, copy=False))
    wanted = _own(wanted, gives).reshape(y.shape)
    return float(np.abs(y - wanted).max() / max(float(np.abs(wanted).max()), 1e-30))


def _own(array: Array, value: Value) -> Array:
    """Return an array with the axes in the order of a network's."""
    order = [value.axes.index(axis) for axis in "NHWC1" if axis in value.axes]
    return array.transpose(order) if len(order) == array.ndim else array


def _describe(model: Network, graph: OnnxGraph) -> None:
    """Set preprocessing and class names, where the file notes them as `rot180.export_onnx` does."""
    names = _noted(graph, "class_names")
    if isinstance(names, list) and len(names) == model.output_shape[-1] and all(isinstance(n, str) for n in names):
        model.class_names = tuple(names)
    noted = _noted(graph, "preprocessing")
    if isinstance(noted, dict):
        try:
            model.preprocessing = Preprocessing.from_dict(noted)
        except Rot180Error as error:
            raise ModelError(f"{graph.path}: the preprocessing noted in it cannot be used ({error})") from None


def _noted(graph: OnnxGraph, key: str) -> Any:
    text = graph.metadata.get(key, "null")
    if len(text) > 1_000_000:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # another program's note of that name
        return None
