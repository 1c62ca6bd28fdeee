"""An ONNX file as nodes, tensors by name, inputs and outputs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rot180.errors import ModelError, short
from rot180.files import open_regular
from rot180.interop.onnx.tensor import dtype_of, read_tensor
from rot180.interop.onnx.wire import Message
from rot180.memory import require
from rot180.ops.types import Array

OLDEST, NEWEST = 7, 28
"""The versions of the operator set that are read."""

MAX_BYTES = 2**31 - 1
"""The largest file: no protocol buffer is larger."""

MAX_NODES = 20_000

Attribute = float | int | str | Array | list[float] | list[int] | list[str] | None
"""A node's attribute. None stands for one that no supported operator has, such as a graph."""


class OnnxNode(NamedTuple):
    """An operator with its attributes, the names of the values that it takes, and of those that it makes.

    An empty name stands for an input or output that is left out.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]
    name: str = ""
    place: int = 0

    @property
    def label(self) -> str:
        """The node in messages: `node 'conv1' (Conv)`."""
        return f"node {short(self.name) if self.name else self.place} ({self.operator[:60]})"


class OnnxValue(NamedTuple):
    """An input or output of the graph.

    Attributes
    ----------
    name : str
    dtype : dtype or None
        None if the file does not say.
    shape : tuple or None
        None for a size that is not fixed, and for a shape that is not given.
    """

    name: str
    dtype: np.dtype[Any] | None
    shape: tuple[int | None, ...] | None


@dataclass
class OnnxGraph:
    """The content of an ONNX file.

    Attributes
    ----------
    path : str
        The file, for messages.
    opset : int
        The version of the operator set.
    nodes : list of OnnxNode
        In an order in which they can run.
    tensors : dict of str to array
        The initializers.
    inputs, outputs : list of OnnxValue
        Inputs without those that are initializers, as old files list these, too.
    metadata : dict of str to str
    """

    path: str
    opset: int = 0
    nodes: list[OnnxNode] = field(default_factory=list)
    tensors: dict[str, Array] = field(default_factory=dict)
    inputs: list[OnnxValue] = field(default_factory=list)
    outputs: list[OnnxValue] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)


def read_graph(path: str | Path) -> OnnxGraph:
    """Read an ONNX file, whose tensors become views of it.

    Raises
    ------
    ModelError
        The file cannot be read or is damaged, or uses what is not supported; the message says what.
    TooLargeError
        There is not enough memory for it.
    """
    try:
        with open_regular(Path(path).resolve()) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                raise ModelError(f"{path}: an ONNX file has at most {MAX_BYTES:,} bytes; this one has {size:,}")
            require(size, str(path))
            data = file.read(size)
    except FileNotFoundError:
        raise ModelError(f"{path}: there is no such file; check the path") from None
    except (OSError, ValueError, RuntimeError) as error:  # an impossible file name, a loop of links
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{path}: cannot be read ({reason}); check the path and its permissions") from None
    return parse_graph(data, str(path))


def parse_graph(data: bytes, path: str = "model.onnx") -> OnnxGraph:
    """Return the content of an ONNX file, given its bytes; errors as in `read_graph`."""
    graph = OnnxGraph(path)
    message = Message(memoryview(data), path)
    found: Message | None = None
    for number, value in message.fields():
        match number:
            case 7:
                found = message.inner(value)
            case 8:
                domain, version = _opset(message.inner(value))
                if domain in ("", "ai.onnx"):
                    graph.opset = version
            case 14:
                key, text = _entry(message.inner(value))
                graph.metadata[key] = text
    if found is None or not graph.opset:
        raise message.damaged("it has no graph" if found is None else "it names no operator set")
    if not OLDEST <= graph.opset <= NEWEST:
        raise ModelError(
            f"{path}: the versions {OLDEST} to {NEWEST} of ONNX's operators are read; the file has version "
            f"{graph.opset}; export it for another one"
        )
    _read(found, graph)
    return graph


def _read(message: Message, graph: OnnxGraph) -> None:
    inputs: list[OnnxValue] = []
    for number, value in message.fields():
        match number:
            case 1:
                graph.nodes.append(_node(message.inner(value), len(graph.nodes)))
                if len(graph.nodes) > MAX_NODES:
                    raise ModelError(f"{message.path}: a graph may have at most {MAX_NODES:,} nodes; it has more")
            case 5:
                name, array = read_tensor(message.inner(value))
                graph.tensors[name] = array
            case 15:
                raise ModelError(f"{message.path}: sparse tensors are not supported; save them as ordinary ones")
            case 11:
                inputs.append(_value(message.inner(value)))
            case 12:
                graph.outputs.append(_value(message.inner(value)))
    graph.inputs = [value for value in inputs if value.name not in graph.tensors]
    if not graph.nodes or not graph.outputs:
        raise message.damaged("its graph has no nodes or no output")


def _opset(message: Message) -> tuple[str, int]:
    domain, version = "", 0
    for number, value in message.fields():
        if number == 1:
            domain = message.text_of(value)
        elif number == 2:
            version = message.int_of(value)
    return domain, version


def _entry(message: Message) -> tuple[str, str]:
    texts = {number: message.bytes_of(value) for number, value in message.fields() if number in (1, 2)}
    key, text = (str(texts.get(number, memoryview(b"")), "utf-8", "replace") for number in (1, 2))
    return key, text


def _node(message: Message, place: int) -> OnnxNode:
    inputs: list[str] = []
    outputs: list[str] = []
    attributes: dict[str, Attribute] = {}
    name = operator = domain = ""
    for number, value in message.fields():
        match number:
            case 1:
                inputs.append(message.text_of(value))
            case 2:
                outputs.append(message.text_of(value))
            case 3:
                name = message.text_of(value)
            case 4:
                operator = message.text_of(value)
            case 5:
                key, attribute = _attribute(message.inner(value))
                attributes[key] = attribute
            case 7:
                domain = message.text_of(value)
    if domain not in ("", "ai.onnx"):
        operator = f"{domain}.{operator}"
    return OnnxNode(operator, tuple(inputs), tuple(outputs), attributes, name, place)


def _attribute(message: Message) -> tuple[str, Attribute]:
    name, kind = "", 0
    found: Attribute = None
    several: dict[int, list[Any]] = {7: [], 8: [], 9: []}
    for number, value in message.fields():
        match number:
            case 1:
                name = message.text_of(value)
            case 20:
                kind = message.int_of(value)
            case 2:
                found = message.float_of(value)
            case 3:
                found = message.int_of(value)
            case 4:
                found = message.text_of(value)
            case 5:
                found = read_tensor(message.inner(value))[1]
            case 7:
                several[7] += message.array_of(value, "<f4").tolist()
            case 8:
                several[8] += message.ints_of(value)
            case 9:
                several[9].append(message.text_of(value))
    attribute: Attribute = found
    lists = {6: several[7], 7: several[8], 8: several[9]}
    defaults: dict[int, Attribute] = {1: 0.0, 2: 0, 3: ""}
    if kind in lists:
        attribute = lists[kind]
    elif kind in defaults and found is None:  # a default value is left out
        attribute = defaults[kind]
    elif kind == 0 and found is None:
        attribute = next((values for values in several.values() if values), None)
    return name, attribute


def _value(message: Message) -> OnnxValue:
    name, dtype, shape = "", None, None
    for number, value in message.fields():
        if number == 1:
            name = message.text_of(value)
        elif number == 2:
            dtype, shape = _type(message.inner(value), name)
    return OnnxValue(name, dtype, shape)


def _type(message: Message, name: str) -> tuple[np.dtype[Any] | None, tuple[int | None, ...] | None]:
    dtype: np.dtype[Any] | None = None
    shape: tuple[int | None, ...] | None = None
    for number, value in message.fields():
        if number != 1:
            continue  # a sequence, a map: what takes it is refused
        tensor = message.inner(value)
        for inner, content in tensor.fields():
            if inner == 1:
                dtype = dtype_of(tensor.int_of(content), f"{message.path}: value {short(name)}")
            elif inner == 2:
                shape = _shape(tensor.inner(content))
    return dtype, shape


def _shape(message: Message) -> tuple[int | None, ...]:
    sizes: list[int | None] = []
    for number, value in message.fields():
        if number == 1:
            size: int | None = None
            dimension = message.inner(value)
            for inner, content in dimension.fields():
                if inner == 1:
                    size = dimension.int_of(content)
            sizes.append(size if size is None or size > 0 else None)
    return tuple(sizes)
