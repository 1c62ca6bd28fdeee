"""Layers as nodes: convolution, pooling, resizing, the fully connected layer, joins; and the table of all layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rot180.interop.export import activations, normalization
from rot180.interop.export.graph import Graph, Value, flattened_order
from rot180.nn.activation import LeakyReLU, NoisyReLU, ReLU, Sigmoid, Softmax, Tanh
from rot180.nn.activation_piecewise import ELU, Hardsigmoid, Hardswish, PReLU, ReLU6
from rot180.nn.activation_smooth import GELU, SiLU
from rot180.nn.batch_norm import BatchNorm2d
from rot180.nn.channels import ChannelShuffle, ChannelSlice, LocalResponseNorm
from rot180.nn.conv2d import Conv2d
from rot180.nn.conv_transpose2d import ConvTranspose2d
from rot180.nn.dropout import Dropout, DropPath
from rot180.nn.flatten import Flatten
from rot180.nn.global_pooling import AdaptiveAvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d
from rot180.nn.group_norm import GroupNorm, InstanceNorm2d, LayerNorm
from rot180.nn.joins import Add, Concatenate, Multiply
from rot180.nn.layer import Layer
from rot180.nn.linear import Linear
from rot180.nn.pooling import AvgPool2d, MaxPool2d
from rot180.nn.upsample import Upsample
from rot180.nn.weighted import Weighted
from rot180.ops.geometry import Geometry
from rot180.ops.resize import means
from rot180.ops.types import Array


def convolution(graph: Graph, layer: Conv2d, x: Value) -> Value:
    """Write a convolution; kernels (KH, KW, C/g, F) become (F, C/g, KH, KW)."""
    g = layer.geometry(x.shape)
    name = graph.node(
        "Conv",
        layer.name,
        [x.name, *_weights(graph, layer, lambda weight: weight.transpose(3, 2, 0, 1))],
        kernel_shape=list(g.kernel),
        strides=list(g.stride),
        dilations=list(g.dilation),
        group=layer.groups,
        pads=_pads(g.padding),
    )
    return Value(name, layer.output_shape(x.shape))


def transposed_convolution(graph: Graph, layer: ConvTranspose2d, x: Value) -> Value:
    """Write a transposed convolution; kernels (KH, KW, F/g, C) become (C, F/g, KH, KW)."""
    name = graph.node(
        "ConvTranspose",
        layer.name,
        [x.name, *_weights(graph, layer, lambda weight: weight.transpose(3, 2, 0, 1))],
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.stride),
        dilations=list(layer.dilation),
        group=layer.groups,
        pads=[*layer.padding, *layer.padding],
        output_padding=list(layer.output_padding),
    )
    return Value(name, layer.output_shape(x.shape))


def fully_connected(graph: Graph, layer: Linear, x: Value) -> Value:
    """Write a fully connected layer, the rows of whose weight follow the order of its input."""
    weights = _weights(graph, layer, lambda weight: weight if x.order is None else weight[x.order])
    return Value(graph.node("Gemm", layer.name, [x.name, *weights]), layer.output_shape(x.shape))


def flatten(graph: Graph, layer: Flatten, x: Value) -> Value:
    """Write a flattening, after which the numbers are in the order of the graph's maps."""
    if not x.is_map:
        return x
    name = graph.node("Flatten", layer.name, [x.name], axis=1)
    return Value(name, layer.output_shape(x.shape), flattened_order(x.shape))


def max_pooling(graph: Graph, layer: MaxPool2d, x: Value) -> Value:
    """Write a max pooling; what lies beyond the map is padding, whatever the rounding."""
    g = layer.geometry(x.shape)
    name = graph.node(
        "MaxPool",
        layer.name,
        [x.name],
        kernel_shape=list(g.kernel),
        strides=list(g.stride),
        pads=_pads(_needed_padding(g)),
    )
    return Value(name, layer.output_shape(x.shape))


