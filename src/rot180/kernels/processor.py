"""The processor's vectors, and the shapes of the register blocks that follow from them.

Numba compiles for the host, or for the processor named in NUMBA_CPU_NAME and NUMBA_CPU_FEATURES; the same two variables
decide here, so an AVX2 build can be made and tested on an AVX-512 machine.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import NamedTuple

import llvmlite.binding as llvm


def _features() -> str:
    given = os.environ.get("NUMBA_CPU_FEATURES")
    if given is not None:
        return given
    found = llvm.get_host_cpu_features()
    # Numba does without AVX on processors that are slower with it, of which none has AVX2, and where it is told to.
    if found.get("avx", False) and (not found.get("avx2", False) or "NUMBA_ENABLE_AVX" in os.environ):
        return str(import_module("numba.core.codegen").get_host_cpu_features())
    return str(found.flatten())


_FEATURES = _features()
FEATURES = {word[1:] for word in _FEATURES.split(",") if word.startswith("+")}
TARGET = " ".join([llvm.get_process_triple(), os.environ.get("NUMBA_CPU_NAME") or llvm.get_host_cpu_name(), _FEATURES])
"""What code is compiled for, all of it: code for another one may not run here."""
MACHINE = TARGET.split("-")[0]
IS_X86 = MACHINE in {"x86_64", "i386", "i686"}
IS_ARM = MACHINE in {"aarch64", "arm64"}
HAS_FMA = not IS_X86 or not FEATURES.isdisjoint({"fma", "fma4", "avx512f"})
"""Whether one instruction multiplies and adds, rounding once: without it, that would take a call for each number."""

HAS_MASKS = IS_X86 and "avx" in FEATURES
"""Whether one instruction reads or writes some lanes of a register: without it, each lane takes a test and a branch."""


class Registers(NamedTuple):
    """What vector registers there are, and what the blocks of each kind hold in them.

    With one sum too many, sums spill to memory, and the speed falls to a third; tests look for spills on all of these.
    """

    bytes: int
    number: int
    tile: tuple[int, int]
    """Rows, and registers of columns. Besides these sums, a tile needs the columns of one operand and one or two
    registers for the other."""
    dot: tuple[int, int]
    """Rows and columns of a dot tile."""
    held: int
    """Registers of a block that is held while places in memory are visited."""


def _registers() -> Registers:
    if not IS_X86:
        # NEON. A multiply-add takes both factors from registers, and one of them may be an element: four columns of
        # 6 rows need fewer loads, 10 for 24 multiply-adds, than two of 12, and some cores load once in a cycle.
        return Registers(16, 32, tile=(6, 4), dot=(4, 5), held=26)
    if "avx512f" in FEATURES:
        return Registers(64, 32, tile=(14, 2), dot=(4, 6), held=28)
    # Without fused multiply-adds, a product takes a register on its way to the sum.
    held = 12 if HAS_FMA else 11
    return Registers(32 if "avx" in FEATURES else 16, 16, tile=(6, 2), dot=(3, 3), held=held)


REGISTERS = _registers()
VECTOR_BYTES = REGISTERS.bytes
TILE_ROWS, TILE_VECTORS = REGISTERS.tile
