"""A graph as a network: its nodes as layers, with their weights."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rot180.errors import ModelError, Rot180Error, short
from rot180.interop.onnx.call import Call
from rot180.interop.onnx.evaluate import compute
from rot180.interop.onnx.graph import OnnxGraph, OnnxNode
from rot180.interop.onnx.lift_convolution import conv, conv_transpose, gemm, matmul
from rot180.interop.onnx.lift_elementwise import (
    ACTIVATIONS,
    Lift,
    add,
    clip,
    concat,
    divide,
    dropout,
    multiply,
    prelu,
    several,
    softmax,
    subtract,
    unchanged,
)
from rot180.interop.onnx.lift_normalization import (
    batch_normalization,
    channel_normalization,
    group_normalization,
    instance_normalization,
    layer_normalization,
    local_response_normalization,
)
from rot180.interop.onnx.lift_pooling import (
    average_pool,
    global_average_pool,
    global_max_pool,
    max_pool,
    reduce_max,
    reduce_mean,
)
from rot180.interop.onnx.lift_shape import (
    flatten,
    reshape,
    resize,
    shape_of,
    sliced,
    split,
    squeeze,
    transpose,
    unsqueeze,
)
from rot180.interop.onnx.operators import operator_of
from rot180.interop.onnx.patterns import fuse
from rot180.interop.onnx.value import MAPS, VECTOR, Lifted, Operand, Value
from rot180.interop.pixel_scale import preprocessing_of
from rot180.nn import Network
from rot180.nn.graph import leading_to
from rot180.nn.layer import Shape
from rot180.nn.weighted import build_with_zeros
from rot180.ops.types import Array

LIFTS: dict[str, Lift] = {
    **ACTIVATIONS,
    "Add": add,
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Cast": unchanged,
    "ChannelNormalization": channel_normalization,
    "Clip": clip,
    "Concat": concat,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Div": divide,
    "Dropout": dropout,
    "Flatten": flatten,
    "Gemm": gemm,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
    "GroupNormalization": group_normalization,
    "Identity": unchanged,
    "InstanceNormalization": instance_normalization,
    "LRN": local_response_normalization,
    "LayerNormalization": layer_normalization,
    "MatMul": matmul,
    "MaxPool": max_pool,
    "Mul": multiply,
    "PRelu": prelu,
    "ReduceMax": reduce_max,
    "ReduceMean": reduce_mean,
    "Reshape": reshape,
    "Resize": resize,
    "Slice": sliced,
    "Softmax": softmax,
    "Split": split,
    "Squeeze": squeeze,
    "Sub": subtract,
    "Sum": several,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
    "Upsample": resize,
}
"""What makes layers of each operator."""

MAX_CONSTANT = 2**22
"""The most values of a constant that is computed from others: a shape, or weights that were left to a node."""

MAX_FOLDED = 96 * 2**20
"""The most bytes of all such constants."""

MAX_MORE = 64 * 2**20
"""How many bytes the parameters may need beyond those of the file, as several nodes may read one tensor."""

MAX_IMAGE = 2**28
"""The most values of a batch of images as the file fixes it."""

CHANNELS = (1, 3, 4)
"""The numbers of channels of images, by which it is found which axis of an input they are."""


class LiftedNetwork(NamedTuple):
    """A network, and how the graph that it was made of sees its input and output.

    Attributes
    ----------
    model : Network
        Built, with the weights of the graph.
    takes, gives : Value
        The graph's input and output, with the names of their axes.
    output : str
        The name of the output.
    """

    model: Network
    takes: Value
    gives: Value
    output: str


def lift(graph: OnnxGraph, input_shape: Shape | None = None, output: str | None = None) -> LiftedNetwork:
    """Return the network that a graph stands for.

    Parameters
    ----------
    graph : OnnxGraph
    input_shape : (H, W, C), optional
        For graphs that leave the size of the images open.
    output : str, optional
        Which output the network has, if the graph has several.

    Raises
    ------
    ModelError
        A node cannot be expressed by layers; the message names it.
    TooLargeError
        The network needs more memory than is available.
    """
    wanted = _output(graph, output)
    constants = dict(graph.tensors)
    nodes = _needed(graph.nodes, wanted, graph.path)
    folding = _Folding(graph)
    nodes = [node for node in nodes if not folding.folds(node, constants)]
    nodes = fuse(nodes, constants, {wanted})
    source = _input(graph, input_shape)
    readers = Counter(name for node in nodes for name in node.inputs)
    values: dict[str, Operand] = {graph.inputs[0].name: source, **constants}
    net = Lifted(_own_shape(source))
    if graph.inputs[0].dtype == np.uint8:
        net.pixels = np.ones(source.channels), np.zeros(source.channels)
    for node in nodes:
        if folding.folds(node, values):
            continue
        call: Call[Operand] = Call(
            node, [_read(values, name, node, graph, readers) for name in node.inputs], graph.opset, graph.path
        )
        for name, made in zip(node.outputs, _lifted(call, net), strict=False):
            if made is not None:
                values[name] = made
    found = values.get(wanted)
    if not isinstance(found, Value) or found.place < 0:
        raise ModelError(f"{graph.path}: its output {short(wanted)} is not computed from its input by any layer")
    if found.axes not in (MAPS, VECTOR, "NHWC") and found.axes.rstrip("1") != VECTOR:
        raise ModelError(
            f"{graph.path}: its output {short(wanted)}, of shape {list(found.shape)}, is in an order that layers do "
            f"not have"
        )
    return LiftedNetwork(_network(net, found.place, graph), source, found, wanted)


def _output(graph: OnnxGraph, output: str | None) -> str:
    names = [value.name for value in graph.outputs]
    if output is None and len(names) == 1:
        return names[0]
    if output in names:
        return output
    listed = ", ".join(short(name) for name in names[:8])
    raise ModelError(f"{graph.path}: a network has one output; choose one of {listed} with output=...")


def _needed(nodes: Sequence[OnnxNode], wanted: str, path: str) -> list[OnnxNode]:
    """Return the nodes that an output depends on, in their order."""
    names, found = {wanted}, []
    for node in reversed(nodes):
        if names & {*node.outputs}:
            found.append(node)
            names |= {name for name in node.inputs if name}
    if not found:
        raise ModelError(f"{path}: no node makes its output {short(wanted)}")
    return found[::-1]


class _Folding:
    """The computation of what depends on no image, within a bound on all of it together."""

    def __init__(self, graph: OnnxGraph) -> None:
        self._graph, self._left = graph, MAX_FOLDED

    def folds(self, node: OnnxNode, values: dict[str, Array] | dict[str, Operand]) -> bool:
        """Compute a node whose inputs are all constant; return whether they are."""
        graph = self._graph
        given = [values.get(name) if name else None for name in node.inputs]
        if node.operator == "Shape" and given and isinstance(given[0], Value):
            call: Call[Operand] = Call(node, given, graph.opset, graph.path)
            values[node.outputs[0]] = shape_of(call)
            return True
        if any(name and not isinstance(array, np.ndarray) for name, array in zip(node.inputs, given, strict=True)):
            return False
        constants = [array if isinstance(array, np.ndarray) else None for array in given]
        for name, array in zip(node.outputs, compute(node, constants, graph, MAX_CONSTANT), strict=False):
            if name and array is not None:
                values[name] = array
                self._left -= array.nbytes if array.base is None else 0
        if self._left < 0:
            raise ModelError(
                f"{graph.path}: {node.label}: constants may be computed with at most {MAX_FOLDED:,} bytes in all; save "
                f"their values instead"
            )
        return True


def _input(graph: OnnxGraph, input_shape: Shape | None) -> Value:
    """Return the network's input: images, channels first or last, or vectors."""
    if len(graph.inputs) != 1:
        names = ", ".join(short(value.name) for value in graph.inputs[:8]) or "none"
        raise ModelError(f"{graph.path}: a network has one input; the graph has {len(graph.inputs)}: {names}")
    name, dtype, shape = graph.inputs[0]
    if shape is None or len(shape) not in (2, 4):
        told = "none given" if shape is None else f"{len(shape)} axes"
        raise ModelError(
            f"{graph.path}: its input {short(name)} must be images (N, C, H, W) or vectors (N, n); it has {told}"
        )
    if dtype is not None and dtype.kind != "f" and dtype != np.uint8:
        raise ModelError(f"{graph.path}: its input {short(name)} must be floats or uint8; it is {dtype}")
    axes = VECTOR if len(shape) == 2 else "NHWC" if shape[3] in CHANNELS and shape[1] not in CHANNELS else MAPS
    own = "NHWC" if len(shape) == 4 else VECTOR
    sizes = dict(zip(axes, shape, strict=True))
    if input_shape is not None:
        if len(input_shape) != len(shape) - 1:
            raise ModelError(f"{graph.path}: input_shape must have {len(shape) - 1} numbers; it is {input_shape}")
        for axis, size in zip(own[1:], input_shape, strict=True):
            if sizes[axis] not in (None, size):
                raise ModelError(f"{graph.path}: input_shape is {input_shape}, but the file fixes {list(shape[1:])}")
            sizes[axis] = size
    if None in (sizes[axis] for axis in own[1:]):
        example = "(224, 224, 3)" if len(shape) == 4 else "(784,)"
        raise ModelError(f"{graph.path}: the file leaves the size of the images open; give input_shape={example}")
    sizes["N"] = sizes["N"] or 1
    if math.prod(size or 1 for size in sizes.values()) > MAX_IMAGE:
        raise ModelError(
            f"{graph.path}: its input may have at most {MAX_IMAGE:,} values; it has {list(sizes.values())}"
        )
    known = {axis: size for axis, size in sizes.items() if size is not None}
    return Value(-1, tuple(known[axis] for axis in axes), axes)


