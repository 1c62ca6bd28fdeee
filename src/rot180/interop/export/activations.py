"""Activations as nodes; those that the set of operators lacks, out of older ones."""

from __future__ import annotations

import math

from rot180.interop.export.graph import Graph, Value
from rot180.nn.activation import LeakyReLU
from rot180.nn.activation_piecewise import ELU, Hardsigmoid, Hardswish, PReLU
from rot180.nn.activation_smooth import GELU, SiLU
from rot180.nn.layer import Layer


def relu(graph: Graph, layer: Layer, x: Value) -> Value:
    """Write a ReLU, also a noisy one, whose noise is for training."""
    return x._replace(name=graph.node("Relu", layer.name, [x.name]))


def relu6(graph: Graph, layer: Layer, x: Value) -> Value:
    """Write a ReLU6."""
    return x._replace(name=graph.node("Clip", layer.name, [x.name, graph.number(0), graph.number(6)]))


def leaky_relu(graph: Graph, layer: LeakyReLU, x: Value) -> Value:
    """Write a leaky ReLU."""
    return x._replace(name=graph.node("LeakyRelu", layer.name, [x.name], alpha=layer.slope))


def prelu(graph: Graph, layer: PReLU, x: Value) -> Value:
    """Write a ReLU with learned slopes."""
    slope = layer.parameter("weight")
    slope = slope if layer.shared else x.per_channel(slope)
    return x._replace(name=graph.node("PRelu", layer.name, [x.name, graph.constant(f"{layer.name}.weight", slope)]))


def elu(graph: Graph, layer: ELU, x: Value) -> Value:
    """Write an ELU."""
    return x._replace(name=graph.node("Elu", layer.name, [x.name], alpha=layer.alpha))


def silu(graph: Graph, layer: SiLU, x: Value) -> Value:
    """Write a SiLU as two nodes, also where there is one for it (Swish): ONNX Runtime 1.32 lacks that."""
    gate = graph.node("Sigmoid", f"{layer.name}/gate", [x.name])
    return x._replace(name=graph.node("Mul", layer.name, [x.name, gate]))


def gelu(graph: Graph, layer: GELU, x: Value) -> Value:
    """Write a GELU: one node from version 20 on."""
    name, form = layer.name, layer.approximate
    if graph.opset >= 20:
        return x._replace(name=graph.node("Gelu", name, [x.name], approximate=form))
    if form == "tanh":
        cube = graph.node("Pow", f"{name}/cube", [x.name, graph.number(3)])
        small = graph.node("Mul", f"{name}/small", [cube, graph.number(0.044715)])
        curve = graph.node("Add", f"{name}/curve", [x.name, small])
        scaled = graph.node("Mul", f"{name}/scaled", [curve, graph.number(math.sqrt(2 / math.pi))])
        rise = graph.node("Tanh", f"{name}/rise", [scaled])
    else:
        scaled = graph.node("Div", f"{name}/scaled", [x.name, graph.number(math.sqrt(2))])
        rise = graph.node("Erf", f"{name}/rise", [scaled])
    gate = graph.node("Add", f"{name}/gate", [rise, graph.number(1)])
    gated = graph.node("Mul", f"{name}/gated", [x.name, gate])
    return x._replace(name=graph.node("Mul", name, [gated, graph.number(0.5)]))


def hardswish(graph: Graph, layer: Hardswish, x: Value) -> Value:
    """Write a hard swish: one node from version 14 on."""
    if graph.opset >= 14:
        return x._replace(name=graph.node("HardSwish", layer.name, [x.name]))
    gate = graph.node("HardSigmoid", f"{layer.name}/gate", [x.name], alpha=1 / 6, beta=0.5)
    return x._replace(name=graph.node("Mul", layer.name, [x.name, gate]))


def hardsigmoid(graph: Graph, layer: Hardsigmoid, x: Value) -> Value:
    """Write a hard sigmoid."""
    return x._replace(name=graph.node("HardSigmoid", layer.name, [x.name], alpha=1 / 6, beta=0.5))


def sigmoid(graph: Graph, layer: Layer, x: Value) -> Value:
    """Write a sigmoid."""
    return x._replace(name=graph.node("Sigmoid", layer.name, [x.name]))


def tanh(graph: Graph, layer: Layer, x: Value) -> Value:
    """Write a hyperbolic tangent."""
    return x._replace(name=graph.node("Tanh", layer.name, [x.name]))


def softmax(graph: Graph, layer: Layer, x: Value) -> Value:
    """Write a softmax, over the channels of maps."""
    return x._replace(name=graph.node("Softmax", layer.name, [x.name], axis=1))