def mean_pooling(graph: Graph, layer: AvgPool2d, x: Value) -> Value:
    """Write a mean pooling.

    Padding counts in the mean or not, and what lies beyond it never does; where both occur, the padding that counts is
    a node of its own.
    """
    g = layer.geometry(x.shape)
    name, source, padding, counts = layer.name, x.name, _needed_padding(g), layer.count_include_pad
    if counts and g.beyond != (0, 0):
        inner = [(before, after - more) for (before, after), more in zip(g.padding, g.beyond, strict=True)]
        if np.any(inner):
            (top, bottom), (left, right) = inner
            pads = graph.numbers([0, 0, top, left, 0, 0, bottom, right])
            source = graph.node("Pad", f"{name}/padded", [source, pads])
        padding, counts = ((0, g.beyond[0]), (0, g.beyond[1])), False
    graph.node(
        "AveragePool",
        name,
        [source],
        kernel_shape=list(g.kernel),
        strides=list(g.stride),
        pads=_pads(padding),
        count_include_pad=int(counts),
    )
    return Value(name, layer.output_shape(x.shape))


def global_mean(graph: Graph, layer: GlobalAvgPool2d, x: Value) -> Value:
    """Write the mean of each map."""
    return _global(graph, "GlobalAveragePool", layer, x)


def global_maximum(graph: Graph, layer: GlobalMaxPool2d, x: Value) -> Value:
    """Write the maximum of each map."""
    return _global(graph, "GlobalMaxPool", layer, x)


