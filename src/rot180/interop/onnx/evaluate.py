"""A graph computed node by node in NumPy: what the file itself says, which a lifted network is held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from rot180.errors import ModelError, Rot180Error, short
from rot180.interop.onnx.call import Call
from rot180.interop.onnx.graph import OnnxGraph, OnnxNode
from rot180.interop.onnx.operators import operator_of
from rot180.ops.types import Array


def evaluate(graph: OnnxGraph, inputs: Mapping[str, Array], limit: int | None = None) -> dict[str, Array]:
    """Return the outputs of a graph by name.

    Parameters
    ----------
    graph : OnnxGraph
    inputs : mapping of str to array
        A value for each of `graph.inputs`, in ONNX's layout: images (N, C, H, W).
    limit : int, optional
        The most values that a node may make.

    Raises
    ------
    ModelError
        An operator is unknown, or a node does not fit its inputs; the message names the node.
    TooLargeError
        A node would need more memory than is available.
    """
    values: dict[str, Array] = {**graph.tensors, **inputs}
    wanted = {value.name for value in graph.outputs}
    readers = Counter(name for node in graph.nodes for name in node.inputs)
    for node in graph.nodes:
        given = [None if not name else _value(values, name, node, graph.path) for name in node.inputs]
        for name, array in zip(node.outputs, compute(node, given, graph, limit), strict=False):
            if name and array is not None:
                values[name] = array
        for name in set(node.inputs) & values.keys():
            readers[name] -= node.inputs.count(name)
            if readers[name] == 0 and name not in wanted:
                del values[name]
    missing = [value.name for value in graph.outputs if value.name not in values]
    if missing:
        raise ModelError(f"{graph.path}: no node makes the output {short(missing[0])}")
    return {value.name: values[value.name] for value in graph.outputs}


def compute(
    node: OnnxNode, inputs: list[Array | None], graph: OnnxGraph, limit: int | None = None
) -> tuple[Array | None, ...]:
    """Return the outputs of one node; errors as in `evaluate`, and beyond `limit` values."""
    operator = operator_of(node, graph.opset, graph.path)
    call: Call[Array] = Call(node, inputs, graph.opset, graph.path, limit)
    try:
        with np.errstate(all="ignore"):
            found = operator(call)
    except ModelError:
        raise
    except MemoryError:
        raise
    except (ArithmeticError, IndexError, TypeError, ValueError, Rot180Error) as error:
        raise call.error(f"it does not fit its inputs ({error})") from None
    if call.unread:
        raise call.error(f"its attribute {call.unread[0][:60]!r} is not supported")
    several = found if isinstance(found, tuple) else (found,)
    return tuple(None if array is None else np.asarray(array) for array in several)


def _value(values: Mapping[str, Array], name: str, node: OnnxNode, path: str) -> Array:
    if name not in values:
        raise ModelError(f"{path}: {node.label}: it reads {short(name)}, which no node before it makes")
    return values[name]
