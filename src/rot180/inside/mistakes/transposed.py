"""Known mistakes in the gradients of a transposed convolution: a convolution whose passes have changed places.

Its data gradient is a convolution of delta, and its weight gradient that of the convolution from y to x, with delta as
the input and x as the delta. So the mistakes in the weight gradient are those of `convolution`, seen from the other
side.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from rot180.inside.mistakes import convolution
from rot180.inside.mistakes.case import Candidates, Case, Mistake, without_an_end
from rot180.inside.mistakes.recognize import Operation
from rot180.ops.conv2d import conv2d
from rot180.ops.conv_layout import pad
from rot180.ops.conv_transpose2d import conv_transpose2d_backward
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array

DX = "dx[n,i,j,c] = sum_uvf dy_pad[n, i*s + u*d, j*s + v*d, f] * w[u,v,f,c]"
DW = "dw[u,v,f,c] = sum_nij dy_pad[n, i*s + u*d, j*s + v*d, f] * x[n,i,j,c]"

TURNED = Mistake(
    "kernel rotated",
    "forward spreads with the kernel as it is, so backward correlates with it as it is, without a rotation",
    f"w[u,v] in {DX}",
)
EXCHANGE = Mistake(
    "channels not exchanged", "delta has the filters' channels: sum over f, not over c", f"f and c in {DX}"
)
STRIDE = Mistake(
    "stride forgotten", "pixel i of x was spread from pixel i * stride of y: step through delta", f"i*s in {DX}"
)
DILATION = Mistake(
    "dilation forgotten", "the kernel's taps are `dilation` pixels apart in backward, too", f"u*d in {DX}"
)
CROPPED = Mistake(
    "cropping forgotten", "forward cropped y by the padding: pad delta by as much before correlating", f"dy_pad in {DX}"
)
GROUPS = replace(convolution.GROUPS, where=f"the group of f in {DX} and in {DW}")


def gradients(case: Case, operation: Operation, dy: Array) -> dict[str, Array]:
    """Return the right gradients."""
    needs = ("x", "w", "b") if operation.bias else ("x", "w")
    w, x = case.parameters[operation.weight], case.inputs[0] if case.inputs else case.x
    dx, dw, db = conv_transpose2d_backward(dy, x, w, **operation.options, needs=needs)
    found = {"x": dx, operation.weight: dw, operation.bias: db}
    return {name: array for name, array in found.items() if array is not None}


def candidates(case: Case, operation: Operation) -> Candidates:
    """Yield what each mistake would return for this array."""
    if operation.geometry is None:
        return
    if case.of_input:
        yield from _data(case, operation, operation.geometry)
    elif case.name == operation.bias:
        yield from convolution.bias(case.dy)
    else:
        yield from _weight(case, operation)


def _data(case: Case, operation: Operation, g: Geometry) -> Candidates:
    w, groups = case.parameters[operation.weight], operation.options["groups"]
    height, width = case.x.shape[1:3]
    dy_pad = pad(case.dy, g)

    def gradient(kernel: Array, of: Array = dy_pad, **other: Any) -> Array:
        options = {"stride": g.stride, "dilation": g.dilation, "groups": groups, **other}
        need = [(n - 1) * s + (k - 1) * d + 1 for n, s, k, d in zip(
            (height, width), _pair(options["stride"]), kernel.shape[:2], _pair(options["dilation"]), strict=True
        )]  # fmt: skip
        short = [max(0, n - have) for n, have in zip(need, of.shape[1:3], strict=True)]
        wide = np.pad(of, ((0, 0), (0, short[0]), (0, short[1]), (0, 0)))
        return conv2d(wide, kernel, **options)[:, :height, :width]

    if g.kernel != (1, 1):
        yield TURNED, gradient(w[::-1, ::-1])
        yield TURNED, gradient(w[::-1])
        yield TURNED, gradient(w[:, ::-1])
    if groups == 1 and w.shape[2] == w.shape[3]:
        yield EXCHANGE, gradient(w.swapaxes(2, 3))
    if g.stride != (1, 1):
        yield STRIDE, gradient(w, stride=1)
        if g.stride[0] != g.stride[1]:
            yield convolution.STRIDES, gradient(w, stride=g.stride[::-1])
    if g.dilation != (1, 1):
        yield DILATION, gradient(w, dilation=1)
        if (g.stride, g.dilation) != (g.dilation, g.stride):
            yield convolution.STRIDE_DILATION, gradient(w, stride=g.dilation, dilation=g.stride)
    if g.is_padded:
        yield CROPPED, gradient(w, case.dy)
        for rows, columns in convolution.sides(g):
            yield convolution.ONE_SIDE, gradient(w, _shifted(dy_pad, rows, columns))
    for f in (0, case.dy.shape[3] - 1):
        only = np.zeros_like(dy_pad)
        only[..., f] = dy_pad[..., f]
        yield replace(convolution.ONE_FILTER, where=f"sum over f in {DX}"), gradient(w, only)
    for mistake, fewer in without_an_end(w, (0, 1), ("row of the kernel", "column of the kernel")):
        yield mistake, gradient(fewer)
    if groups > 1:
        channels, filters = case.x.shape[3], case.dy.shape[3]
        for of_delta, of_w in product(convolution.orders(filters, groups), convolution.orders(channels, groups)):
            mixed = gradient(w[..., of_w], dy_pad[..., of_delta])
            for order in convolution.orders(channels, groups):
                yield GROUPS, mixed[..., order]


def _pair(value: Any) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def _shifted(a: Array, rows: int, columns: int) -> Array:
    """Return maps moved up and to the left, with zeros moved in."""
    moved = np.zeros_like(a)
    seen = a[:, max(rows, 0) :, max(columns, 0) :][:, : a.shape[1] - max(-rows, 0), : a.shape[2] - max(-columns, 0)]
    moved[:, max(-rows, 0) :, max(-columns, 0) :][:, : seen.shape[1], : seen.shape[2]] = seen
    return moved


def _weight(case: Case, operation: Operation) -> Candidates:
    options = {name: value for name, value in operation.options.items() if name != "output_padding"}
    rows, columns = _pair(options["padding"])
    options["padding"] = ((rows, rows), (columns, columns))
    seen = replace(operation, bias="", options=options)
    turned = replace(case, x=case.dy, dy=case.inputs[0], inputs=())
    for mistake, wrong in convolution.candidates(turned, seen):
        yield replace(CROPPED if mistake is convolution.UNPADDED else mistake, where=DW), wrong
