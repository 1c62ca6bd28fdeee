"""Types that Numba learns before it compiles a kernel: registers of `simd`, and the units of a loop over `split`."""

from __future__ import annotations

import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models, register_default
from numba.core.imputils import RefType, iternext_impl
from numba.extending import lower_builtin, type_callable

from rot180.kernels.simd import element_of
from rot180.kernels.team import STAGE_SHIFT, TAKE, word_at

_I64 = ir.IntType(64)


class Vector(types.Type):
    """Numba's name for a register of floats, or of the booleans from comparing two of them."""

    def __init__(self, dtype: types.Type, count: int) -> None:
        self.dtype, self.count = dtype, count
        super().__init__(name=f"Vector({dtype}, {count})")


@register_default(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, ir.VectorType(element_of(kind.dtype), kind.count))


def _define_operators():
    arithmetic = {
        operator.add: "fadd",
        operator.sub: "fsub",
        operator.mul: "fmul",
        operator.truediv: "fdiv",
    }
    for symbol, instruction in arithmetic.items():

        @type_callable(symbol)
        def _type_arithmetic(context):
            return lambda a, b: a if isinstance(a, Vector) and a == b else None

        @lower_builtin(symbol, Vector, Vector)
        def _lower_arithmetic(context, builder, sig, args, instruction=instruction):
            return getattr(builder, instruction)(*args)

    for symbol, comparison in {operator.gt: ">", operator.ge: ">=", operator.lt: "<", operator.eq: "=="}.items():

        @type_callable(symbol)
        def _type_comparison(context):
            return lambda a, b: Vector(types.boolean, a.count) if isinstance(a, Vector) and a == b else None

        @lower_builtin(symbol, Vector, Vector)
        def _lower_comparison(context, builder, sig, args, comparison=comparison):
            return builder.fcmp_ordered(comparison, *args)


_define_operators()


class _Units(types.SimpleIteratorType):
    """The units that a thread runs, as an iterator."""

    def __init__(self):
        super().__init__("Units", types.int64)


UNITS = _Units()


@register_default(_Units)
class _UnitsModel(models.StructModel):
    def __init__(self, manager, kind):
        pointer = types.CPointer(types.int64)
        members = [("thread", types.int64), ("threads", types.int64), ("shared", types.int64), ("count", types.int64)]
        super().__init__(manager, kind, [*members, ("unit", pointer), ("end", pointer)])


@lower_builtin("getiter", _Units)
def _getiter(context, builder, sig, args):
    return args[0]


@lower_builtin("iternext", _Units)
@iternext_impl(RefType.UNTRACKED)
def _iternext(context, builder, sig, args, result):
    units = cgutils.create_struct_proxy(UNITS)(context, builder, args[0])
    shared = builder.icmp_signed(">", units.threads, ir.Constant(_I64, 1))
    is_end = builder.icmp_signed(">=", builder.load(units.unit), builder.load(units.end))
    with builder.if_then(builder.and_(shared, is_end), likely=False):
        kind = ir.FunctionType(_I64, [_I64] * 4)
        take = builder.load(word_at(builder, units.shared, ir.Constant(_I64, TAKE)))
        word = builder.call(
            builder.inttoptr(take, kind.as_pointer()), [units.shared, units.thread, units.threads, units.count]
        )
        builder.store(builder.lshr(word, ir.Constant(_I64, STAGE_SHIFT)), units.unit)
        builder.store(builder.and_(word, ir.Constant(_I64, (1 << STAGE_SHIFT) - 1)), units.end)
    unit = builder.load(units.unit)
    is_valid = builder.icmp_signed("<", unit, builder.load(units.end))
    result.set_valid(is_valid)
    with builder.if_then(is_valid):
        result.yield_(unit)
        builder.store(builder.add(unit, ir.Constant(_I64, 1)), units.unit)