def _own_shape(source: Value) -> Shape:
    sizes = dict(zip(source.axes, source.shape, strict=True))
    return tuple(sizes[axis] for axis in "HWC" if axis in sizes)


def _read(
    values: dict[str, Operand], name: str, node: OnnxNode, graph: OnnxGraph, readers: Counter[str]
) -> Operand | None:
    if not name:
        return None
    if name not in values:
        raise ModelError(f"{graph.path}: {node.label}: it reads {short(name)}, which no node before it makes")
    found = values[name]
    if isinstance(found, Value):
        return found._replace(exclusive=found.exclusive and readers[name] == 1)
    return found


def _lifted(call: Call[Operand], net: Lifted) -> Sequence[Value | None]:
    """Return the values that a node makes."""
    make = LIFTS.get(call.node.operator)
    if make is None:
        operator_of(call.node, call.opset, call.path)  # which refuses what is not an operator at all
        raise call.error("no layer stands for this operator")
    try:
        made = make(call, net)
    except ModelError:
        raise
    except (ArithmeticError, IndexError, TypeError, ValueError, Rot180Error) as error:
        raise call.error(f"no layer stands for it ({error})") from None
    if call.unread:
        raise call.error(f"its attribute {call.unread[0][:60]!r} is not supported")
    return (made,) if isinstance(made, Value) else made


