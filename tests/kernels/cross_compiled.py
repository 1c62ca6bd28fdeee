"""The register blocks, compiled for processors that are not here: cross_compiled.py FEATURES TRIPLE/CPU...

Emits the largest blocks of every kind as the kernels do, optimizes them as Numba does, and prints, as JSON, the size of
the registers and for each block how many vectors its inner loops multiply, and the instructions with which they visit
the stack. A tile with too many sums is among them. The shapes of the blocks follow from the features when they are
imported, so each family of processors takes a process of its own.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module

import llvmlite.binding as llvm
from assembly import inner_loops, products, stack_visits
from llvmlite import ir

OPERANDS = {
    "tile": ["aaannN", "aaannN"],
    "product_tile": ["aaaaaaannnaN"],
    "pool_tile": ["aaaabnnnN", "aaaabnnnN"],
    "winner_tile": ["aabNannN", "aabNannN"],
    "frame_tile": ["aaabNnN"],
    "walk": ["ananoan", "ananoan"],
    "lane_tile": ["aaaaaaNnnnn", "aaannN"],
    "winograd_transforms": ["aaaaaannnnN"],
    "winograd_in_place": ["aann", "aaaaaannn"],
}
"""What the blocks of a module are called with: addresses of floats, numbers, addresses of numbers, offsets, bytes."""


def all_blocks(features: str, triple: str, cpu: str):
    """Yield (module, emit, operands, sizes) for all kinds of blocks, in the shapes for a processor."""
    os.environ["NUMBA_CPU_NAME"], os.environ["NUMBA_CPU_FEATURES"] = cpu, features
    this_process, llvm.get_process_triple = llvm.get_process_triple, lambda: triple
    import_module("rot180.kernels.processor")
    llvm.get_process_triple = this_process
    from rot180.kernels import switch

    switched, kinds = switch.switched, []
    switch.switched = lambda emit, sizes: kinds.append((emit, sizes)) or switched(emit, sizes)
    for name, operands in OPERANDS.items():
        kinds.clear()
        module = import_module(f"rot180.kernels.{name}")
        for (emit, sizes), kind in zip(kinds, operands, strict=True):
            if name == "winograd_transforms":  # the loops of outputs have branches inside
                yield name, emit, kind, [(taps, what) for taps, what in sizes if what < module.BIAS]
            elif emit.__name__ == "_emit_run":
                yield "transforms of runs", emit, kind, sizes
            else:
                yield name, emit, kind, [(r, c) for r, c in sizes if not {(r + 1, c), (r, c + 1)} & {*sizes}]
            if emit.__name__ == "_emit_tile" and name == "tile":
                yield "too many sums", emit, kind, [(2 * module.TILE_ROWS, module.TILE_VECTORS)]


def text_of(emit, size, operands):
    """Return a module with one block as a function."""
    from numba.core.types import float32

    number = ir.IntType(64)
    kinds = {"a": ir.FloatType().as_pointer(), "n": number, "N": number.as_pointer()}
    kinds |= {"o": ir.IntType(32).as_pointer(), "b": ir.IntType(8).as_pointer()}
    module = ir.Module("block")
    signature = ir.FunctionType(ir.VoidType(), [kinds[one] for one in operands])
    function = ir.Function(module, signature, "block")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    emit(builder, *size, function.args, float32)
    builder.ret_void()
    return str(module)


def assembly_of(text, machine):
    """Return the assembly of a module, optimized as Numba does."""
    module = llvm.parse_assembly(text)
    module.data_layout = str(machine.target_data)
    for level in (0, 3):
        options = llvm.PipelineTuningOptions(speed_level=level)
        options.loop_vectorization, options.slp_vectorization, options.loop_unrolling = bool(level), False, True
        passes = llvm.create_pass_builder(machine, options)
        manager = passes.getModulePassManager()
        if level == 0:
            manager.add_loop_rotate_pass()
            manager.add_instruction_combine_pass()
            manager.add_jump_threading_pass()
        manager.run(module, passes)
    return machine.emit_assembly(module)


def main(features: str, *targets: str) -> None:
    """Print what the loops of all blocks do."""
    blocks = list(all_blocks(features, *targets[0].split("/")))
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    measured = []
    for target in targets:
        triple, cpu = target.split("/")
        machine = llvm.Target.from_triple(triple).create_target_machine(
            cpu=cpu, features=features, opt=3, reloc="default", codemodel="jitdefault", jit=True
        )
        for name, emit, operands, sizes in blocks:
            for size in sizes:
                loops = list(inner_loops(assembly_of(text_of(emit, size, operands), machine)))
                visits = [line.strip() for loop in loops for line in stack_visits(loop)]
                measured.append((target, name, size, max(map(products, loops), default=0), visits))
    from rot180.kernels.processor import REGISTERS

    print(json.dumps({"bytes": REGISTERS.bytes, "registers": REGISTERS.number, "blocks": measured}))


if __name__ == "__main__":
    main(*sys.argv[1:])
