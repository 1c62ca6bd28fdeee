"""Layers as operations, and the table of all layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

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
from rot180.nn.layer import Layer, Shape
from rot180.nn.linear import Linear
from rot180.nn.pooling import AvgPool2d, MaxPool2d
from rot180.nn.upsample import Upsample
from rot180.ops.geometry import Geometry
from rot180.ops.resize import MODES, means
from rot180.ops.types import Array

Arrays = Mapping[str, Array]
Written = tuple[str, dict[str, Any], dict[str, Array]]
"""Kind, numbers and arrays of an operation."""

Writer = Callable[[Any, Sequence[Shape], Arrays], Written | None]
"""Describes a layer, given the shapes of its inputs and its parameters; None if it changes nothing."""


def convolution(layer: Conv2d, inputs: Sequence[Shape], parameters: Arrays) -> Written:
    """Describe a convolution."""
    g = layer.geometry(inputs[0])
    numbers = {
        "stride": g.stride,
        "dilation": g.dilation,
        "padding": (g.padding[0][0], g.padding[1][0]),
        "groups": layer.groups,
    }
    weight = parameters["weight"]
    return "convolution", numbers, {"weight": weight, "bias": _bias(parameters, weight.shape[3])}


def transposed(layer: ConvTranspose2d, inputs: Sequence[Shape], parameters: Arrays) -> Written:
    """Describe a transposed convolution."""
    numbers = {
        "stride": layer.stride,
        "dilation": layer.dilation,
        "padding": layer.padding,
        "groups": layer.groups,
    }
    weight = parameters["weight"]
    return "transposed", numbers, {"weight": weight, "bias": _bias(parameters, layer.out_channels)}


def fully_connected(layer: Linear, inputs: Sequence[Shape], parameters: Arrays) -> Written:
    """Describe a fully connected layer: a convolution of one pixel."""
    weight = parameters["weight"]
    numbers = {"stride": (1, 1), "dilation": (1, 1), "padding": (0, 0), "groups": 1}
    arrays = {"weight": weight[np.newaxis, np.newaxis], "bias": _bias(parameters, weight.shape[1])}
    return "convolution", numbers, arrays


def maximum(layer: MaxPool2d | GlobalMaxPool2d, inputs: Sequence[Shape], parameters: Arrays) -> Written:
    """Describe a max pooling; what lies beyond the map never counts."""
    g = layer.geometry(inputs[0])
    numbers = {"kernel": g.kernel, "stride": g.stride, "padding": (g.padding[0][0], g.padding[1][0])}
    return "maximum", numbers, {}


def mean_pooling(layer: AvgPool2d, inputs: Sequence[Shape], parameters: Arrays) -> Written:
    """Describe a mean pooling: the number of pixels that count is the product of those of rows and columns."""
    g = layer.geometry(inputs[0])
    return _resize(*(_pooling_means(g, axis, counts_padding=layer.count_include_pad) for axis in (0, 1)))


def global_mean(layer: GlobalAvgPool2d, inputs: Sequence[Shape], parameters: Arrays) -> Written:
    """Describe the mean of each map."""
    height, width, _ = inputs[0]
    return _resize(means(height, 1), means(width, 1))


def adaptive_mean(layer: AdaptiveAvgPool2d, inputs: Sequence[Shape], parameters: Arrays) -> Written:
    """Describe means over windows that divide the maps."""
    (height, width, _), (rows, columns, _) = inputs[0], layer.output_shape(inputs[0])
    return _resize(means(height, rows), means(width, columns))


def upsampling(layer: Upsample, inputs: Sequence[Shape], parameters: Arrays) -> Written:
    """Describe an enlargement."""
    (height, width, _), (rows, columns, _) = inputs[0], layer.output_shape(inputs[0])
    return _resize(MODES[layer.mode](height, rows), MODES[layer.mode](width, columns))


def batch_norm(layer: BatchNorm2d, inputs: Sequence[Shape], parameters: Arrays) -> Written:
    """Describe a normalization with running statistics: a multiplication and an addition for each channel."""
    mean, variance = (layer.statistics[name].astype(np.float64) for name in ("running_mean", "running_var"))
    scale = 1 / np.sqrt(variance + layer.eps)
    shift = -mean * scale
    if layer.affine:
        gamma, beta = (parameters[name].astype(np.float64) for name in ("weight", "bias"))
        scale, shift = gamma * scale, gamma * shift + beta
    return "affine", {}, {"scale": scale, "shift": shift}


def group_norm(layer: GroupNorm | InstanceNorm2d, inputs: Sequence[Shape], parameters: Arrays) -> Written:
    """Describe a normalization of groups of channels within an image."""
    channels = inputs[0][-1]
    numbers = {"groups": layer.groups_of(channels), "eps": layer.eps}
    return "group_norm", numbers, _scale_and_shift(parameters, channels)


def layer_norm(layer: LayerNorm, inputs: Sequence[Shape], parameters: Arrays) -> Written:
    """Describe a layer normalization: of numbers that are neighbors in memory."""
    span = int(np.prod(layer.weight_shape(inputs[0])))
    return "layer_norm", {"span": span, "eps": layer.eps}, _scale_and_shift(parameters, span)


def response_norm(layer: LocalResponseNorm, inputs: Sequence[Shape], parameters: Arrays) -> Written:
    """Describe a local response normalization: each channel by the mean square of its neighbors."""
    numbers = {
        "before": layer.size // 2,
        "behind": (layer.size - 1) // 2,
        "factor": layer.alpha / layer.size,
        "beta": layer.beta,
        "k": layer.k,
    }
    return "response_norm", numbers, {}


def shuffle(layer: ChannelShuffle, inputs: Sequence[Shape], parameters: Arrays) -> Written:
    """Describe a channel shuffle as a choice of channels."""
    channels = np.arange(inputs[0][-1], dtype=np.int32).reshape(layer.groups, -1).T.ravel()
    return "take", {}, {"channels": channels}


def choice(layer: ChannelSlice, inputs: Sequence[Shape], parameters: Arrays) -> Written:
    """Describe a choice of neighboring channels."""
    return "take", {}, {"channels": np.arange(layer.start, layer.start + layer.out_channels, dtype=np.int32)}


def leaky_relu(layer: LeakyReLU, inputs: Sequence[Shape], parameters: Arrays) -> Written:
    """Describe a leaky ReLU: one slope for all channels."""
    return "prelu", {}, {"slope": np.full(inputs[0][-1], layer.slope)}


def prelu(layer: PReLU, inputs: Sequence[Shape], parameters: Arrays) -> Written:
    """Describe a ReLU with learned slopes, or one that the channels share."""
    return "prelu", {}, {"slope": np.broadcast_to(parameters["weight"], inputs[0][-1:])}


def elu(layer: ELU, inputs: Sequence[Shape], parameters: Arrays) -> Written:
    """Describe an ELU."""
    return "elu", {"alpha": layer.alpha}, {}


def gelu(layer: GELU, inputs: Sequence[Shape], parameters: Arrays) -> Written:
    """Describe a GELU."""
    return "gelu_tanh" if layer.approximate == "tanh" else "gelu", {}, {}


def nothing(layer: Layer, inputs: Sequence[Shape], parameters: Arrays) -> None:
    """Describe a layer that acts in training alone, or changes the shape alone."""


def _plain(kind: str) -> Writer:
    return lambda layer, inputs, parameters: (kind, {}, {})


WRITERS: dict[type[Layer], Writer] = {
    Conv2d: convolution,
    ConvTranspose2d: transposed,
    Linear: fully_connected,
    Flatten: nothing,
    MaxPool2d: maximum,
    AvgPool2d: mean_pooling,
    GlobalAvgPool2d: global_mean,
    GlobalMaxPool2d: maximum,
    AdaptiveAvgPool2d: adaptive_mean,
    Upsample: upsampling,
    ChannelShuffle: shuffle,
    ChannelSlice: choice,
    Dropout: nothing,
    DropPath: nothing,
    BatchNorm2d: batch_norm,
    GroupNorm: group_norm,
    LayerNorm: layer_norm,
    InstanceNorm2d: group_norm,
    LocalResponseNorm: response_norm,
    ReLU: _plain("relu"),
    NoisyReLU: _plain("relu"),
    LeakyReLU: leaky_relu,
    ReLU6: _plain("relu6"),
    PReLU: prelu,
    ELU: elu,
    SiLU: _plain("silu"),
    GELU: gelu,
    Hardswish: _plain("hardswish"),
    Hardsigmoid: _plain("hardsigmoid"),
    Sigmoid: _plain("sigmoid"),
    Tanh: _plain("tanh"),
    Softmax: _plain("softmax"),
    Add: _plain("add"),
    Concatenate: _plain("concatenate"),
    Multiply: _plain("multiply"),
}
"""How each layer is described."""


def _bias(parameters: Arrays, count: int) -> Array:
    return parameters["bias"] if "bias" in parameters else np.zeros(count, np.float32)


def _scale_and_shift(parameters: Arrays, count: int) -> dict[str, Array]:
    if "weight" not in parameters:
        return {"scale": np.ones(count, np.float32), "shift": np.zeros(count, np.float32)}
    return {"scale": parameters["weight"].reshape(-1), "shift": parameters["bias"].reshape(-1)}


def _pooling_means(g: Geometry, axis: int, *, counts_padding: bool) -> Array:
    """Return the matrix of the means along one axis, (outputs, inputs)."""
    n, k, s = (g.height, g.width)[axis], g.kernel[axis], g.stride[axis]
    outputs, (before, after) = (g.out_height, g.out_width)[axis], g.padding[axis]
    first, last = (-before, n + after - g.beyond[axis]) if counts_padding else (0, n)
    matrix = np.zeros((outputs, n))
    for i in range(outputs):
        start = i * s - before
        count = min(start + k, last) - max(start, first)
        matrix[i, max(start, 0) : min(start + k, n)] = 1 / count
    return matrix


def _resize(rows: Array, columns: Array) -> Written:
    """Return the operation that two matrices describe."""
    arrays = {}
    for name, matrix in (("row", rows), ("column", columns)):
        used = matrix != 0
        start = used.argmax(axis=1)
        width = int((matrix.shape[1] - used[:, ::-1].argmax(axis=1) - start)[used.any(axis=1)].max(initial=1))
        start = np.minimum(start, matrix.shape[1] - width)
        arrays[f"{name}_start"] = start.astype(np.int32)
        arrays[f"{name}_weight"] = np.take_along_axis(matrix, start[:, None] + np.arange(width), axis=1)
    return "resize", {}, arrays
