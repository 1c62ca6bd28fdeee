"""The processor's vectors: their width and the number of registers.

Numba compiles for the host, or for the processor named in NUMBA_CPU_NAME and NUMBA_CPU_FEATURES; the same two variables
decide here, so an AVX2 build can be made and tested on an AVX-512 machine.
"""

from __future__ import annotations

import platform

import llvmlite.binding as llvm
from numba.core import config


def _features() -> set[str]:
    if config.CPU_FEATURES is not None:
        return {word[1:] for word in config.CPU_FEATURES.split(",") if word.startswith("+")}
    return {name for name, present in llvm.get_host_cpu_features().items() if present}


FEATURES = _features()
IS_X86 = platform.machine().lower() in {"x86_64", "amd64", "i386", "i686"}

if not IS_X86:  # NEON: 32 registers of 4 floats
    VECTOR_BYTES, REGISTERS = 16, 32
elif "avx512f" in FEATURES:
    VECTOR_BYTES, REGISTERS = 64, 32
elif "avx2" in FEATURES and "fma" in FEATURES:
    VECTOR_BYTES, REGISTERS = 32, 16
else:
    VECTOR_BYTES, REGISTERS = 16, 16

# A tile keeps TILE_ROWS * TILE_VECTORS sums in registers, and needs TILE_VECTORS more for one operand and one or two
# for the other. 14 x 2 leaves two of 32 free; with more, sums spill to memory, and the speed falls to a third.
TILE_VECTORS = 2
TILE_ROWS = (REGISTERS - 4) // TILE_VECTORS
