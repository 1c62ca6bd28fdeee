"""Pooling as layers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from rot180.interop.onnx.lift_convolution import padding_of
from rot180.interop.onnx.op_window import windows_of
from rot180.interop.onnx.value import MAPS, POOLED, VECTOR, LiftCall, Lifted, Value, optional_constant, value
from rot180.nn import AvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d, Layer, MaxPool2d


def max_pool(call: LiftCall, net: Lifted) -> Value:
    """MaxPool2d."""
    call.ignore("storage_order")
    return _pool(call, net, MaxPool2d)


def average_pool(call: LiftCall, net: Lifted) -> Value:
    """AvgPool2d."""
    return _pool(call, net, partial(AvgPool2d, count_include_pad=bool(call.get_int("count_include_pad", 0))))


def _pool(call: LiftCall, net: Lifted, layer: Callable[..., Layer]) -> Value:
    x = value(call, 0, MAPS)
    windows = windows_of(call, x.shape[2:])
    if windows.reach != windows.kernel:
        raise call.error("pooling windows with dilations are not supported")
    kernel, stride = windows.kernel, windows.strides
    pool = layer(
        (kernel[0], kernel[1]),
        stride=(stride[0], stride[1]),
        padding=padding_of(windows),
        ceil_mode=bool(call.get_int("ceil_mode", 0)),
    )
    return net.maps(call, pool, x)


def global_average_pool(call: LiftCall, net: Lifted) -> Value:
    """GlobalAvgPool2d."""
    return _global(call, net, GlobalAvgPool2d)


def global_max_pool(call: LiftCall, net: Lifted) -> Value:
    """GlobalMaxPool2d."""
    return _global(call, net, GlobalMaxPool2d)


def _global(call: LiftCall, net: Lifted, layer: type[GlobalAvgPool2d] | type[GlobalMaxPool2d]) -> Value:
    x = value(call, 0, MAPS, POOLED)
    return x if x.axes == POOLED else net.vector(call, layer(), x, POOLED)


def reduce_mean(call: LiftCall, net: Lifted) -> Value:
    """GlobalAvgPool2d, if the axes are rows and columns."""
    return _reduced(call, net, GlobalAvgPool2d)


def reduce_max(call: LiftCall, net: Lifted) -> Value:
    """GlobalMaxPool2d, if the axes are rows and columns."""
    return _reduced(call, net, GlobalMaxPool2d)


def _reduced(call: LiftCall, net: Lifted, layer: type[GlobalAvgPool2d] | type[GlobalMaxPool2d]) -> Value:
    x, keeps = value(call, 0), call.get_int("keepdims", 1)
    call.ignore("noop_with_empty_axes")
    given = call.get_optional_ints("axes") if call.opset < 18 else None
    named = optional_constant(call, 1)
    if named is not None:
        given = tuple(named.reshape(-1).tolist())
    axes = call.axes(range(len(x.axes)) if given is None else given, len(x.axes))
    if sorted(x.axes[axis] for axis in axes) != ["H", "W"]:
        raise call.error(f"only reductions over rows and columns are supported; its axes are {list(axes)}")
    kept = "".join("1" if axis in axes else name for axis, name in enumerate(x.axes) if keeps or axis not in axes)
    return net.vector(call, layer(), x, kept if keeps else VECTOR)
