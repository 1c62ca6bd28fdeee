"""The compiled twins of `rot180.ops.batch_norm`."""

from __future__ import annotations

import numpy as np

from rot180 import ops
from rot180.kernels import normalization as compiled
from rot180.kernels.channelwise import parts_of, period_of
from rot180.kernels.elementwise import NOTHING
from rot180.kernels.operands import as_maps, contiguous, float_type, integers
from rot180.ops.batch_norm import check_count
from rot180.ops.normalization import Gradients, check_delta, check_maps, check_parameters
from rot180.ops.types import Array


def batch_norm(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> tuple[Array, Array, Array]:
    """Compiled twin of `rot180.ops.batch_norm`."""
    check_maps("batch_norm", x, eps)
    check_parameters("batch_norm", x, gamma, beta, (x.shape[-1],))
    check_count(x)
    maps = as_maps(contiguous(x, float_type("batch_norm", x=x)))
    mean, var = np.empty(x.shape[-1], maps.dtype), np.empty(x.shape[-1], maps.dtype)
    compiled.batch_moments(maps, *_scratch(maps), mean, var, _sizes(maps))
    return _normalize(maps, gamma, beta, mean, var, eps).reshape(x.shape), mean, var


def batch_norm_backward(dy: Array, x: Array, gamma: Array, mean: Array, var: Array, *, eps: float = 1e-5) -> Gradients:
    """Compiled twin of `rot180.ops.batch_norm_backward`."""
    name = "batch_norm_backward"
    check_delta(name, dy, x)
    check_maps(name, x, eps)
    check_parameters(name, x, gamma, mean, (x.shape[-1],))
    check_parameters(name, x, gamma, var, (x.shape[-1],))
    if not x.size:
        return ops.batch_norm_backward(dy, x, gamma, mean, var, eps=eps)
    dtype = float_type(name, dy=dy, x=x)
    delta, maps = as_maps(contiguous(dy, dtype)), as_maps(contiguous(x, dtype))
    gamma, mean, var = (contiguous(array, dtype) for array in (gamma, mean, var))
    dx, dgamma, dbeta = np.empty(maps.shape, dtype), np.empty(len(gamma), dtype), np.empty(len(gamma), dtype)
    blocks, sums = _scratch(maps)
    table, row = np.empty((5, sums.shape[2]), dtype), np.empty((1, 1), dtype)  # no activation: no row of z
    given = (mean, var, gamma, np.zeros_like(gamma), float(eps))
    kind, sizes = (NOTHING, 0.0), _sizes(maps)
    compiled.norm_sums(delta, maps, *given, table, row, blocks, sums, dgamma, dbeta, *kind, sizes)
    compiled.norm_data_gradient(delta, maps, dx, False, *given, dgamma, dbeta, table, row, *kind, sizes)
    return dx.reshape(x.shape), dgamma, dbeta


def batch_norm_inference(x: Array, gamma: Array, beta: Array, mean: Array, var: Array, *, eps: float = 1e-5) -> Array:
    """Compiled twin of `rot180.ops.batch_norm_inference`."""
    name = "batch_norm_inference"
    check_maps(name, x, eps)
    for other in (gamma, mean, var):
        check_parameters(name, x, other, beta, (x.shape[-1],))
    if not x.size:
        return ops.batch_norm_inference(x, gamma, beta, mean, var, eps=eps)
    return _normalize(as_maps(contiguous(x, float_type(name, x=x))), gamma, beta, mean, var, eps).reshape(x.shape)


def _normalize(maps: Array, gamma: Array, beta: Array, mean: Array, var: Array, eps: float) -> Array:
    dtype = maps.dtype
    y, table = np.empty(maps.shape, dtype), np.empty((3, period_of(maps.shape[3], maps.shape[2], dtype)), dtype)
    given = [contiguous(array, dtype) for array in (mean, var, gamma, beta)]
    compiled.normalize(maps, maps, y, False, *given, float(eps), table, NOTHING, 0.0, _sizes(maps))
    return y


def _scratch(maps: Array) -> tuple[Array, Array]:
    """Return the arrays for the sums of blocks and of parts."""
    N, H, W, C = maps.shape
    shape = (parts_of(N * H), 2, period_of(C, W, maps.dtype))
    return np.empty(shape, maps.dtype), np.empty(shape)


def _sizes(maps: Array) -> Array:
    return integers(*maps.shape[1:3], 0, 0, 0, 0, 0, 0)
