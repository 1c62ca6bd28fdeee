"""The register tile: the whole speed of convolutions and matrix products in one compiled function.

    c[p, v] = sum over j < J, i < I, k < K of  a[j*a_j + i*a_i + k*a_k + p*a_row] * b[j*b_j + i*b_i + k*b_k + v]

for p < rows and v < vectors registers of columns. Each of `rows` scalars of `a` is broadcast to a register and
multiplied by `vectors` registers of `b`; the sums stay in registers for the whole reduction. Nothing is unfolded in
memory: in a padded NHWC image, one output row of a convolution is a matrix product whose A rows overlap. With
R = KW*C (or C, if dilation or groups interrupt the run of a window's row) the same tile computes

    convolution        a = padded images           j, i, k over kernel rows, kernel columns, channels;   b = weights
    its data gradient  a = padded delta            the same, with the kernel rotated by 180 degrees
    weight gradient    a = padded images           j, i, k over images, rows, pixels; rows p over R;     b = delta
    fully connected    a = x, k over inputs        b = weights
    its weights' dw    a = x, k over the batch     rows p over inputs;                                   b = delta

The dot tile is its counterpart for products with a transposed matrix, c[p, q] = sum over k of a[p, k] * b[q, k], both
read along k: the data gradient of a fully connected layer.

Both are compiled for every count of rows and columns and called by address (`rot180.kernels.switch`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir

from rot180.kernels.compiling import callback
from rot180.kernels.deferred import cgutils, intrinsic, types
from rot180.kernels.processor import IS_ARM, REGISTERS, TILE_ROWS, TILE_VECTORS
from rot180.kernels.simd import (
    broadcast_element,
    emit_prefetch,
    lane_count,
    llvm_vector,
    masked_load,
    multiply_add,
    number,
    opaque,
    sum_lanes,
    vector_pointer,
)
from rot180.kernels.switch import address_of, emit_call, switched

__all__ = [
    "DOT_COLUMNS",
    "DOT_ROWS",
    "TILE_ROWS",
    "TILE_VECTORS",
    "dot_tile_address",
    "even_blocks",
    "even_rows",
    "sum_products",
    "tile",
    "tile_address",
    "tile_strides",
]

DOT_ROWS, DOT_COLUMNS = REGISTERS.dot


def tile_strides(
    counts: tuple[int, int], a: tuple[int, int, int], b: tuple[int, int, int], *, a_row: int, c_row: int
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Pack the numbers that a tile needs: (I, K), the strides of a and b in elements over j, i, k, and between rows."""
    return np.array([*counts, *a, *b, a_row, c_row], np.int64)


