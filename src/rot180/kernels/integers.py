"""Integers alongside registers of floats: the position of a maximum in its window."""

from __future__ import annotations

from llvmlite import ir

from rot180.kernels.deferred import cgutils, intrinsic, types
from rot180.kernels.simd import first_lanes, vector_pointer

_I32 = ir.IntType(32)


@intrinsic
def store_integers(typingctx, p, offset, value, count):
    """Write the first `count` lanes, integers that fit, to the integer address p."""
    signature = types.void(p, types.intp, value, types.intp)

    def codegen(context, builder, sig, args):
        base, at, vector, n = args
        lanes = vector.type.count
        kind = ir.VectorType(base.type.pointee, lanes)
        convert = builder.fptosi if sig.args[0].dtype.signed else builder.fptoui
        whole = convert(vector, kind)
        mask = first_lanes(builder, n, lanes)
        address = vector_pointer(builder, base, at, kind)
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [kind, address.type, _I32, mask.type]),
            f"llvm.masked.store.v{lanes}i{kind.element.width}.p0",
        )
        builder.call(function, [whole, address, ir.Constant(_I32, 1), mask])
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def load_integers(typingctx, p, offset, count, like):
    """Read `count` integers from the address p as floats, into a register like `like`; the other lanes are zero."""
    signature = like(p, types.intp, types.intp, like)

    def codegen(context, builder, sig, args):
        base, at, n, like = args
        lanes = like.type.count
        kind = ir.VectorType(base.type.pointee, lanes)
        mask = first_lanes(builder, n, lanes)
        address = vector_pointer(builder, base, at, kind)
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(kind, [address.type, _I32, mask.type, kind]),
            f"llvm.masked.load.v{lanes}i{kind.element.width}.p0",
        )
        read = builder.call(function, [address, ir.Constant(_I32, 1), mask, ir.Constant(kind, [0] * lanes)])
        convert = builder.sitofp if sig.args[0].dtype.signed else builder.uitofp
        return convert(read, like.type)

    return signature, codegen
