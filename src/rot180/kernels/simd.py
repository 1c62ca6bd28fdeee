"""Vectors as values, with which a compiled loop can specify exactly the instructions it needs.

`load(p, i)` reads as many contiguous elements as one register holds (16 float32 with AVX-512, 8 with AVX2, 4 with NEON;
half as many float64), the usual operators work on all of them, `store(p, i, v)` writes them. Loops left to LLVM's
vectorizer reach half the speed or less, because it cannot prove that arrays do not overlap.

    p, q = pointer(x, 0), pointer(y, 0)
    for i in range(0, n, lanes(x)):
        count = min(lanes(x), n - i)
        store_part(q, i, maximum(load_part(p, i, count), splat(p, 0.0)), count)

`load_part` and `store_part` touch only the first `count` elements, so no array needs room after its end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir

from rot180.kernels.deferred import cgutils, intrinsic, types
from rot180.kernels.processor import HAS_FMA, HAS_MASKS, IS_ARM, VECTOR_BYTES

_I32 = ir.IntType(32)
_I64 = ir.IntType(64)


def number(n: int) -> ir.Constant:
    """Return a 64-bit integer for emitted code."""
    return ir.Constant(_I64, n)


def lane_count(dtype: types.Float) -> int:
    """Elements of `dtype` in one register."""
    return VECTOR_BYTES // (dtype.bitwidth // 8)


def element_of(dtype):
    if dtype == types.boolean:
        return ir.IntType(1)
    return ir.FloatType() if dtype == types.float32 else ir.DoubleType()


def _vector(dtype):
    from rot180.kernels.numba_types import Vector

    return Vector(dtype, lane_count(dtype))


def llvm_vector(dtype):
    """The LLVM type of a register of `dtype`."""
    return ir.VectorType(element_of(dtype), lane_count(dtype))


def _suffix(vector_type):
    element = vector_type.element
    if isinstance(element, ir.IntType):
        return f"v{vector_type.count}i{element.width}"
    return f"v{vector_type.count}f{32 if isinstance(element, ir.FloatType) else 64}"


def call_llvm(builder, name, *args):
    """Call the vector intrinsic `llvm.NAME` on vectors of one type."""
    kind = args[0].type
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(kind, [kind] * len(args)), f"llvm.{name}.{_suffix(kind)}"
    )
    return builder.call(function, args)


def broadcast(builder, scalar, count):
    """Put one scalar into every lane."""
    undefined = ir.Constant(ir.VectorType(scalar.type, count), ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, count), [0] * count))


def broadcast_element(builder, scalar, count):
    """Put one scalar into every lane, for products with several vectors."""
    return broadcast(builder, opaque(builder, scalar) if IS_ARM else scalar, count)


def opaque(builder, value):
    """A number in a register that LLVM does not know the origin of, on ARM.

    Otherwise LLVM reads a factor of products into all lanes, which takes a register and a turn of the vector units
    (LD1R). A scalar that stays one is taken as an element of a register (FMLA by element), which costs nothing.
    """
    constraint = "=r,0" if isinstance(value.type, ir.IntType) else "=w,0"
    return builder.asm(ir.FunctionType(value.type, [value.type]), "", constraint, [value], False)


def multiply_add(builder, a, b, c):
    """a*b + c, rounded once if the processor has an instruction for that."""
    return call_llvm(builder, "fma" if HAS_FMA else "fmuladd", a, b, c)


def vector_pointer(builder, base, offset, kind):
    """Return the address of element `offset` after `base`, as that of a vector."""
    return builder.bitcast(builder.gep(base, [offset]), kind.as_pointer())


@intrinsic
def pointer(typingctx, array, offset):
    """Address of element `offset` of a contiguous array."""
    signature = types.CPointer(array.dtype)(array, types.intp)

    def codegen(context, builder, sig, args):
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        return builder.gep(data, [args[1]])

    return signature, codegen


@intrinsic
def advance(typingctx, p, offset):
    """The address `offset` elements after p."""
    signature = p(p, types.intp)
    return signature, lambda context, builder, sig, args: builder.gep(args[0], [args[1]])


@intrinsic
def lanes(typingctx, array):
    """Elements of the array's (or the address's) type in one register, a constant for the compiler."""
    count = lane_count(array.dtype)
    return types.intp(array), lambda context, builder, sig, args: ir.Constant(_I64, count)


@intrinsic
def load(typingctx, p, offset):
    """Read one register from p[offset] and following."""
    signature = _vector(p.dtype)(p, types.intp)

    def codegen(context, builder, sig, args):
        kind = llvm_vector(sig.args[0].dtype)
        return builder.load(vector_pointer(builder, *args, kind), align=4)

    return signature, codegen


@intrinsic
def store(typingctx, p, offset, value):
    """Write one register to p[offset] and following."""
    signature = types.void(p, types.intp, value)

    def codegen(context, builder, sig, args):
        base, at, vector = args
        builder.store(vector, vector_pointer(builder, base, at, vector.type), align=4)
        return context.get_dummy_value()

    return signature, codegen


def first_lanes(builder, count, total):
    """Booleans: lane i < count."""
    numbers = ir.Constant(ir.VectorType(_I32, total), list(range(total)))
    return builder.icmp_signed("<", numbers, broadcast(builder, builder.trunc(count, _I32), total))


def masked_load(builder, address, count):
    """Read the first `count` lanes from a vector's address; the others are zero."""
    if HAS_MASKS:
        return _load_lanes(builder, address, count)
    result = cgutils.alloca_once(builder, address.type.pointee)
    with _if_whole(builder, count, address.type.pointee) as (whole, partial):
        with whole:
            builder.store(builder.load(address, align=4), result)
        with partial:
            builder.store(_load_lanes(builder, address, count), result)
    return builder.load(result)


