"""Convolutions: NCHW outside, NHWC inside."""

from __future__ import annotations

import numpy as np

from rot180 import ops
from rot180.interop.onnx.call import Call, Evaluated, Versions
from rot180.interop.onnx.op_window import windows_of
from rot180.ops.types import Array

CHANNELS_LAST, CHANNELS_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
"""The axes of NCHW in the order NHWC, and back."""


def conv(call: Call[Array]) -> Evaluated:
    """Cross-correlate images x (N, C, H, W) with filters w (F, C/g, KH, KW)."""
    return convolved(call, call.input(0), call.input(1), call.optional(2))


def convolved(call: Call[Array], x: Array, w: Array, b: Array | None) -> Array:
    """Return the convolution of a node's arrays."""
    _check(call, x, w)
    windows = windows_of(call, x.shape[2:], w.shape[2:])
    (top, bottom), (left, right) = windows.pads
    size = (x.shape[2] + top + bottom) * (x.shape[3] + left + right) * x.shape[0] * x.shape[1]
    call.require((size * windows.kernel[0] * windows.kernel[1],), x.dtype)
    y = ops.conv2d(
        x.transpose(CHANNELS_LAST),
        w.transpose(2, 3, 1, 0),
        b,
        stride=_pair(windows.strides),
        padding=((top, bottom), (left, right)),
        dilation=_pair(windows.dilations),
        groups=call.get_int("group", 1),
    )
    return y.transpose(CHANNELS_FIRST)


def conv_transpose(call: Call[Array]) -> Evaluated:
    """Spread images x (N, C, H, W) with filters w (C, F/g, KH, KW): computed as a whole, then cropped."""
    x, w, b = call.input(0), call.input(1), call.optional(2)
    _check(call, x, w)
    windows = windows_of(call, x.shape[2:], w.shape[2:])
    more = call.get_ints("output_padding", (0, 0))
    whole = [(n - 1) * s + reach for n, s, reach in zip(x.shape[2:], windows.strides, windows.reach, strict=True)]
    wanted = call.get_ints("output_shape", ())
    before, after = list(windows.before), list(windows.after)
    if windows.auto_pad.startswith("SAME") and not wanted:
        wanted = tuple(n * s for n, s in zip(x.shape[2:], windows.strides, strict=True))
    if wanted:
        total = [max(size + extra - out, 0) for size, extra, out in zip(whole, more, wanted[-2:], strict=True)]
        less = [crop // 2 for crop in total]
        rest = [crop - small for crop, small in zip(total, less, strict=True)]
        before, after = (less, rest) if windows.auto_pad != "SAME_LOWER" else (rest, less)
        if not windows.auto_pad.startswith("SAME"):
            before, after = rest, less
        more = tuple(max(out - size, extra) for out, size, extra in zip(wanted[-2:], whole, more, strict=True))
    groups = call.get_int("group", 1)
    call.require((x.shape[0], w.shape[1] * groups, *(size + extra for size, extra in zip(whole, more, strict=True))))
    weight = w.transpose(2, 3, 1, 0)
    y = ops.conv_transpose2d(
        x.transpose(CHANNELS_LAST),
        np.ascontiguousarray(weight),
        stride=_pair(windows.strides),
        dilation=_pair(windows.dilations),
        groups=groups,
    )
    y = np.pad(y, ((0, 0), (0, more[0]), (0, more[1]), (0, 0)))
    rows, columns = (slice(b, y.shape[axis] - a) for axis, (b, a) in enumerate(zip(before, after, strict=True), 1))
    y = y[:, rows, columns]
    return (y if b is None else y + b).transpose(CHANNELS_FIRST)


def _check(call: Call[Array], x: Array, w: Array) -> None:
    if x.ndim != 4 or w.ndim != 4:
        raise call.error(f"only convolutions of images (N, C, H, W) are supported; the input has {x.ndim} axes")
    if not x.size:
        raise call.error(f"the input {x.shape} is empty")


def _pair(sizes: tuple[int, ...]) -> tuple[int, int]:
    return sizes[0], sizes[1]


CONVOLUTIONS: dict[str, Versions] = {"Conv": {1: conv}, "ConvTranspose": {1: conv_transpose}}
