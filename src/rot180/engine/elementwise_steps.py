"""Elementwise steps between feature maps, and copies of maps."""

from __future__ import annotations

import numpy as np

from rot180.engine.stage import Context
from rot180.engine.step import Step
from rot180.kernels.addition import PLAIN, add
from rot180.kernels.channelwise import period_of
from rot180.kernels.copying import copy
from rot180.kernels.elementwise import (
    GATE,
    LEAKY_GATE,
    LEAKY_RELU,
    RELU,
    SIGMOID,
    SIGMOID_GATE,
    TANH,
    TANH_GATE,
    activate,
    combine,
)
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.joins import multiply
from rot180.nn.activation import LeakyReLU, ReLU, Sigmoid, Tanh
from rot180.nn.layer import Layer
from rot180.ops.types import Array

KINDS: dict[type[Layer], tuple[int, int]] = {
    ReLU: (RELU, GATE),
    LeakyReLU: (LEAKY_RELU, LEAKY_GATE),
    Sigmoid: (SIGMOID, SIGMOID_GATE),
    Tanh: (TANH, TANH_GATE),
}
"""Activations whose derivatives follow from their outputs: their kernel numbers and their gates."""


def activate_step(names: str, does: str, kind: int, x: FeatureMap, y: FeatureMap, slope: float = 0.0) -> Step:
    """y = f(x)"""
    sizes = np.array([x.height, x.width, *x.place, *y.place], np.int64)
    return Step(names, does, activate, (kind, x.array, y.array, slope, sizes))


def combine_step(
    names: str, does: str, kind: int, a: FeatureMap, b: FeatureMap, y: FeatureMap, slope: float = 0.0
) -> Step:
    """y = f(a, b)"""
    sizes = np.array([a.height, a.width, *a.place, *b.place, *y.place], np.int64)
    return Step(names, does, combine, (kind, a.array, b.array, y.array, slope, sizes))


def copy_step(names: str, does: str, x: FeatureMap, y: FeatureMap, step: tuple[int, int] = (1, 1)) -> Step:
    """y = x, its rows and columns `step` apart"""
    sizes = np.array([x.height, x.width, *x.place, *y.place, *step], np.int64)
    return Step(names, does, copy, (x.array, y.array, sizes))


def add_step(
    names: str,
    does: str,
    a: FeatureMap,
    b: FeatureMap,
    out: FeatureMap,
    finish: int = PLAIN,
    y: FeatureMap | None = None,
) -> Step:
    """out = a + b, finished as `kernels.addition` says"""
    gate = y or a
    sizes = np.array([a.height, a.width, *a.place, *b.place, *gate.place, *out.place], np.int64)
    return Step(names, does, add, (a.array, b.array, gate.array, out.array, finish, sizes))


def multiply_step(names: str, does: str, x: FeatureMap, gate: Array, y: FeatureMap, context: Context) -> Step:
    """y = x * gate, with one value per image and channel"""
    sizes = np.array([x.height, x.width, *x.place, *y.place], np.int64)
    return Step(names, does, multiply, (x.array, gate, y.array, gate_scratch(x, context), sizes))


def gate_scratch(x: FeatureMap, context: Context) -> Array:
    """Return the scratch array with which the kernels of a gate take its values."""
    return context.scratch((context.threads, 2, period_of(x.array.shape[3], x.width, x.array.dtype)))
