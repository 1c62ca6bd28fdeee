"""Which of our layers an activation of Keras stands for: a name, a layer's class, or a table with either."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rot180.errors import short
from rot180.interop.keras.network import Building, Call, Value, reshaped
from rot180.nn import (
    ELU,
    GELU,
    Hardsigmoid,
    Hardswish,
    Layer,
    LeakyReLU,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)

BY_NAME: dict[str, Callable[[], Layer]] = {
    "relu": ReLU,
    "relu6": ReLU6,
    "leaky_relu": lambda: LeakyReLU(0.2),
    "elu": ELU,
    "gelu": GELU,
    "silu": SiLU,
    "swish": SiLU,
    "sigmoid": Sigmoid,
    "hard_sigmoid": Hardsigmoid,
    "hard_silu": Hardswish,
    "hard_swish": Hardswish,
    "tanh": Tanh,
    "softmax": Softmax,
}
"""Activation functions by Keras's names, with their usual settings."""


def activated(call: Call, net: Building, x: Value, setting: Any = "activation") -> Value:
    """Return a value after the activation that a setting of its layer names."""
    given = call.get(setting, "linear")
    if isinstance(given, dict):
        kind, config = given.get("class_name"), given.get("config")
        if kind in LAYERS and isinstance(config, dict):
            inner = replace(call.layer, kind=kind, config=config)
            return LAYERS[kind](Call(call.file, inner, [x], {}), net)
        given = config if isinstance(config, str) else kind
    if given == "linear":
        return x
    if not isinstance(given, str) or given not in BY_NAME:
        raise call.error(f"no layer stands for its activation {short(given)}")
    if given == "hard_sigmoid" and call.file.version < 3:
        raise call.error("the hard sigmoid of Keras 2, clip(0.2 x + 0.5, 0, 1), is not supported")
    return net.same(call, BY_NAME[given](), x)


def activation(call: Call, net: Building) -> Value:
    """Any function by name."""
    return activated(call, net, call.input())


def relu(call: Call, net: Building) -> Value:
    """ReLU, ReLU6 or LeakyReLU, by its settings."""
    x, most = call.input(), call.get("max_value")
    slope, threshold = call.number("negative_slope", 0), call.number("threshold", 0)
    if threshold or (most is not None and (most != 6 or slope)):
        raise call.error(f"max_value={short(most)}, negative_slope={slope:g}, threshold={threshold:g} is not supported")
    return net.same(call, ReLU6() if most is not None else LeakyReLU(slope) if slope else ReLU(), x)


def leaky_relu(call: Call, net: Building) -> Value:
    """LeakyReLU; its slope was called alpha before Keras 3."""
    return net.same(call, LeakyReLU(call.number("negative_slope", call.number("alpha", 0.3))), call.input())


def elu(call: Call, net: Building) -> Value:
    """ELU."""
    return net.same(call, ELU(call.number("alpha", 1.0)), call.input())


def prelu(call: Call, net: Building) -> Value:
    """PReLU with a slope for each channel."""
    x, slope = call.input(), call.variable("alpha")
    return net.same(call, PReLU(), x, weight=reshaped(slope, (x.shape[-1],)))


def softmax(call: Call, net: Building) -> Value:
    """Softmax over the channels."""
    x = call.input()
    call.require("axis", -1, len(x.shape), [-1])
    return net.same(call, Softmax(), x)


LAYERS: dict[str, Callable[[Call, Building], Value]] = {
    "Activation": activation,
    "ELU": elu,
    "LeakyReLU": leaky_relu,
    "PReLU": prelu,
    "ReLU": relu,
    "Softmax": softmax,
}
"""Activations that are layers of their own."""
