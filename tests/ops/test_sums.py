"""Sums over images and pixels in float32, against float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rot180 import ops
from rot180.ops.sums import mean_over, sum_over
from rot180.ops.types import Array

RNG = np.random.default_rng(0)
MAPS = RNG.normal(3, 1, (8, 64, 64, 4)).astype(np.float32)
DY = (RNG.normal(-2, 1, MAPS.shape) + MAPS).astype(np.float32)
GAMMA = np.ones(4, np.float32)


def statistics(x: Array, dy: Array) -> tuple[Array, ...]:
    _, mean, var = ops.batch_norm(x, GAMMA.astype(x.dtype), GAMMA.astype(x.dtype))
    return mean, var


def normalization(x: Array, dy: Array) -> tuple[Array, ...]:
    mean, var = (a.astype(x.dtype) for a in statistics(MAPS, DY))  # the same for both types
    return ops.batch_norm_backward(dy, x, GAMMA.astype(x.dtype), mean, var)[1:]


def convolution(x: Array, dy: Array) -> tuple[Array, ...]:
    w = np.zeros((1, 1, 4, 4), x.dtype)
    return ops.conv2d_backward(dy, x, w, needs=("b",))[2:]


def depthwise(x: Array, dy: Array) -> tuple[Array, ...]:
    w = np.zeros((1, 1, 1, 4), x.dtype)
    return (ops.conv2d_backward(dy, x, w, groups=4, algorithm="offsets", needs=("w",))[1],)


def transposed(x: Array, dy: Array) -> tuple[Array, ...]:
    return ops.conv_transpose2d_backward(dy, x, np.zeros((1, 1, 4, 4), x.dtype), needs=("b",))[2:]


def linear(x: Array, dy: Array) -> tuple[Array, ...]:
    rows = (-1, 4)
    return ops.linear_backward(dy.reshape(rows), x.reshape(rows), np.zeros((4, 4), x.dtype), needs=("b",))[2:]


def prelu(x: Array, dy: Array) -> tuple[Array, ...]:
    return ops.prelu_backward(dy, -x, GAMMA.astype(x.dtype))[1:]


def gate(x: Array, dy: Array) -> tuple[Array, ...]:
    return ops.multiply_backward(dy, x, np.ones((len(x), 4), x.dtype))[1:]


def pooling(x: Array, dy: Array) -> tuple[Array, ...]:
    return (ops.global_avg_pool2d(x),)


@pytest.mark.parametrize(
    "sums", [statistics, normalization, convolution, depthwise, transposed, linear, prelu, gate, pooling]
)
def test_no_digits_are_lost(sums: Callable[[Array, Array], tuple[Array, ...]]) -> None:
    # Added row by row in float32, these are off by 1e-6 to 1e-4.
    wanted = sums(MAPS.astype(np.float64), DY.astype(np.float64))
    for found, want in zip(sums(MAPS, DY), wanted, strict=True):
        assert found.dtype == np.float32
        assert np.abs(found - want).max() <= 3e-7 * np.abs(want).max()


def test_keeps_type_and_axes() -> None:
    assert sum_over(MAPS, (0, 1, 2)).dtype == np.float32
    assert mean_over(MAPS.astype(np.float64), (1, 2), keepdims=True).shape == (8, 1, 1, 4)
