"""Numba's compiler, with entries of our own in place of its wrappers for calls from Python and C.

That of a kernel takes its arguments from a block (`rot180.kernels.entry`), a plain one the arguments themselves.
Neither looks for exceptions, which compiled code here does not raise, so neither needs anything of Python or Numba when
it runs; both take less time to compile than a wrapper.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import BaseNativeLowering, NativeLowering
from numba.np.numpy_support import from_dtype

from rot180.kernels.entry import WORDS_OF_ARRAY

_I64 = ir.IntType(64)


def numba_type(spelled: str) -> types.Type:
    """Return Numba's type for a spelled one."""
    if spelled in ("f", "i"):
        return types.float64 if spelled == "f" else types.int64
    dtype, _, rank = spelled.partition(":")
    return types.Array(from_dtype(np.dtype(dtype)), int(rank), "C")


class _Lower(Lower):
    """Adds an entry where Numba adds a wrapper for calls from C."""

    def create_cfunc_wrapper(self):
        context, fndesc = self.context, self.fndesc
        module = context.create_module("entry")
        function = ir.Function(
            module, context.call_conv.get_function_type(fndesc.restype, fndesc.argtypes), fndesc.llvm_func_name
        )
        entry = ir.Function(module, self.entry_type(), fndesc.llvm_cfunc_wrapper_name)
        # Two arguments that the caller has just put on the stack must not be read as one vector: the processor would
        # wait until all its writes before are in the cache.
        entry.attributes.add("noimplicitfloat")
        builder = ir.IRBuilder(entry.append_basic_block("entry"))
        arguments = self.arguments_of(builder, entry)
        _, result = context.call_conv.call_function(builder, function, fndesc.restype, fndesc.argtypes, arguments)
        if entry.ftype.return_type == ir.VoidType():
            builder.ret_void()
        else:
            builder.ret(result)
        self.library.add_ir_module(module)

    def entry_type(self):
        *arguments, returned = map(self.context.get_value_type, (*self.fndesc.argtypes, self.fndesc.restype))
        return ir.FunctionType(ir.VoidType() if self.fndesc.restype == types.none else returned, arguments)

    def arguments_of(self, builder, entry):
        return entry.args


class _LowerKernel(_Lower):
    def entry_type(self):
        return ir.FunctionType(ir.VoidType(), [_I64, _I64, _I64, _I64.as_pointer()])

    def arguments_of(self, builder, entry):
        context, argtypes = self.context, self.fndesc.argtypes
        *team, block = entry.args
        values = [context.make_tuple(builder, argtypes[0], team)]
        place = 0
        for kind in argtypes[1:]:
            address = builder.gep(block, [ir.Constant(_I64, place)])
            values.append(builder.load(builder.bitcast(address, context.get_value_type(kind).as_pointer())))
            place += WORDS_OF_ARRAY + 2 * kind.ndim if isinstance(kind, types.Array) else 1
        return values


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(BaseNativeLowering):
    _name = "native_lowering_with_entry"
    lowering_class = _Lower


@register_pass(mutates_CFG=True, analysis_only=False)
class _LoweringOfKernel(BaseNativeLowering):
    _name = "native_lowering_with_entry_of_kernel"
    lowering_class = _LowerKernel


class PlainCompiler(CompilerBase):
    """Numba's compiler, with a plain entry."""

    lowering = _Lowering

    def define_pipelines(self):
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.passes = [(self.lowering if one is NativeLowering else one, does) for one, does in passes.passes]
        passes.finalize()
        return [passes]


class KernelCompiler(PlainCompiler):
    """Numba's compiler, with the entry of a kernel."""

    lowering = _LoweringOfKernel
