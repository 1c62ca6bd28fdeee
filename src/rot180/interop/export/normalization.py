"""Normalization as nodes: over a batch's statistics, over parts of one image, over neighboring channels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rot180.interop.export.graph import Graph, Value
from rot180.nn.batch_norm import BatchNorm2d
from rot180.nn.channels import LocalResponseNorm
from rot180.nn.group_norm import GroupNorm, InstanceNorm2d, LayerNorm
from rot180.nn.normalization import Normalization
from rot180.ops.types import Array


def batch_norm(graph: Graph, layer: BatchNorm2d, x: Value) -> Value:
    """Write a batch normalization with its running statistics."""
    arrays = {**_scale_and_shift(layer, x.shape[-1]), **layer.statistics}
    inputs = [
        graph.constant(f"{layer.name}.{name}", x.per_channel(arrays[name]).ravel())
        for name in ("weight", "bias", "running_mean", "running_var")
    ]
    return x._replace(
        name=graph.node(
            "BatchNormalization", layer.name, [x.name, *inputs], epsilon=layer.eps, momentum=1 - layer.momentum
        )
    )


def instance_norm(graph: Graph, layer: InstanceNorm2d, x: Value) -> Value:
    """Write an instance normalization."""
    arrays = _scale_and_shift(layer, x.shape[-1])
    inputs = [graph.constant(f"{layer.name}.{name}", array) for name, array in arrays.items()]
    return x._replace(name=graph.node("InstanceNormalization", layer.name, [x.name, *inputs], epsilon=layer.eps))


def group_norm(graph: Graph, layer: GroupNorm, x: Value) -> Value:
    """Write a group normalization: of maps one node from version 21 on, else an instance normalization of the groups.

    The operator of version 18 has a scale for each group instead of each channel, and is not used.
    """
    x = graph.in_order(x)
    name, groups, channels = layer.name, layer.num_groups, x.shape[-1]
    if x.is_map and graph.opset >= 21:
        arrays = _scale_and_shift(layer, channels)
        inputs = [graph.constant(f"{name}.{key}", array) for key, array in arrays.items()]
        return x._replace(
            name=graph.node("GroupNormalization", name, [x.name, *inputs], epsilon=layer.eps, num_groups=groups)
        )
    grouped = graph.node("Reshape", f"{name}/grouped", [x.name, graph.numbers([0, groups, -1])])
    ones, zeros = (graph.constant(f"{name}/{key}", np.full(groups, n, np.float32)) for key, n in (("1", 1), ("0", 0)))
    normalized = graph.node("InstanceNormalization", f"{name}/normalized", [grouped, ones, zeros], epsilon=layer.eps)
    shape = [0, channels, *x.shape[:-1]]
    back = f"{name}/ungrouped" if layer.affine else name
    graph.node("Reshape", back, [normalized, graph.numbers(shape)])
    return x._replace(name=_shifted(graph, layer, back, *(x.per_channel(a) for a in layer.parameters.values())))


def layer_norm(graph: Graph, layer: LayerNorm, x: Value) -> Value:
    """Write a layer normalization: one node for a whole image from version 17 on, else mean and variance apart.

    The operator normalizes the last axes of the graph's maps, which are rows and columns; so the channels of a pixel
    need several nodes.
    """
    name, axes = layer.name, layer.axes
    arrays = [_in_graph(array, x, axes) for array in layer.parameters.values()]
    if axes == len(x.shape) and graph.opset >= 17 and layer.affine:
        inputs = [graph.constant(f"{name}.{key}", array) for key, array in zip(("weight", "bias"), arrays, strict=True)]
        return x._replace(name=graph.node("LayerNormalization", name, [x.name, *inputs], axis=1, epsilon=layer.eps))
    over = {1: [1], 2: [1, 3], 3: [1, 2, 3]}[axes]
    mean = graph.reduce("ReduceMean", f"{name}/mean", x.name, over)
    deviation = graph.node("Sub", f"{name}/centered", [x.name, mean])
    square = graph.node("Mul", f"{name}/square", [deviation, deviation])
    variance = graph.reduce("ReduceMean", f"{name}/var", square, over)
    positive = graph.node("Add", f"{name}/positive", [variance, graph.number(layer.eps)])
    root = graph.node("Sqrt", f"{name}/std", [positive])
    normalized = graph.node("Div", f"{name}/normalized" if layer.affine else name, [deviation, root])
    return x._replace(name=_shifted(graph, layer, normalized, *arrays))


def local_response_norm(graph: Graph, layer: LocalResponseNorm, x: Value) -> Value:
    """Write a local response normalization: one node where its window is symmetric, else a mean over neighbors."""
    name, size = layer.name, layer.size
    if x.is_map and size % 2 and layer.alpha > 0 and layer.beta > 0:
        return x._replace(
            name=graph.node("LRN", name, [x.name], size=size, alpha=layer.alpha, beta=layer.beta, bias=layer.k)
        )
    x = graph.in_order(x)
    channels = x.shape[-1]
    square = graph.node("Mul", f"{name}/square", [x.name, x.name])
    rows = graph.node("Reshape", f"{name}/rows", [square, graph.numbers([0, 1, channels, -1])])
    mean = graph.node(
        "AveragePool",
        f"{name}/mean",
        [rows],
        kernel_shape=[size, 1],
        strides=[1, 1],
        pads=[size // 2, 0, (size - 1) // 2, 0],
        count_include_pad=1,
    )
    back = graph.node("Reshape", f"{name}/maps", [mean, graph.numbers([0, channels, *x.shape[:-1]])])
    scaled = graph.node("Mul", f"{name}/scaled", [back, graph.number(layer.alpha)])
    shifted = graph.node("Add", f"{name}/shifted", [scaled, graph.number(layer.k)])
    power = graph.node("Pow", f"{name}/power", [shifted, graph.number(layer.beta)])
    return x._replace(name=graph.node("Div", name, [x.name, power]))


def _scale_and_shift(layer: Normalization, channels: int) -> dict[str, Array]:
    """Return the parameters, or ones and zeros."""
    if layer.affine:
        return {name: layer.parameter(name) for name in ("weight", "bias")}
    return {"weight": np.ones(channels, np.float32), "bias": np.zeros(channels, np.float32)}


def _shifted(graph: Graph, layer: Normalization, x: str, *arrays: Array) -> str:
    """Append the learned scale and shift, if the layer has them."""
    if not layer.affine:
        return x
    name = layer.name
    weight, bias = (
        graph.constant(f"{name}.{key}", array) for key, array in zip(("weight", "bias"), arrays, strict=True)
    )
    scaled = graph.node("Mul", f"{name}/scaled", [x, weight])
    return graph.node("Add", name, [scaled, bias])


def _in_graph(array: Array, x: Value, axes: int) -> Array:
    """Return a parameter of a layer normalization in the graph's order of axes."""
    if not x.is_map or axes == 1:
        return x.per_channel(array)
    whole: Sequence[int] = (1, *array.shape) if axes == 2 else array.shape
    return array.reshape(whole).transpose(2, 0, 1)  # (C, 1 or H, W)
