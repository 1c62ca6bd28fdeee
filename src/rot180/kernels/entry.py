"""The entry of a compiled kernel: a C function that takes its arguments from a block of memory.

    void entry(thread, threads, barrier, block)

All entries have the same signature, so one compiled loop can run any list of kernels, without Python in between. In the
block, an array is the structure that Numba passes arrays in, and a number a word of its own; so an entry only loads
them and calls the kernel. It takes the place of Numba's wrapper for calls from Python, which takes longer to compile.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import BaseNativeLowering, NativeLowering
from numba.np.numpy_support import from_dtype

from rot180.ops.types import Array

_I64 = ir.IntType(64)
_WORDS_OF_ARRAY = 5
"""Two addresses of its owner, size, bytes of an element, and its address; shape and strides follow."""

_numba_type = cache(from_dtype)


def type_of(value: Any) -> types.Type:
    """Return the type that a kernel is compiled for to take this value: one for all arrays of an element type and rank.

    Raises
    ------
    TypeError
        An array is not contiguous, or it is no array or number.
    """
    if isinstance(value, np.ndarray):
        if not value.flags.c_contiguous:
            raise TypeError(f"kernels take contiguous arrays; one has the shape {value.shape} and {value.strides}")
        return types.Array(_numba_type(value.dtype), value.ndim, "C")
    if isinstance(value, (bool, int, np.bool_, np.integer)):
        return types.int64
    if isinstance(value, (float, np.floating)):
        return types.float64
    raise TypeError(f"kernels take arrays and numbers, not {type(value).__name__}")


def words_of(value: Any) -> list[int]:
    """Return what stands for a value in a block."""
    if isinstance(value, np.ndarray):
        return [0, 0, value.size, value.itemsize, value.ctypes.data, *value.shape, *value.strides]
    if isinstance(value, (float, np.floating)):
        return [int(np.float64(value).view(np.int64))]
    return [int(value)]


def block_of(values: tuple[Any, ...]) -> Array:
    """Return the block of a kernel's arguments; it holds addresses of the arrays, which must be kept."""
    return np.array([word for value in values for word in words_of(value)], np.int64)


class _Lower(Lower):
    """Adds the entry where Numba adds a wrapper for calls from C."""

    def create_cfunc_wrapper(self):
        context, fndesc = self.context, self.fndesc
        module = context.create_module("entry")
        kernel = ir.Function(
            module, context.call_conv.get_function_type(fndesc.restype, fndesc.argtypes), fndesc.llvm_func_name
        )
        signature = ir.FunctionType(ir.VoidType(), [_I64, _I64, _I64, _I64.as_pointer()])
        entry = ir.Function(module, signature, fndesc.llvm_cfunc_wrapper_name)
        builder = ir.IRBuilder(entry.append_basic_block("entry"))
        *team, block = entry.args
        values = [context.make_tuple(builder, fndesc.argtypes[0], team)]
        place = 0
        for kind in fndesc.argtypes[1:]:
            address = builder.gep(block, [ir.Constant(_I64, place)])
            values.append(builder.load(builder.bitcast(address, context.get_value_type(kind).as_pointer())))
            place += _WORDS_OF_ARRAY + 2 * kind.ndim if isinstance(kind, types.Array) else 1
        context.call_conv.call_function(builder, kernel, fndesc.restype, fndesc.argtypes, values)
        builder.ret_void()
        self.library.add_ir_module(module)


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(BaseNativeLowering):
    _name = "native_lowering_with_entry"

    @property
    def lowering_class(self):
        return _Lower


class Compiler(CompilerBase):
    """Numba's compiler, with our entry."""

    def define_pipelines(self):
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.passes = [(_Lowering if one is NativeLowering else one, does) for one, does in passes.passes]
        passes.finalize()
        return [passes]