def _if_whole(builder, count, kind):
    return builder.if_else(builder.icmp_signed(">=", count, ir.Constant(count.type, kind.count)))


def _load_lanes(builder, address, count):
    kind = address.type.pointee
    mask = first_lanes(builder, count, kind.count)
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(kind, [address.type, _I32, mask.type, kind]),
        f"llvm.masked.load.{_suffix(kind)}.p0",
    )
    return builder.call(function, [address, ir.Constant(_I32, 4), mask, ir.Constant(kind, [0.0] * kind.count)])


@intrinsic
def load_part(typingctx, p, offset, count):
    """Read `count` elements into the first lanes; the others are zero."""
    signature = _vector(p.dtype)(p, types.intp, types.intp)

    def codegen(context, builder, sig, args):
        base, at, n = args
        return masked_load(builder, vector_pointer(builder, base, at, llvm_vector(sig.args[0].dtype)), n)

    return signature, codegen


def masked_store(builder, value, address, count, align=4):
    """Write the first `count` lanes to a vector's address."""
    if HAS_MASKS:
        _store_lanes(builder, value, address, count, align)
        return
    with _if_whole(builder, count, value.type) as (whole, partial):
        with whole:
            builder.store(value, address, align=align)
        with partial:
            _store_lanes(builder, value, address, count, align)


def _store_lanes(builder, value, address, count, align):
    kind = value.type
    mask = first_lanes(builder, count, kind.count)
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(ir.VoidType(), [kind, kind.as_pointer(), _I32, mask.type]),
        f"llvm.masked.store.{_suffix(kind)}.p0",
    )
    builder.call(function, [value, address, ir.Constant(_I32, align), mask])


@intrinsic
def store_part(typingctx, p, offset, value, count):
    """Write the first `count` lanes."""
    signature = types.void(p, types.intp, value, types.intp)

    def codegen(context, builder, sig, args):
        base, at, vector, n = args
        masked_store(builder, vector, vector_pointer(builder, base, at, vector.type), n)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def store_bytes(typingctx, p, offset, value, count):
    """Write the first `count` lanes, integers from 0 to 255, as bytes to the uint8 address p."""
    signature = types.void(p, types.intp, value, types.intp)

    def codegen(context, builder, sig, args):
        base, at, vector, n = args
        kind = ir.VectorType(ir.IntType(8), vector.type.count)
        whole = builder.fptosi(vector, ir.VectorType(_I32, vector.type.count))
        masked_store(builder, builder.trunc(whole, kind), vector_pointer(builder, base, at, kind), n, align=1)
        return context.get_dummy_value()

    return signature, codegen


