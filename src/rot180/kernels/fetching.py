"""Prefetching of what is written."""

from __future__ import annotations

from llvmlite import ir

from rot180.kernels.deferred import cgutils, intrinsic, types


@intrinsic
def prefetch_to_write(typingctx, p, offset):
    """Prefetch the cache line of p[offset], and take it from other cores; any address is allowed.

    A write to a line that another core has read, as its share of the next layer's work, would wait for that core.
    """
    signature = types.void(p, types.intp)

    def codegen(context, builder, sig, args):
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [byte, number, number, number]), "llvm.prefetch.p0"
        )
        write, near, data = (ir.Constant(number, flag) for flag in (1, 3, 1))
        builder.call(function, [builder.bitcast(builder.gep(args[0], [args[1]]), byte), write, near, data])
        return context.get_dummy_value()

    return signature, codegen
