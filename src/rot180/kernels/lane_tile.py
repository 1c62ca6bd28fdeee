"""Register tiles whose lanes are channels: the sums of a depthwise convolution.

    lane tile      y[p, c] = finish( sum over taps of  x[tap, p, c] * w[tap, c] )
    lane gather    dw[u, v, c] += sum over j, i of  x[j, i, u, v, c] * delta[j, i, c]

The tile of `rot180.kernels.tile` broadcasts a channel of a pixel to a register of filters. Here a filter sees one
channel: both factors are registers. For each multiply-add, x is read from memory, and w or delta is shared by the block
of sums. A lane tile holds some pixels times some registers of channels; a lane gather some taps of one register.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from rot180.kernels.compiling import callback
from rot180.kernels.deferred import cgutils, intrinsic, types
from rot180.kernels.finishing import finish, start_at_zero, store_sums
from rot180.kernels.processor import REGISTERS, TILE_ROWS
from rot180.kernels.simd import lane_count, llvm_vector, multiply_add, number, vector_pointer
from rot180.kernels.switch import address_of, emit_call, switched

_SUMS = REGISTERS.held
MOST_VECTORS = 4
"""The most registers of channels in a lane tile: with more, w takes as many reads as x."""
GATHER_ROWS, GATHER_COLUMNS = 5, 9
"""The most kernel rows and columns in a lane gather; their product must fit the registers."""


def gather_block(kernel: tuple[int, int]) -> tuple[int, int]:
    """Return how many rows and columns of a kernel a lane gather may take at a time, as evenly as possible.

    >>> gather_block((3, 3)), gather_block((1, 11))
    ((3, 3), (1, 6))
    """
    rows = _evenly(kernel[0], min(GATHER_ROWS, _SUMS))
    return rows, _evenly(kernel[1], min(GATHER_COLUMNS, _SUMS // rows))


def most_pixels(vectors: int) -> int:
    """Return the most pixels of a lane tile with `vectors` registers of channels."""
    return min(TILE_ROWS, _SUMS // vectors)


def lane_block(vectors: int) -> tuple[int, int]:
    """Return pixels and registers of the largest lane tile, for pixels that fill `vectors` registers.

    >>> lane_block(9)[1], lane_block(24)[1], lane_block(2)[1]
    (3, 4, 2)
    """
    width = _evenly(vectors, MOST_VECTORS)
    return most_pixels(width), width


def _evenly(count: int, most: int) -> int:
    return -(-count // -(-count // most))


def _emit_tile(builder, pixels, vectors, operands, dtype):
    x, w, scale, shift, limits, y, taps, count, part, x_pixel, y_pixel = operands
    kind, lanes = llvm_vector(dtype), lane_count(dtype)

    def at(base, offset, v):
        return vector_pointer(builder, base, builder.add(offset, number(v * lanes)), kind)

    sums = start_at_zero(builder, pixels, vectors, kind)
    with cgutils.for_range(builder, count) as loop:
        tap = builder.mul(loop.index, number(2))
        x_here = builder.gep(x, [builder.load(builder.gep(taps, [tap]))])
        w_here = builder.gep(w, [builder.load(builder.gep(taps, [builder.add(tap, number(1))]))])
        factors = [builder.load(at(w_here, number(0), v), align=4) for v in range(vectors)]
        for p, v in sums:
            value = builder.load(at(x_here, builder.mul(x_pixel, number(p)), v), align=4)
            builder.store(multiply_add(builder, value, factors[v], builder.load(sums[p, v])), sums[p, v])
    finish(builder, sums, scale, shift, limits, part)
    store_sums(builder, sums, y, y_pixel, part)


def _emit_gather(builder, rows, columns, operands, dtype):
    x, delta, dw, count, accumulate, packed = operands
    kind = llvm_vector(dtype)
    pixels, x_j, x_i, d_j, d_i, x_u, x_k, w_u, w_k = (builder.load(builder.gep(packed, [number(i)])) for i in range(9))
    cells = [(u, k) for u in range(rows) for k in range(columns)]

    def at(base, u, k, row, column):
        offset = builder.add(builder.mul(row, number(u)), builder.mul(column, number(k)))
        return vector_pointer(builder, base, offset, kind)

    sums = {cell: cgutils.alloca_once(builder, kind) for cell in cells}
    with builder.if_else(builder.icmp_signed("!=", accumulate, number(0))) as (continued, fresh):
        with continued:
            for u, k in cells:
                builder.store(builder.load(at(dw, u, k, w_u, w_k), align=4), sums[u, k])
        with fresh:
            for cell in cells:
                builder.store(ir.Constant(kind, [0.0] * kind.count), sums[cell])
    x_line, d_line = cgutils.alloca_once_value(builder, x), cgutils.alloca_once_value(builder, delta)
    with cgutils.for_range(builder, count):
        x_now, d_now = (cgutils.alloca_once(builder, base.type) for base in (x, delta))
        builder.store(builder.load(x_line), x_now)
        builder.store(builder.load(d_line), d_now)
        with cgutils.for_range(builder, pixels):
            x_here, d_here = builder.load(x_now), builder.load(d_now)
            factor = builder.load(vector_pointer(builder, d_here, number(0), kind), align=4)
            for u, k in cells:
                value = builder.load(at(x_here, u, k, x_u, x_k), align=4)
                builder.store(multiply_add(builder, value, factor, builder.load(sums[u, k])), sums[u, k])
            builder.store(builder.gep(x_here, [x_i]), x_now)
            builder.store(builder.gep(d_here, [d_i]), d_now)
        builder.store(builder.gep(builder.load(x_line), [x_j]), x_line)
        builder.store(builder.gep(builder.load(d_line), [d_j]), d_line)
    for u, k in cells:
        builder.store(builder.load(sums[u, k]), at(dw, u, k, w_u, w_k), align=4)


_tile_body = switched(_emit_tile, [(p, v) for v in range(1, MOST_VECTORS + 1) for p in range(1, most_pixels(v) + 1)])
_gather_body = switched(
    _emit_gather,
    [(u, k) for u in range(1, GATHER_ROWS + 1) for k in range(1, min(GATHER_COLUMNS, _SUMS // u) + 1)],
)


def _tile_signature(value):
    intp, address = types.intp, types.CPointer(value)
    return types.void(intp, intp, *[address] * 6, types.CPointer(types.int64), intp, intp, intp, intp)


@callback(_tile_signature)
def _lane_tile(pixels, vectors, x, w, scale, shift, limits, y, taps, count, part, x_pixel, y_pixel):
    _tile_body(pixels, vectors, (x, w, scale, shift, limits, y, taps, count, part, x_pixel, y_pixel))


def _gather_signature(value):
    intp, address = types.intp, types.CPointer(value)
    return types.void(intp, intp, *[address] * 3, intp, intp, types.CPointer(types.int64))


@callback(_gather_signature)
def _lane_gather(rows, columns, x, delta, dw, count, accumulate, strides):
    _gather_body(rows, columns, (x, delta, dw, count, accumulate, strides))


def lane_tile_address(dtype: Any) -> int:
    """Address of the compiled lane tile for float32 or float64."""
    return address_of(_lane_tile, dtype)


def lane_gather_address(dtype: Any) -> int:
    """Address of the compiled lane gather for float32 or float64."""
    return address_of(_lane_gather, dtype)


@intrinsic
def lane_tile(typingctx, address, pixels, vectors, x, w, scale, shift, limits, y, taps, count, part, x_pixel, y_pixel):
    """Call a lane tile by its address.

    `taps` points to `count` pairs of offsets in x and w, `limits` to the smallest and the largest result; `part` lanes
    of the last register are read from scale and shift, and written; `x_pixel` and `y_pixel` are the distances between
    pixels.
    """
    intp = types.intp
    signature = types.void(intp, intp, intp, x, w, scale, shift, limits, y, taps, intp, intp, intp, intp)

    def codegen(context, builder, sig, args):
        emit_call(builder, args[0], args[1:])
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def lane_gather(typingctx, address, rows, columns, x, delta, dw, count, accumulate, strides):
    """Call a lane gather by its address.

    `count` rows of pixels; `accumulate` 1 adds to the content of dw; `strides` points to the pixels of a row, and
    the strides of x and delta over (j, i), then of x and dw over (u, v).
    """
    intp = types.intp
    signature = types.void(intp, intp, intp, x, delta, dw, intp, intp, strides)

    def codegen(context, builder, sig, args):
        emit_call(builder, args[0], args[1:])
        return context.get_dummy_value()

    return signature, codegen
