"""The compiled twins of `rot180.ops.group_norm`."""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180 import ops
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.launching import most_threads
from rot180.kernels.normalization_within_calls import GroupNormalization, LayerNormalization
from rot180.kernels.operands import as_maps, contiguous, float_type
from rot180.ops.group_norm import _grouped, _last_axes
from rot180.ops.normalization import Gradients, check_delta, check_maps, check_parameters
from rot180.ops.types import Array


def layer_norm(x: Array, gamma: Array, beta: Array, *, axes: int = 1, eps: float = 1e-5) -> Array:
    """Compiled twin of `rot180.ops.layer_norm`."""
    _last_axes("layer_norm", x, axes, eps)
    check_parameters("layer_norm", x, x.shape[-axes:], gamma=gamma, beta=beta)
    if not x.size:
        return ops.layer_norm(x, gamma, beta, axes=axes, eps=eps)
    dtype = float_type("layer_norm", x=x)
    maps = _sets(x, axes, dtype)
    y = np.empty_like(maps.array)
    _layer(gamma, beta, eps, dtype).forward(maps, FeatureMap(y, 0, 0, *y.shape[1:3]))()
    return y.reshape(x.shape)


def layer_norm_backward(dy: Array, x: Array, gamma: Array, *, axes: int = 1, eps: float = 1e-5) -> Gradients:
    """Compiled twin of `rot180.ops.layer_norm_backward`."""
    name = "layer_norm_backward"
    check_delta(name, dy, x)
    _last_axes(name, x, axes, eps)
    check_parameters(name, x, x.shape[-axes:], gamma=gamma)
    if not x.size:
        return ops.layer_norm_backward(dy, x, gamma, axes=axes, eps=eps)
    dtype = float_type(name, dy=dy, x=x)
    maps, gradients = _sets(x, axes, dtype), np.empty((2, gamma.size), dtype)
    dx = np.empty_like(maps.array)
    target = FeatureMap(dx, 0, 0, *dx.shape[1:3])
    _layer(gamma, gamma, eps, dtype).backward(_sets(dy, axes, dtype), maps, target, gradients)()
    return dx.reshape(x.shape), gradients[0].reshape(gamma.shape), gradients[1].reshape(gamma.shape)


def group_norm(x: Array, gamma: Array, beta: Array, groups: int, *, eps: float = 1e-5) -> Array:
    """Compiled twin of `rot180.ops.group_norm`."""
    check_maps("group_norm", x, eps)
    check_parameters("group_norm", x, (x.shape[-1],), gamma=gamma, beta=beta)
    _grouped("group_norm", x, groups)
    if not x.size:
        return ops.group_norm(x, gamma, beta, groups, eps=eps)
    dtype = float_type("group_norm", x=x)
    maps = _maps(x, dtype)
    y = np.empty_like(maps.array)
    _group(gamma, beta, groups, eps, dtype).forward(maps, FeatureMap(y, 0, 0, maps.height, maps.width))()
    return y.reshape(x.shape)


def group_norm_backward(dy: Array, x: Array, gamma: Array, groups: int, *, eps: float = 1e-5) -> Gradients:
    """Compiled twin of `rot180.ops.group_norm_backward`."""
    name = "group_norm_backward"
    check_delta(name, dy, x)
    check_maps(name, x, eps)
    check_parameters(name, x, (x.shape[-1],), gamma=gamma)
    _grouped(name, x, groups)
    if not x.size:
        return ops.group_norm_backward(dy, x, gamma, groups, eps=eps)
    dtype = float_type(name, dy=dy, x=x)
    maps, gradients = _maps(x, dtype), np.empty((2, x.shape[-1]), dtype)
    dx = np.empty_like(maps.array)
    target = FeatureMap(dx, 0, 0, maps.height, maps.width)
    _group(gamma, gamma, groups, eps, dtype).backward(_maps(dy, dtype), maps, target, gradients)()
    return dx.reshape(x.shape), gradients[0], gradients[1]


def instance_norm(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> Array:
    """Compiled twin of `rot180.ops.instance_norm`."""
    return group_norm(x, gamma, beta, x.shape[-1], eps=eps)


def instance_norm_backward(dy: Array, x: Array, gamma: Array, *, eps: float = 1e-5) -> Gradients:
    """Compiled twin of `rot180.ops.instance_norm_backward`."""
    return group_norm_backward(dy, x, gamma, x.shape[-1], eps=eps)


def _group(gamma: Array, beta: Array, groups: int, eps: float, dtype: np.dtype[Any]) -> GroupNormalization:
    gamma, beta = contiguous(gamma, dtype), contiguous(beta, dtype)
    threads = most_threads()
    return GroupNormalization(gamma, beta, int(groups), eps, threads=threads, scratch=_scratch(dtype))


def _layer(gamma: Array, beta: Array, eps: float, dtype: np.dtype[Any]) -> LayerNormalization:
    gamma, beta = (contiguous(array, dtype).reshape(-1) for array in (gamma, beta))
    return LayerNormalization(gamma, beta, eps, scratch=_scratch(dtype))


def _scratch(of: np.dtype[Any]) -> Any:
    return lambda shape, dtype=of: np.empty(shape, dtype)


def _maps(x: Array, dtype: Any) -> FeatureMap:
    array = as_maps(contiguous(x, dtype))
    return FeatureMap(array, 0, 0, *array.shape[1:3])


def _sets(x: Array, axes: int, dtype: Any) -> FeatureMap:
    """Return x with what is normalized together as the channels of a pixel."""
    size = int(np.prod(x.shape[-axes:]))
    return _maps(contiguous(x, dtype).reshape(-1, size), dtype)