def adaptive_mean(graph: Graph, layer: AdaptiveAvgPool2d, x: Value) -> Value:
    """Write means over windows that divide the maps: a pooling if evenly, else products with two matrices."""
    name, shape = layer.name, layer.output_shape(x.shape)
    (height, width), (rows, columns) = x.shape[:2], shape[:2]
    if (height, width) == (rows, columns):
        return x
    if (rows, columns) == (1, 1):
        return Value(graph.node("GlobalAveragePool", name, [x.name]), shape)
    if height % rows == 0 and width % columns == 0:
        size = [height // rows, width // columns]
        return Value(graph.node("AveragePool", name, [x.name], kernel_shape=size, strides=size), shape)
    left = graph.constant(f"{name}/rows", means(height, rows))  # (OH, H)
    right = graph.constant(f"{name}/columns", means(width, columns).T)  # (W, OW)
    inner = graph.node("MatMul", f"{name}/high", [left, x.name])
    return Value(graph.node("MatMul", name, [inner, right]), shape)


def upsampling(graph: Graph, layer: Upsample, x: Value) -> Value:
    """Write an enlargement."""
    scales = graph.constant(f"{layer.name}/scales", np.array([1, 1, *layer.scale_factor], np.float32))
    how = (
        {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        if layer.mode == "nearest"
        else {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    )
    return Value(graph.node("Resize", layer.name, [x.name, "", scales], **how), layer.output_shape(x.shape))


def channel_shuffle(graph: Graph, layer: ChannelShuffle, x: Value) -> Value:
    """Write a channel shuffle as others do: the channels of each group as a row, read by columns."""
    x = graph.in_order(x)
    name, groups, channels, size = layer.name, layer.groups, x.shape[-1], x.shape[:-1]
    rows = graph.node("Reshape", f"{name}/rows", [x.name, graph.numbers([0, groups, channels // groups, *size])])
    columns = graph.node("Transpose", f"{name}/columns", [rows], perm=[0, 2, 1, *range(3, 3 + len(size))])
    return x._replace(name=graph.node("Reshape", name, [columns, graph.numbers([0, channels, *size])]))


def channel_slice(graph: Graph, layer: ChannelSlice, x: Value) -> Value:
    """Write a choice of neighboring channels."""
    x = graph.in_order(x)
    bounds = [graph.numbers([number]) for number in (layer.start, layer.start + layer.out_channels, 1)]
    return Value(graph.node("Slice", layer.name, [x.name, *bounds]), layer.output_shape(x.shape))


def nothing(graph: Graph, layer: Layer, x: Value) -> Value:
    """Write nothing: the layer only acts in training."""
    return x


def add(graph: Graph, layer: Add, *inputs: Value) -> Value:
    """Write a sum."""
    inputs = _alike(graph, inputs)
    operator = "Add" if len(inputs) == 2 else "Sum"
    return inputs[0]._replace(name=graph.node(operator, layer.name, [x.name for x in inputs]))


def concatenate(graph: Graph, layer: Concatenate, *inputs: Value) -> Value:
    """Write a concatenation of channels."""
    order = None
    if any(x.order is not None for x in inputs):
        starts = np.cumsum([0, *(x.shape[0] for x in inputs)])
        rows = (np.arange(x.shape[0]) if x.order is None else x.order for x in inputs)
        order = np.concatenate([row + start for row, start in zip(rows, starts, strict=False)])
    name = graph.node("Concat", layer.name, [x.name for x in inputs], axis=1)
    return Value(name, layer.output_shape(*(x.shape for x in inputs)), order)


def multiply(graph: Graph, layer: Multiply, *inputs: Value) -> Value:
    """Write a product of maps with a gate, which may have one number for each channel."""
    if inputs[0].shape == inputs[1].shape:
        inputs = _alike(graph, inputs)
        return inputs[0]._replace(name=graph.node("Mul", layer.name, [x.name for x in inputs]))
    maps, gate = inputs[0], graph.in_order(inputs[1])
    wide = graph.node("Unsqueeze", f"{layer.name}/gate", [gate.name, graph.numbers([2, 3])])
    return maps._replace(name=graph.node("Mul", layer.name, [maps.name, wide]))


Writer = Callable[..., Value]
"""Writes a layer: (graph, layer, *inputs) -> its output."""

WRITERS: dict[type[Layer], Writer] = {
    Conv2d: convolution,
    ConvTranspose2d: transposed_convolution,
    Linear: fully_connected,
    Flatten: flatten,
    MaxPool2d: max_pooling,
    AvgPool2d: mean_pooling,
    GlobalAvgPool2d: global_mean,
    GlobalMaxPool2d: global_maximum,
    AdaptiveAvgPool2d: adaptive_mean,
    Upsample: upsampling,
    ChannelShuffle: channel_shuffle,
    ChannelSlice: channel_slice,
    Dropout: nothing,
    DropPath: nothing,
    BatchNorm2d: normalization.batch_norm,
    GroupNorm: normalization.group_norm,
    LayerNorm: normalization.layer_norm,
    InstanceNorm2d: normalization.instance_norm,
    LocalResponseNorm: normalization.local_response_norm,
    ReLU: activations.relu,
    NoisyReLU: activations.relu,
    LeakyReLU: activations.leaky_relu,
    ReLU6: activations.relu6,
    PReLU: activations.prelu,
    ELU: activations.elu,
    SiLU: activations.silu,
    GELU: activations.gelu,
    Hardswish: activations.hardswish,
    Hardsigmoid: activations.hardsigmoid,
    Sigmoid: activations.sigmoid,
    Tanh: activations.tanh,
    Softmax: activations.softmax,
    Add: add,
    Concatenate: concatenate,
    Multiply: multiply,
}
"""How each layer is written."""


def _weights(graph: Graph, layer: Weighted, arranged: Callable[[Array], Array]) -> list[str]:
    """Keep a layer's weight, in the graph's arrangement, and its bias, if any; return their names."""
    parameters = graph.parameters(layer)
    names = [graph.constant(f"{layer.name}.weight", arranged(parameters["weight"]))]
    if "bias" in parameters:
        names.append(graph.constant(f"{layer.name}.bias", parameters["bias"]))
    return names


def _global(graph: Graph, operator: str, layer: Layer, x: Value) -> Value:
    pooled = graph.node(operator, f"{layer.name}/maps", [x.name])
    return Value(graph.node("Flatten", layer.name, [pooled], axis=1), layer.output_shape(x.shape))


def _pads(padding: Any) -> list[int]:
    """Return ((top, bottom), (left, right)) in the order of ONNX: top, left, bottom, right."""
    (top, bottom), (left, right) = padding
    return [top, left, bottom, right]


def _needed_padding(g: Geometry) -> tuple[tuple[int, int], ...]:
    """Return the padding of a pooling, without what no window reaches: programs refuse padding as large as a window."""
    sizes, outs = (g.height, g.width), (g.out_height, g.out_width)
    return tuple(
        (before, after if after < k else max(0, (out - 1) * s + k - n - before))
        for n, out, k, s, (before, after) in zip(sizes, outs, g.kernel, g.stride, g.padding, strict=True)
    )


def _alike(graph: Graph, inputs: tuple[Value, ...]) -> tuple[Value, ...]:
    """Return values whose numbers are in one order."""
    if len({None if x.order is None else x.order.tobytes() for x in inputs}) == 1:
        return inputs
    return tuple(graph.in_order(x) for x in inputs)
