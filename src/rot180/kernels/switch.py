"""One compiled function for every size of a register block, behind a switch, called by address.

A block of `rows` x `columns` registers must be known to the compiler, but which one is needed is only known at runtime.
So one function contains the code for all of them, compiled once per float type. Kernels call it by its address and need
not compile it again. An address is valid only in its process and is never stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import local
from typing import Any

import numpy as np
from llvmlite import ir

from rot180.kernels.compiling import Callback
from rot180.kernels.deferred import cgutils, intrinsic, types
from rot180.kernels.entry import Types

_I64 = ir.IntType(64)
_NOTHING = ir.FunctionType(ir.VoidType(), [])

Emit = Callable[..., None]


def switched(emit: Emit, sizes: list[tuple[int, int]]) -> Any:
    """Return an intrinsic f(rows, columns, *operands): which runs `emit(builder, rows, columns, operands, dtype)`.

    `dtype` is the float type of the first operand, an address. A size that is not among `sizes` ends the process:
    going on would mean wrong numbers.
    """
    most = max(columns for _, columns in sizes) + 1

    @intrinsic
    def body(typingctx, rows, columns, operands):
        signature = types.void(rows, columns, operands)

        def codegen(context, builder, sig, args):
            rows, columns, packed = args
            values = [builder.extract_value(packed, i) for i in range(len(sig.args[2].types))]
            dtype = sig.args[2].types[0].dtype
            end, missing = builder.append_basic_block("end"), builder.append_basic_block("missing")
            switch = builder.switch(builder.add(builder.mul(rows, ir.Constant(_I64, most)), columns), missing)
            builder.position_at_end(missing)
            builder.call(cgutils.get_or_insert_function(builder.module, _NOTHING, "llvm.trap"), [])
            builder.unreachable()
            for r, q in sizes:
                block = builder.append_basic_block(f"block_{r}x{q}")
                switch.add_case(ir.Constant(_I64, r * most + q), block)
                builder.position_at_end(block)
                emit(builder, r, q, values, dtype)
                builder.branch(end)
            builder.position_at_end(end)
            return context.get_dummy_value()

        return signature, codegen

    return body


class _Noting(local):
    tasks: list[tuple[Callback, Types]] | None = None


_noting = _Noting()


@contextmanager
def noting_callbacks() -> Iterator[list[tuple[Callback, Types]]]:
    """Only note, in the list, which callbacks the calling thread asks for; their addresses are 0."""
    noted: list[tuple[Callback, Types]] = []
    before, _noting.tasks = _noting.tasks, noted
    try:
        yield noted
    finally:
        _noting.tasks = before


def address_of(function: Callback, dtype: Any) -> int:
    """Return the address of a callback for float32 or float64."""
    spelled = (np.dtype(dtype).str[1:],)
    if _noting.tasks is not None:
        _noting.tasks.append((function, spelled))
        return 0
    return function.address(spelled)


def emit_call(builder, address, values):
    """Call the function at `address`, which returns nothing."""
    kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
    builder.call(builder.inttoptr(address, kind.as_pointer()), values)
