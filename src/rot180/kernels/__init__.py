"""Compiled twins of `rot180.ops` (Numba): the same names and arguments, without choices of their own.

A function's module is imported when it is first used, and Numba when something has to be compiled. Any number of
threads may call them.

>>> import numpy as np
>>> import rot180.kernels as kernels
>>> kernels.relu(np.array([-1.0, 2.0]))
array([0., 2.])
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_TWINS = {
    "twin_activation": (
        "elu",
        "elu_backward",
        "gelu",
        "gelu_backward",
        "hard_sigmoid",
        "hard_sigmoid_backward",
        "hard_swish",
        "hard_swish_backward",
        "prelu",
        "prelu_backward",
        "relu6",
        "relu6_backward",
        "silu",
        "silu_backward",
    ),
    "twin_batch_norm": ("batch_norm", "batch_norm_backward", "batch_norm_inference"),
    "twin_channels": (
        "channel_shuffle",
        "channel_shuffle_backward",
        "channel_slice",
        "channel_slice_backward",
        "local_response_norm",
        "local_response_norm_backward",
    ),
    "twin_conv2d": ("conv2d", "conv2d_backward"),
    "twin_elementwise": (
        "dropout",
        "dropout_backward",
        "leaky_relu",
        "leaky_relu_backward",
        "noisy_relu",
        "noisy_relu_backward",
        "relu",
        "relu_backward",
        "sigmoid",
        "sigmoid_backward",
        "tanh",
        "tanh_backward",
    ),
    "twin_group_norm": (
        "group_norm",
        "group_norm_backward",
        "instance_norm",
        "instance_norm_backward",
        "layer_norm",
        "layer_norm_backward",
    ),
    "twin_joins": ("add", "concatenate", "concatenate_backward", "multiply", "multiply_backward"),
    "twin_linear": ("linear", "linear_backward"),
    "twin_loss": (
        "cross_entropy",
        "cross_entropy_backward",
        "log_softmax",
        "log_softmax_backward",
        "softmax",
        "softmax_backward",
        "squared_error",
        "squared_error_backward",
    ),
    "twin_muon": ("muon_update", "orthogonalize"),
    "twin_pooling": ("avg_pool2d", "avg_pool2d_backward", "max_pool2d", "max_pool2d_backward"),
    "twin_resize": (
        "adaptive_avg_pool2d",
        "adaptive_avg_pool2d_backward",
        "global_avg_pool2d",
        "global_avg_pool2d_backward",
        "global_max_pool2d",
        "global_max_pool2d_backward",
        "resize2d",
        "resize2d_backward",
    ),
    "twin_update": ("adam_update", "ema_update", "rmsprop_update", "sgd_update"),
}
_HOMES = {name: module for module, names in _TWINS.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