def emit_prefetch(builder, address):
    """Prefetch the cache line of an address into the second-level cache; any address is allowed."""
    byte = ir.IntType(8).as_pointer()
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(ir.VoidType(), [byte, _I32, _I32, _I32]), "llvm.prefetch.p0"
    )
    read, near, data = (ir.Constant(_I32, flag) for flag in (0, 2, 1))
    builder.call(function, [builder.bitcast(address, byte), read, near, data])


@intrinsic
def prefetch(typingctx, p, offset):
    """Prefetch the cache line of p[offset]; any address is allowed."""
    signature = types.void(p, types.intp)

    def codegen(context, builder, sig, args):
        emit_prefetch(builder, builder.gep(args[0], [args[1]]))
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def splat(typingctx, p, value):
    """The scalar `value` in every lane of a vector of p's type."""
    signature = _vector(p.dtype)(p, value)

    def codegen(context, builder, sig, args):
        scalar = context.cast(builder, args[1], sig.args[1], sig.args[0].dtype)
        return broadcast(builder, scalar, lane_count(sig.args[0].dtype))

    return signature, codegen


@intrinsic
def fma(typingctx, a, b, c):
    """a*b + c, rounded once if the processor has an instruction for that."""
    return a(a, b, c), lambda context, builder, sig, args: multiply_add(builder, *args)


@intrinsic
def sqrt(typingctx, a):
    """The square root of each lane."""
    return a(a), lambda context, builder, sig, args: call_llvm(builder, "sqrt", *args)


@intrinsic
def absolute(typingctx, a):
    """The magnitude of each lane."""
    return a(a), lambda context, builder, sig, args: call_llvm(builder, "fabs", *args)


@intrinsic
def copysign(typingctx, a, b):
    """Magnitudes of a with the signs of b."""
    return a(a, b), lambda context, builder, sig, args: call_llvm(builder, "copysign", *args)


@intrinsic
def select(typingctx, mask, a, b):
    """a where mask is true, else b."""
    return a(mask, a, b), lambda context, builder, sig, args: builder.select(*args)


def sum_lanes(builder, vector):
    """The sum of all lanes, halves added to halves."""
    count = vector.type.count
    while count > 1:
        count //= 2
        undefined = ir.Constant(vector.type, ir.Undefined)
        low, high = (
            builder.shuffle_vector(
                vector, undefined, ir.Constant(ir.VectorType(_I32, count), list(range(first, first + count)))
            )
            for first in (0, count)
        )
        vector = builder.fadd(low, high)
    return builder.extract_element(vector, ir.Constant(_I32, 0))


@intrinsic
def total(typingctx, a):
    """The sum of all lanes, halves added to halves."""
    return a.dtype(a), lambda context, builder, sig, args: sum_lanes(builder, *args)


@intrinsic
def round_to_power(typingctx, a):
    """(r, 2**r) for r = a rounded to the nearest integer, |r| small enough for a normal power."""
    bits, bias, shift = (32, 127, 23) if a.dtype == types.float32 else (64, 1023, 52)
    signature = types.UniTuple(a, 2)(a)

    def codegen(context, builder, sig, args):
        kind = args[0].type
        integers = ir.VectorType(ir.IntType(bits), kind.count)
        rounded = call_llvm(builder, "rint", args[0])
        exponent = builder.fptosi(rounded, integers)
        biased = builder.add(exponent, ir.Constant(integers, [bias] * kind.count))
        power = builder.bitcast(builder.shl(biased, ir.Constant(integers, [shift] * kind.count)), kind)
        return context.make_tuple(builder, sig.return_type, [rounded, power])

    return signature, codegen


def lane_count_of(dtype: Any) -> int:
    """Elements of a NumPy type in one register."""
    return int(VECTOR_BYTES // np.dtype(dtype).itemsize)
