"""The register tile of a convolution, whose sums are finished at once and written to their place.

    y[p, f] = finish( sum over j < J, i < I, k < K of  x[j*x_j + i*x_i + k*x_k + p*x_pixel] * w[..., f] )

`rot180.kernels.tile` leaves the same sums in a scratch array that a loop finishes. With some dozens of products to a
sum, as a 1x1 convolution or one over few channels has, that takes a third of the time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.kernels.compiling import callback
from rot180.kernels.deferred import intrinsic, types
from rot180.kernels.finishing import finish, start_at_zero, store_sums
from rot180.kernels.processor import TILE_ROWS, TILE_VECTORS
from rot180.kernels.simd import llvm_vector, number
from rot180.kernels.switch import address_of, emit_call, switched
from rot180.kernels.tile import even_rows, sum_products


def product_strides(
    counts: tuple[int, int], x: tuple[int, int, int], w: tuple[int, int, int], *, pixels: tuple[int, int, int]
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Pack the numbers that a tile needs.

    (I, K), the strides of x and w in elements over j, i, k, and between pixels of x, y, and the other map.
    """
    return np.array([*counts, *x, *w, *pixels], np.int64)


def _emit(builder, pixels, vectors, operands, dtype):
    x, w, scale, shift, limits, other, y, count, part, how, ahead, packed = operands
    strides = [builder.load(builder.gep(packed, [number(i)])) for i in range(11)]
    x_pixel, y_pixel, other_pixel = strides[8:]
    sums = start_at_zero(builder, pixels, vectors, llvm_vector(dtype))
    rows = even_rows(builder, pixels, x_pixel)
    sum_products(builder, sums, x, w, (count, *strides[:2]), strides[2:5], strides[5:8], rows, ahead)
    finish(builder, sums, scale, shift, limits, part, how, other, other_pixel)
    store_sums(builder, sums, y, y_pixel, part)


_body = switched(_emit, [(p, v) for p in range(1, TILE_ROWS + 1) for v in range(1, TILE_VECTORS + 1)])


def _signature(value):
    intp, address = types.intp, types.CPointer(value)
    return types.void(intp, intp, *[address] * 7, intp, intp, intp, address, types.CPointer(types.int64))


@callback(_signature)
def _product_tile(pixels, vectors, x, w, scale, shift, limits, other, y, count, part, how, ahead, strides):
    _body(pixels, vectors, (x, w, scale, shift, limits, other, y, count, part, how, ahead, strides))


def product_tile_address(dtype: Any) -> int:
    """Address of the compiled tile for float32 or float64."""
    return address_of(_product_tile, dtype)


@intrinsic
def product_tile(
    typingctx, address, pixels, vectors, x, w, scale, shift, limits, other, y, count, part, how, ahead, strides
):
    """Call a tile by its address.

    `limits` points to the smallest and the largest result, `count` is J; `part` lanes of the last register are read
    from scale, shift and the other map, and written. `how` is one of `rot180.kernels.finishing`, `strides` the array
    from `product_strides`. While it multiplies, it prefetches what is at `ahead`, a line with every row of w, as far
    apart as these.
    """
    intp = types.intp
    signature = types.void(intp, intp, intp, x, w, scale, shift, limits, other, y, intp, intp, intp, ahead, strides)

    def codegen(context, builder, sig, args):
        address, *rest, strides = args
        emit_call(builder, address, [*rest, context.make_array(sig.args[-1])(context, builder, strides).data])
        return context.get_dummy_value()

    return signature, codegen