def _network(net: Lifted, last: int, graph: OnnxGraph) -> Network:
    """Return the network of those nodes that the last one depends on, with their arrays."""
    kept, nodes = leading_to(net.nodes, last)
    size = sum(array.nbytes for old in kept for array in net.arrays[old].values())
    held = sum(array.nbytes for array in graph.tensors.values())
    if size > held + MAX_MORE:
        raise ModelError(
            f"{graph.path}: the network's parameters would take {size:,} bytes, but the file's tensors have {held:,}: "
            f"many nodes read the same tensors, or compute them; save their values"
        )
    arrays = [net.arrays[old] for old in kept]
    is_double = any(array.dtype == np.float64 for own in arrays for array in own.values())
    try:
        model = Network(nodes, input_shape=net.input_shape)
        build_with_zeros(model, np.float64 if is_double else np.float32)
        model.load_parameters(
            {
                f"{node.layer.name}.{name}": array.astype(model.dtype, copy=False)
                for node, own in zip(nodes, arrays, strict=True)
                for name, array in own.items()
            }
        )
    except MemoryError:
        raise
    except Rot180Error as error:
        raise ModelError(f"{graph.path}: its layers do not make a network ({error})") from None
    if net.pixels is not None:
        model.preprocessing = preprocessing_of(*net.pixels, graph.path)
    return model
