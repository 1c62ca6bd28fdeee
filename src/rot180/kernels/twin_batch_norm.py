"""The compiled twins of `rot180.ops.batch_norm`."""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180 import ops
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.launching import most_threads
from rot180.kernels.normalization_calls import Normalization
from rot180.kernels.operands import as_maps, contiguous, float_type
from rot180.ops.batch_norm import check_count
from rot180.ops.normalization import Gradients, check_delta, check_maps, check_parameters
from rot180.ops.types import Array


def batch_norm(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> tuple[Array, Array, Array]:
    """Compiled twin of `rot180.ops.batch_norm`."""
    check_maps("batch_norm", x, eps)
    check_parameters("batch_norm", x, (x.shape[-1],), gamma=gamma, beta=beta)
    check_count(x.shape)
    maps = _maps(x, float_type("batch_norm", x=x))
    mean, var = np.empty(x.shape[-1], maps.array.dtype), np.empty(x.shape[-1], maps.array.dtype)
    calls = _calls(maps, gamma, beta, mean, var, eps)
    calls.moments(maps)()
    y = _empty(maps)
    calls.forward(maps, y)()
    return y.array.reshape(x.shape), mean, var


def batch_norm_backward(dy: Array, x: Array, gamma: Array, mean: Array, var: Array, *, eps: float = 1e-5) -> Gradients:
    """Compiled twin of `rot180.ops.batch_norm_backward`."""
    name = "batch_norm_backward"
    check_delta(name, dy, x)
    check_maps(name, x, eps)
    check_parameters(name, x, (x.shape[-1],), gamma=gamma, mean=mean, var=var)
    if not x.size:
        return ops.batch_norm_backward(dy, x, gamma, mean, var, eps=eps)
    dtype = float_type(name, dy=dy, x=x)
    delta, maps = _maps(dy, dtype), _maps(x, dtype)
    calls = _calls(maps, gamma, np.zeros(len(gamma), dtype), mean, var, eps)
    dx, dgamma, dbeta = _empty(maps), np.empty(len(gamma), dtype), np.empty(len(gamma), dtype)
    calls.parameter_gradients(delta, maps, dgamma, dbeta)()
    calls.data_gradient(delta, maps, dx, dgamma, dbeta)()
    return dx.array.reshape(x.shape), dgamma, dbeta


def batch_norm_inference(x: Array, gamma: Array, beta: Array, mean: Array, var: Array, *, eps: float = 1e-5) -> Array:
    """Compiled twin of `rot180.ops.batch_norm_inference`."""
    name = "batch_norm_inference"
    check_maps(name, x, eps)
    check_parameters(name, x, (x.shape[-1],), gamma=gamma, beta=beta, mean=mean, var=var)
    if not x.size:
        return ops.batch_norm_inference(x, gamma, beta, mean, var, eps=eps)
    maps = _maps(x, float_type(name, x=x))
    y = _empty(maps)
    _calls(maps, gamma, beta, mean, var, eps).forward(maps, y)()
    return y.array.reshape(x.shape)


def _calls(maps: FeatureMap, gamma: Array, beta: Array, mean: Array, var: Array, eps: float) -> Normalization:
    dtype = maps.array.dtype
    gamma, beta, mean, var = (contiguous(array, dtype) for array in (gamma, beta, mean, var))

    def scratch(shape: tuple[int, ...], dtype: Any = dtype) -> Array:
        return np.empty(shape, dtype)

    return Normalization(gamma, beta, mean, var, eps, threads=most_threads(), scratch=scratch)


def _maps(x: Array, dtype: Any) -> FeatureMap:
    array = as_maps(contiguous(x, dtype))
    return FeatureMap(array, 0, 0, *array.shape[1:3])


def _empty(maps: FeatureMap) -> FeatureMap:
    return FeatureMap(np.empty(maps.array.shape, maps.array.dtype), 0, 0, maps.height, maps.width)
