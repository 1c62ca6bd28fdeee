"""Loops over a list of places in a padded image, with a block of registers held fixed.

A place is an offset and a value g; from each, `rows` kernel rows of `columns` registers are visited.

    gather    still[u, j] += g[k] * image[offset[k] + u*row + j]      the fixed block accumulates
    scatter   image[offset[k] + u*row + j] += g[k] * still[u, j]      the fixed block is distributed

Every step of a gather is a read and a multiply-add, two per cycle; a scatter must also write, one per cycle.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from rot180.kernels.compiling import callback
from rot180.kernels.deferred import cgutils, intrinsic, types
from rot180.kernels.processor import REGISTERS
from rot180.kernels.simd import broadcast, lane_count, llvm_vector, multiply_add, number, vector_pointer
from rot180.kernels.switch import address_of, emit_call, switched

_I64 = ir.IntType(64)
_STILL = REGISTERS.held
_MOST_ROWS, _MOST_COLUMNS = 5, 9


def block_shape(kernel_rows: int, registers: int) -> tuple[int, int]:
    """Return how many kernel rows, and registers of each, to hold at a time, as evenly as possible.

    With 32 registers, a 5x5 kernel over 32 channels (10 registers a row) is processed in two blocks of 5 x 5.
    """
    rows = -(-kernel_rows // -(-kernel_rows // min(_MOST_ROWS, _STILL)))
    most = min(_MOST_COLUMNS, _STILL // rows)
    return rows, -(-registers // -(-registers // most))


def _emit(gathers):
    def emit(builder, rows, columns, operands, dtype):
        image, row, block, block_row, offsets, values, count = operands
        kind, lanes = llvm_vector(dtype), lane_count(dtype)
        cells = [(u, j) for u in range(rows) for j in range(columns)]

        def at(base, u, stride, j):
            offset = builder.add(builder.mul(stride, number(u)), number(j * lanes))
            return vector_pointer(builder, base, offset, kind)

        still = {}
        for u, j in cells:
            still[u, j] = cgutils.alloca_once(builder, kind)
            builder.store(builder.load(at(block, u, block_row, j), align=4), still[u, j])
        with cgutils.for_range(builder, count) as loop:
            offset = builder.sext(builder.load(builder.gep(offsets, [loop.index])), _I64)
            value = broadcast(builder, builder.load(builder.gep(values, [loop.index])), lanes)
            start = builder.gep(image, [offset])
            for u, j in cells:
                place = at(start, u, row, j)
                here, held = builder.load(place, align=4), builder.load(still[u, j])
                if gathers:
                    builder.store(multiply_add(builder, value, here, held), still[u, j])
                else:
                    builder.store(multiply_add(builder, value, held, here), place, align=4)
        if gathers:
            for u, j in cells:
                builder.store(builder.load(still[u, j]), at(block, u, block_row, j), align=4)

    return emit


_SIZES = [(r, q) for r in range(1, _MOST_ROWS + 1) for q in range(1, min(_MOST_COLUMNS, _STILL // r) + 1)]
_gather_body = switched(_emit(True), _SIZES)
_scatter_body = switched(_emit(False), _SIZES)


def _signature(value):
    intp, address = types.intp, types.CPointer(value)
    return types.void(intp, intp, address, intp, address, intp, types.CPointer(types.int32), address, intp)


@callback(_signature)
def _gather(rows, columns, image, row, block, block_row, offsets, values, count):
    _gather_body(rows, columns, (image, row, block, block_row, offsets, values, count))


@callback(_signature)
def _scatter(rows, columns, image, row, block, block_row, offsets, values, count):
    _scatter_body(rows, columns, (image, row, block, block_row, offsets, values, count))


def gather_address(dtype: Any) -> int:
    """Address of the compiled gather for float32 or float64."""
    return address_of(_gather, dtype)


def scatter_address(dtype: Any) -> int:
    """Address of the compiled scatter for float32 or float64."""
    return address_of(_scatter, dtype)


@intrinsic
def walk(typingctx, address, rows, columns, image, row, block, block_row, offsets, values, count):
    """Call a walk by its address."""
    intp = types.intp
    signature = types.void(intp, intp, intp, image, intp, block, intp, offsets, values, intp)

    def codegen(context, builder, sig, args):
        emit_call(builder, args[0], args[1:])
        return context.get_dummy_value()

    return signature, codegen
