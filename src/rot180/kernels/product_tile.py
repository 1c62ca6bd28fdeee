"""The register tile of a matrix product that is finished at once: bias, clamp, and a write to its place.

    y[p, f] = clamp( bias[f] + sum over k of  x[p, k] * w[k, f] )

`rot180.kernels.tile` leaves its sums in a scratch array that a loop finishes. With some dozens of channels, as a 1x1
convolution has, that takes a third of the time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from rot180.kernels.finishing import clamp, start_at_bias, store_sums
from rot180.kernels.processor import TILE_ROWS, TILE_VECTORS
from rot180.kernels.simd import broadcast, call_llvm, lane_count, llvm_vector, vector_pointer
from rot180.kernels.switch import compiled, emit_call, switched

_I64 = ir.IntType(64)


def _emit(builder, pixels, vectors, operands, dtype):
    x, w, bias, y, limits, count, part, x_pixel, w_row, y_pixel = operands
    kind, lanes = llvm_vector(dtype), lane_count(dtype)

    def number(n):
        return ir.Constant(_I64, n)

    sums = start_at_bias(builder, pixels, vectors, bias, part, kind)
    # One running address for every four pixels, as in `rot180.kernels.tile`.
    x_now = [
        cgutils.alloca_once_value(builder, builder.gep(x, [builder.mul(x_pixel, number(p))]))
        for p in range(0, pixels, 4)
    ]
    w_now = cgutils.alloca_once_value(builder, w)
    with cgutils.for_range(builder, count):
        x_here, w_here = [builder.load(base) for base in x_now], builder.load(w_now)
        columns = [
            builder.load(vector_pointer(builder, w_here, number(v * lanes), kind), align=4) for v in range(vectors)
        ]
        for p in range(pixels):
            at = builder.gep(x_here[p // 4], [builder.mul(x_pixel, number(p % 4))])
            spread = broadcast(builder, builder.load(at), lanes)
            for v in range(vectors):
                summed = call_llvm(builder, "fma", spread, columns[v], builder.load(sums[p, v]))
                builder.store(summed, sums[p, v])
        for here, base in zip(x_here, x_now, strict=True):
            builder.store(builder.gep(here, [number(1)]), base)
        builder.store(builder.gep(w_here, [w_row]), w_now)
    clamp(builder, sums, limits)
    store_sums(builder, sums, y, y_pixel, part)


_body = switched(_emit, [(p, v) for p in range(1, TILE_ROWS + 1) for v in range(1, TILE_VECTORS + 1)])


def _product_tile(pixels, vectors, x, w, bias, y, limits, count, part, x_pixel, w_row, y_pixel):
    _body(pixels, vectors, (x, w, bias, y, limits, count, part, x_pixel, w_row, y_pixel))


def _signature(value):
    intp, address = types.intp, types.CPointer(value)
    return types.void(intp, intp, *[address] * 5, *[intp] * 5)


def product_tile_address(dtype: Any) -> int:
    """Address of the compiled tile for float32 or float64."""
    return int(compiled(_product_tile, _signature, np.dtype(dtype)).address)


@intrinsic
def product_tile(typingctx, address, pixels, vectors, x, w, bias, y, limits, count, part, x_pixel, w_row, y_pixel):
    """Call a tile by its address.

    `limits` points to the smallest and the largest result, `count` is the length of the products; `part` lanes of the
    last register are read from the bias and written. `x_pixel`, `w_row` and `y_pixel` are distances in elements.
    """
    intp = types.intp
    signature = types.void(intp, intp, intp, x, w, bias, y, limits, *[intp] * 5)

    def codegen(context, builder, sig, args):
        emit_call(builder, args[0], args[1:])
        return context.get_dummy_value()

    return signature, codegen
