"""The compiled twins of `rot180.ops.channels`."""

from __future__ import annotations

import numpy as np

from rot180 import ops
from rot180.kernels import across_channels
from rot180.kernels.joins import copy_channels
from rot180.kernels.launching import most_threads
from rot180.kernels.operands import as_maps, contiguous, float_type, integers
from rot180.ops.types import Array


def channel_shuffle(x: Array, groups: int) -> Array:
    """Compiled twin of `rot180.ops.channel_shuffle`."""
    dtype = float_type("channel_shuffle", x=x)
    if groups < 1 or x.shape[-1] % groups or not x.size:
        return ops.channel_shuffle(x, groups)  # which raises the error
    maps = as_maps(contiguous(x, dtype))
    y = np.empty_like(maps)
    across_channels.shuffle(maps, y, groups, integers(*maps.shape[1:3], 0, 0, 0, 0))
    return y.reshape(x.shape)


def channel_shuffle_backward(dy: Array, groups: int) -> Array:
    """Compiled twin of `rot180.ops.channel_shuffle_backward`."""
    if groups < 1 or dy.shape[-1] % groups:
        return ops.channel_shuffle_backward(dy, groups)  # which raises the error
    return channel_shuffle(dy, dy.shape[-1] // groups)


def channel_slice(x: Array, count: int, start: int = 0) -> Array:
    """Compiled twin of `rot180.ops.channel_slice`."""
    dtype = float_type("channel_slice", x=x)
    if count < 1 or start < 0 or start + count > x.shape[-1] or not x.size:
        return ops.channel_slice(x, count, start)  # which raises the error
    maps = as_maps(contiguous(x, dtype))
    y = np.empty((*maps.shape[:3], count), dtype)
    copy_channels(maps, y, False, integers(*maps.shape[1:3], 0, 0, 0, 0, start, 0, count))
    return y.reshape(*x.shape[:-1], count)


def channel_slice_backward(dy: Array, channels: int, start: int = 0) -> Array:
    """Compiled twin of `rot180.ops.channel_slice_backward`."""
    dtype = float_type("channel_slice_backward", dy=dy)
    count = dy.shape[-1]
    if start < 0 or start + count > channels or not dy.size:
        return ops.channel_slice_backward(dy, channels, start)  # which raises the error
    maps = as_maps(contiguous(dy, dtype))
    dx = np.zeros((*maps.shape[:3], channels), dtype)
    copy_channels(maps, dx, False, integers(*maps.shape[1:3], 0, 0, 0, 0, 0, start, count))
    return dx.reshape(*dy.shape[:-1], channels)


def local_response_norm(x: Array, size: int, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Array:
    """Compiled twin of `rot180.ops.local_response_norm`."""
    dtype = float_type("local_response_norm", x=x)
    if size < 1 or not x.size:
        return ops.local_response_norm(x, size, alpha=alpha, beta=beta, k=k)  # which raises the error
    maps = as_maps(contiguous(x, dtype))
    y = np.empty_like(maps)
    given = (int(size), np.array([alpha / size, beta, k], dtype), _scratch(maps))
    across_channels.respond(maps, y, *given, integers(*maps.shape[1:3], 0, 0, 0, 0))
    return y.reshape(x.shape)


def local_response_norm_backward(
    dy: Array, x: Array, size: int, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    """Compiled twin of `rot180.ops.local_response_norm_backward`."""
    dtype = float_type("local_response_norm_backward", dy=dy, x=x)
    if dy.shape != x.shape or size < 1 or not x.size:
        return ops.local_response_norm_backward(dy, x, size, alpha=alpha, beta=beta, k=k)  # which raises the error
    delta, maps = as_maps(contiguous(dy, dtype)), as_maps(contiguous(x, dtype))
    dx = np.empty_like(maps)
    given = (int(size), np.array([alpha / size, beta, k], dtype), _scratch(maps))
    across_channels.respond_backward(delta, maps, dx, *given, integers(*maps.shape[1:3], 0, 0, 0, 0, 0, 0))
    return dx.reshape(x.shape)


def _scratch(maps: Array) -> Array:
    return np.empty((most_threads(), 3, maps.shape[3]), maps.dtype)