def even_blocks(count: int, most: int = TILE_ROWS) -> int:
    """Return the block size that divides `count` most evenly, at most `most`.

    >>> even_blocks(28, 14), even_blocks(16, 14), even_blocks(160, 14), even_blocks(3, 14)
    (14, 8, 14, 3)
    """
    blocks = -(-count // most)
    return -(-count // blocks) if count else 1


def sum_products(builder, sums, a, b, counts, a_steps, b_steps, rows_of_a, ahead=None):
    """Add to the sums, which map (row, register) to where a sum is held, as the tile does: `counts` are J, I, K.

    `rows_of_a` are the places of the rows in a, as `even_rows` returns them. What is at `ahead` is prefetched, one line
    with every k, as far apart as the rows of b.
    """
    rows, vectors = (1 + max(place) for place in zip(*sums, strict=True))
    kind = sums[0, 0].type.pointee
    lanes = kind.count
    firsts, offsets = rows_of_a

    ahead_now = cgutils.alloca_once_value(builder, ahead) if ahead else None

    # With a single running address, LLVM derives each row's address from the previous one, a chain of additions that
    # delays the multiply-adds. Every few rows have one, as x86 adds up to three strides in the instruction that reads;
    # ARM adds a register, and LLVM must not know that these numbers are multiples.
    if IS_ARM:
        offsets = [builder.add(first, offset) for first in firsts for offset in offsets][:rows]
        firsts, offsets = [number(0)], [opaque(builder, offset) for offset in offsets]
    rows_of_address = len(offsets)

    def nest(level, a, b):
        b_now = cgutils.alloca_once_value(builder, b)
        a_now = [
            cgutils.alloca_once_value(builder, builder.gep(a, [first]))
            for first in firsts[: -(-rows // rows_of_address) if level == 2 else 1]
        ]
        with cgutils.for_range(builder, counts[level]):
            a_here, b_here = [builder.load(base) for base in a_now], builder.load(b_now)
            if level < 2:
                nest(level + 1, a_here[0], b_here)
            else:
                columns = [
                    builder.load(vector_pointer(builder, b_here, number(v * lanes), kind), align=4)
                    for v in range(vectors)
                ]
                if ahead:
                    line = builder.load(ahead_now)
                    emit_prefetch(builder, line)
                    builder.store(builder.gep(line, [b_steps[2]]), ahead_now)
                for p in range(rows):
                    at = builder.gep(a_here[p // rows_of_address], [offsets[p % rows_of_address]])
                    spread = broadcast_element(builder, builder.load(at), lanes)
                    for v in range(vectors):
                        summed = multiply_add(builder, spread, columns[v], builder.load(sums[p, v]))
                        builder.store(summed, sums[p, v])
            for here, base in zip(a_here, a_now, strict=True):
                builder.store(builder.gep(here, [a_steps[level]]), base)
            builder.store(builder.gep(b_here, [b_steps[level]]), b_now)

    nest(0, a, b)


def even_rows(builder, rows, a_row):
    """Return the places of rows that are `a_row` elements apart: those of every fourth one, and from there on."""
    firsts, offsets = ([builder.mul(a_row, number(p)) for p in places] for places in (range(0, rows, 4), range(4)))
    return firsts, offsets


def _emit_tile(builder, rows, vectors, operands, dtype):
    a, b, c, count, accumulate, packed = operands
    kind, lanes = llvm_vector(dtype), lane_count(dtype)
    strides = [builder.load(builder.gep(packed, [number(i)])) for i in range(10)]
    counts = (count, *strides[:2])
    a_steps, b_steps, (a_row, c_row) = strides[2:5], strides[5:8], strides[8:]

    def c_at(p, v):
        return vector_pointer(builder, c, builder.add(builder.mul(c_row, number(p)), number(v * lanes)), kind)

    sums = {(p, v): cgutils.alloca_once(builder, kind) for p in range(rows) for v in range(vectors)}
    with builder.if_else(builder.icmp_signed("!=", accumulate, number(0))) as (continued, fresh):
        with continued:
            for place, total in sums.items():
                builder.store(builder.load(c_at(*place), align=4), total)
        with fresh:
            for total in sums.values():
                builder.store(ir.Constant(kind, [0.0] * lanes), total)
    sum_products(builder, sums, a, b, counts, a_steps, b_steps, even_rows(builder, rows, a_row))
    for place, total in sums.items():
        builder.store(builder.load(total), c_at(*place), align=4)


def _emit_dot_tile(builder, rows, columns, operands, dtype):
    a, b, c, length, _, packed = operands
    kind, lanes = llvm_vector(dtype), lane_count(dtype)
    a_row, b_row, c_row = (builder.load(builder.gep(packed, [number(i)])) for i in range(3))

    sums = [
        [cgutils.alloca_once_value(builder, ir.Constant(kind, [0.0] * lanes)) for _ in range(columns)]
        for _ in range(rows)
    ]

    def add_products(read):
        right = [read(b, builder.mul(b_row, number(q))) for q in range(columns)]
        for p in range(rows):
            left = read(a, builder.mul(a_row, number(p)))
            for q in range(columns):
                builder.store(multiply_add(builder, left, right[q], builder.load(sums[p][q])), sums[p][q])

    whole = builder.udiv(length, number(lanes))
    with cgutils.for_range(builder, whole) as loop:
        start = builder.mul(loop.index, number(lanes))
        add_products(
            lambda base, row: builder.load(vector_pointer(builder, base, builder.add(row, start), kind), align=4)
        )
    rest = builder.urem(length, number(lanes))
    with builder.if_then(builder.icmp_signed(">", rest, number(0)), likely=False):
        start = builder.mul(whole, number(lanes))
        add_products(
            lambda base, row: masked_load(builder, vector_pointer(builder, base, builder.add(row, start), kind), rest)
        )
    for p in range(rows):
        for q in range(columns):
            at = builder.add(builder.mul(c_row, number(p)), number(q))
            builder.store(sum_lanes(builder, builder.load(sums[p][q])), builder.gep(c, [at]))


def _sizes(most_rows, most_columns):
    return [(r, q) for r in range(1, most_rows + 1) for q in range(1, most_columns + 1)]


_tile_body = switched(_emit_tile, _sizes(TILE_ROWS, TILE_VECTORS))
_dot_body = switched(_emit_dot_tile, _sizes(DOT_ROWS, DOT_COLUMNS))


def _signature(value):
    intp, address = types.intp, types.CPointer(value)
    return types.void(intp, intp, address, address, address, intp, intp, types.CPointer(types.int64))


@callback(_signature)
def _tile(rows, vectors, a, b, c, count, accumulate, strides):
    _tile_body(rows, vectors, (a, b, c, count, accumulate, strides))


@callback(_signature)
def _dot_tile(rows, columns, a, b, c, count, accumulate, strides):
    _dot_body(rows, columns, (a, b, c, count, accumulate, strides))


def tile_address(dtype: Any) -> int:
    """Address of the compiled tile for float32 or float64; compiled, or loaded from its file, on first call."""
    return address_of(_tile, dtype)


def dot_tile_address(dtype: Any) -> int:
    """Address of the compiled dot tile."""
    return address_of(_dot_tile, dtype)


@intrinsic
def tile(typingctx, address, rows, columns, a, b, c, count, accumulate, strides):
    """Call a tile by its address.

    `count` is J (for the dot tile: the length of the products), `accumulate` 1 adds to the content of c (the dot tile
    never does), `strides` is the array from `tile_strides` (for the dot tile: a_row, b_row, c_row).
    """
    intp = types.intp
    signature = types.void(intp, intp, intp, a, b, c, intp, intp, strides)

    def codegen(context, builder, sig, args):
        address, *rest, strides = args
        emit_call(builder, address, [*rest, context.make_array(sig.args[-1])(context, builder, strides).data])
        return context.get_dummy_value()

    return signature, codegen
