"""Kernels rotated by 180 degrees, channel axes exchanged: convolved with them, delta becomes the data gradient.

    turned[u, v, f, c] = w[KH-1-u, KW-1-v, c, f]

A square of as many channels as filters as a register has lanes is transposed in registers: each line of memory is read
once, shortly before the square is used.
"""

from __future__ import annotations

from llvmlite import ir

from rot180.kernels.compiling import subroutine
from rot180.kernels.deferred import intrinsic, types
from rot180.kernels.simd import advance, lane_count, lanes, llvm_vector, number, pointer, prefetch, vector_pointer


@intrinsic
def transpose(typingctx, source, source_row, target, target_row):
    """Write a square of elements, whose rows are these distances apart, with rows and columns exchanged."""
    signature = types.void(source, types.intp, target, types.intp)

    def codegen(context, builder, sig, args):
        kind, count = llvm_vector(sig.args[0].dtype), lane_count(sig.args[0].dtype)

        def at(base, row, i):
            return vector_pointer(builder, base, builder.mul(row, number(i)), kind)

        rows = [builder.load(at(args[0], args[1], i), align=4) for i in range(count)]
        step = 1
        while step < count:
            # Exchange, between two rows, the lanes whose number has this bit for those of the other that have not.
            for i in (i for i in range(count) if not i & step):
                first, second = rows[i], rows[i + step]
                low = [count + lane - step if lane & step else lane for lane in range(count)]
                high = [count + lane if lane & step else lane + step for lane in range(count)]
                rows[i], rows[i + step] = (
                    builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(ir.IntType(32), count), order))
                    for order in (low, high)
                )
            step *= 2
        for i, row in enumerate(rows):
            builder.store(row, at(args[2], args[3], i), align=4)
        return context.get_dummy_value()

    return signature, codegen


@subroutine
def turn(w, f, c, width, to):
    """Write filters from f on and channels from c on of w (KH, KW, C, F) to an address, as (KH, KW, lanes, width).

    Nothing is written for filters and channels that w does not have. The next filters are prefetched.
    """
    KH, KW, C, F = w.shape
    L = lanes(w)
    for cell in range(KH * KW):
        for i in range(0, min(width, C - c), L):
            first = ((KH * KW - 1 - cell) * C + c + i) * F + f
            source, target = pointer(w, first), advance(to, cell * L * width + i)
            if c + i + L <= C and f + L <= F:
                for k in range(L):
                    prefetch(source, k * F + L)
                transpose(source, F, target, width)
            else:
                for j in range(min(L, F - f)):
                    for k in range(min(L, C - c - i)):
                        target[j * width + k] = source[k * F + j]
