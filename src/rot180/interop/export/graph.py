"""An ONNX graph while it is written: nodes, constants, and the values between the nodes.

Feature maps are (N, C, H, W) in the graph, so its weights are permuted once and its nodes need no transposition. A
flattened map therefore holds its numbers in another order than rot180's, which is (H, W, C). A `Value` records that
order, and whoever has a weight for each number permutes the weight.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from rot180.errors import NonFiniteError
from rot180.nn.layer import Layer, Shape
from rot180.ops.types import Array

BATCH = "N"
"""The name of the batch axis, whose size is open."""


class Value(NamedTuple):
    """An input of the graph, or the output of a layer.

    Attributes
    ----------
    name : str
    shape : (H, W, C) or (n,)
        The shape for one image, as in rot180. Maps are (N, C, H, W) in the graph.
    order : (n,) int or None
        Of a row of numbers: which of rot180's numbers is at each place of the graph's row; None if they are the same.
    """

    name: str
    shape: Shape
    order: Array | None = None

    @property
    def is_map(self) -> bool:
        """Whether it is feature maps, and not a row of numbers."""
        return len(self.shape) == 3

    def per_channel(self, array: Array) -> Array:
        """Return an array with a number for each channel in a form that the graph's value can be multiplied by."""
        if self.is_map:
            return array.reshape(-1, 1, 1)
        return array if self.order is None or len(array) == 1 else array[self.order]


class Graph:
    """The nodes and constants written so far.

    Parameters
    ----------
    opset : int
        The version of the set of operators.

    Attributes
    ----------
    folded : dict of Layer to dict
        The weights of layers into which the normalization that follows is folded; see `folding`.
    """

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}
        self.folded: dict[Layer, dict[str, Array]] = {}
        self._ordered: dict[str, Value] = {}

    def parameters(self, layer: Layer) -> dict[str, Array]:
        """Return a layer's parameters as they are written."""
        return self.folded.get(layer, layer.parameters)

    def node(self, operator: str, name: str, inputs: Iterable[str], **attributes: Any) -> str:
        """Append a node with one output, both called `name`, and return the name."""
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, name: str, array: Array) -> str:
        """Keep an array, as float32 if it is floats, and return its name.

        Raises
        ------
        NonFiniteError
            A number is beyond the range of float32.
        """
        if array.dtype.kind == "f":
            with np.errstate(over="ignore"):
                array = array.astype(np.float32)
            if not np.isfinite(array).all():
                raise NonFiniteError(
                    f"export_onnx: {name} has numbers beyond the range of float32, in which ONNX keeps the weights; "
                    f"train again with a lower --lr, or normalize the images",
                    array=name,
                )
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def number(self, value: float) -> str:
        """Keep one float, called by its value, and return its name."""
        return self.constant(repr(float(value)), np.array(value, np.float32))

    def numbers(self, values: Sequence[int]) -> str:
        """Keep a row of whole numbers, such as axes or a shape, called by its values, and return its name."""
        return self.constant(str(list(values)), np.array(values, np.int64))

    def reduce(self, operator: str, name: str, x: str, axes: Sequence[int]) -> str:
        """Append a mean or maximum over axes, which are kept; they became an input in version 18."""
        if self.opset >= 18:
            return self.node(operator, name, [x, self.numbers(axes)])
        return self.node(operator, name, [x], axes=list(axes))

    def in_order(self, value: Value) -> Value:
        """Return the value with its numbers in rot180's order."""
        if value.order is None:
            return value
        if value.name not in self._ordered:
            name = f"{value.name}/ordered"
            places = self.constant(f"{name}/places", np.argsort(value.order))
            self._ordered[value.name] = Value(self.node("Gather", name, [value.name, places], axis=1), value.shape)
        return self._ordered[value.name]

    def name_output(self, old: str, new: str) -> None:
        """Give the output of a node another name; append a node if it is an input of the graph."""
        if not any(old in node.output for node in self.nodes):
            self.node("Identity", new, [old])
            return
        for node in self.nodes:
            for names in (node.input, node.output):
                for place, name in enumerate(names):
                    if name == old:
                        names[place] = new


def declared(name: str, shape: Sequence[int], type: int = TensorProto.FLOAT) -> ValueInfoProto:
    """Return the declaration of a value of the graph, with an open number of images."""
    return helper.make_tensor_value_info(name, type, [BATCH, *shape])


def graph_shape(shape: Shape) -> Shape:
    """Return the shape for one image as the graph holds it.

    >>> graph_shape((8, 6, 3)), graph_shape((10,))
    ((3, 8, 6), (10,))
    """
    return (shape[2], shape[0], shape[1]) if len(shape) == 3 else shape


def flattened_order(shape: Shape) -> Array | None:
    """Return the order of the numbers of flattened maps: rows (C, H, W) of rot180's places in (H, W, C).

    >>> flattened_order((1, 2, 2)).tolist(), flattened_order((4, 4, 1))
    ([0, 2, 1, 3], None)
    """
    if len(shape) == 1 or shape[2] == 1 or shape[0] * shape[1] == 1:
        return None
    return np.arange(np.prod(shape)).reshape(shape).transpose(2, 0, 1).ravel()
