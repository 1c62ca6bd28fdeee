"""Convolutions and matrix products as layers."""

from __future__ import annotations

import numpy as np

from rot180.interop.onnx.op_window import Windows, windows_of
from rot180.interop.onnx.value import MAPS, POOLED, VECTOR, LiftCall, Lifted, Value, constant, optional_constant, value
from rot180.nn import Conv2d, ConvTranspose2d, Linear
from rot180.ops.types import Array, Padding

TO_KERNEL = (2, 3, 1, 0)
"""The axes of filters (F, C/g, KH, KW) in the order (KH, KW, C/g, F)."""


def conv(call: LiftCall, net: Lifted) -> Value:
    """Conv2d; on maps of a single pixel that were pooled, Linear."""
    x, w, b = value(call, 0, MAPS, POOLED), constant(call, 1), optional_constant(call, 2)
    if w.ndim != 4:
        raise call.error(f"only convolutions of images are supported; its weights have {w.ndim} axes")
    groups = call.get_int("group", 1)
    windows = windows_of(call, x.shape[2:], w.shape[2:])
    filters = w.shape[0]
    if x.axes == POOLED:
        if w.shape[2:] != (1, 1) or groups != 1 or windows.reach != (1, 1) or any(map(any, windows.pads)):
            raise call.error("after global pooling only 1 x 1 convolutions without padding or groups are supported")
        layer = Linear(filters, bias=b is not None)
        return net.vector(call, layer, x, POOLED, weight=w[:, :, 0, 0].T, bias=b)
    if groups < 1 or filters % groups:
        raise call.error(f"group must divide the {filters} filters; it is {groups}")
    convolution = Conv2d(
        filters,
        _pair(windows.kernel),
        stride=_pair(windows.strides),
        padding=padding_of(windows),
        dilation=_pair(windows.dilations),
        groups=groups,
        bias=b is not None,
    )
    return net.maps(call, convolution, x, weight=w.transpose(TO_KERNEL), bias=b)


def conv_transpose(call: LiftCall, net: Lifted) -> Value:
    """ConvTranspose2d, if as much is cropped on each side."""
    x, w, b = value(call, 0, MAPS), constant(call, 1), optional_constant(call, 2)
    if w.ndim != 4:
        raise call.error(f"only convolutions of images are supported; its weights have {w.ndim} axes")
    windows, groups = windows_of(call, x.shape[2:], w.shape[2:]), call.get_int("group", 1)
    more = call.get_ints("output_padding", (0, 0))
    if windows.before != windows.after or windows.auto_pad.startswith("SAME") or call.get_optional_ints("output_shape"):
        raise call.error("a transposed convolution must crop as much on each side, given as pads")
    layer = ConvTranspose2d(
        w.shape[1] * groups,
        _pair(windows.kernel),
        stride=_pair(windows.strides),
        padding=_pair(windows.before),
        output_padding=_pair(more),
        dilation=_pair(windows.dilations),
        groups=groups,
        bias=b is not None,
    )
    return net.maps(call, layer, x, weight=w.transpose(TO_KERNEL), bias=b)


def gemm(call: LiftCall, net: Lifted) -> Value:
    """Linear."""
    call.ignore("broadcast")
    x, w, c = value(call, 0, VECTOR, "NF"), constant(call, 1), optional_constant(call, 2)
    if call.get_int("transA", 0) or w.ndim != 2:
        raise call.error("a fully connected layer takes vectors; transA must be 0, and the weights a matrix")
    if call.get_int("transB", 0):
        w = w.T
    number = w.dtype.type
    alpha, beta = number(call.get_float("alpha", 1.0)), number(call.get_float("beta", 1.0))
    w = w if alpha == 1 else w * alpha
    if c is not None:
        if c.ndim > 2 or c.size not in (1, w.shape[1]):
            raise call.error(f"its bias {list(c.shape)} must have one value for each of {w.shape[1]} units")
        c = np.broadcast_to(c.reshape(-1) * beta, w.shape[1:])
    return linear(call, net, x, w, c)


def matmul(call: LiftCall, net: Lifted) -> Value:
    """Linear; on the channels of maps, a 1 x 1 convolution."""
    x, w = value(call, 0, VECTOR, "NF", "NHWC"), constant(call, 1)
    if w.ndim != 2:
        raise call.error(f"a layer's weights must be a matrix; they are {list(w.shape)}")
    if x.axes != "NHWC":
        return linear(call, net, x, w, None)
    convolution = Conv2d(w.shape[1], 1, bias=False)
    y = net.maps(call, convolution, x, weight=w.reshape(1, 1, *w.shape))
    return y._replace(axes="NHWC", shape=tuple(y.shape[MAPS.index(axis)] for axis in "NHWC"))


def linear(call: LiftCall, net: Lifted, x: Value, w: Array, b: Array | None) -> Value:
    """Append Linear with the weights w (in, out); of flattened maps, the rows are put into the network's order."""
    if x.axes == "NF" and len(w) == x.shape[1]:
        w = w.reshape(*x.maps, w.shape[1]).transpose(1, 2, 0, 3).reshape(w.shape)
    return net.vector(call, Linear(w.shape[1], bias=b is not None), x, weight=w, bias=b)


def padding_of(windows: Windows) -> Padding:
    """Return the padding of a layer."""
    if windows.auto_pad == "SAME_UPPER":
        return "same"
    (top, bottom), (left, right) = windows.pads
    return (top, bottom), (left, right)


def _pair(sizes: tuple[int, ...]) -> tuple[int, int]:
    if len(sizes) != 2:
        raise ValueError(f"two numbers were expected, for rows and columns; found {list(sizes)}")
    return sizes[0], sizes[1]
