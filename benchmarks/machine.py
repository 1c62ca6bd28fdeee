"""What the machine can do: multiply-adds per second from registers, and bytes per second from memory.

The peak is measured by a Numba intrinsic that keeps independent chains of vector multiply-adds in registers. It does
not load or store, so only the multiply-add units can limit it.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from llvmlite import binding, ir
from numba import get_num_threads, njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

_FEATURES = binding.get_host_cpu_features()
LANES = 16 if _FEATURES.get("avx512f") else 8 if _FEATURES.get("avx2") else 4
"""float32 values of the widest vector register."""
CHAINS = 8 if LANES == 8 else 16
"""Independent sums: more than latency times units (4 x 2 on x86), and few enough to stay in registers."""
UNROLL = 8


@intrinsic
def _multiply_adds(typingctx, rounds, seed):
    """Run `rounds` times UNROLL x CHAINS vector multiply-adds; return the sum of all lanes of one vector."""
    signature = types.float32(types.intp, types.float32)

    def codegen(context, builder, sig, args):
        vector = ir.VectorType(ir.FloatType(), LANES)
        index = ir.IntType(32)
        fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fma.v{LANES}f32"
        )
        count, start = args
        lane0 = builder.insert_element(ir.Constant(vector, ir.Undefined), start, ir.Constant(index, 0))
        zeros = ir.Constant(ir.VectorType(index, LANES), [0] * LANES)
        factor = builder.shuffle_vector(lane0, ir.Constant(vector, ir.Undefined), zeros)
        sums = [cgutils.alloca_once_value(builder, factor) for _ in range(CHAINS)]
        with cgutils.for_range(builder, count):
            for _ in range(UNROLL):
                for chain in sums:
                    # x <- x*s + s stays near s: it neither overflows nor becomes denormal.
                    value = builder.load(chain)
                    builder.store(builder.call(fma, [value, factor, factor]), chain)
        total = builder.load(sums[0])
        for chain in sums[1:]:
            total = builder.fadd(total, builder.load(chain))
        result = builder.extract_element(total, ir.Constant(index, 0))
        for lane in range(1, LANES):
            result = builder.fadd(result, builder.extract_element(total, ir.Constant(index, lane)))
        return result

    return signature, codegen


@njit(cache=True)
def _spin_one(rounds, seed):
    return _multiply_adds(rounds, seed)


@njit(cache=True, parallel=True)
def _spin_all(rounds, seed, out):
    for core in prange(out.size):
        out[core] = _multiply_adds(rounds, seed)


@njit(cache=True, parallel=True, fastmath={"contract"})
def _triad(a, b, c, s):
    for i in prange(a.size):
        a[i] = b[i] + s * c[i]


@njit(cache=True, parallel=True)
def _copy(a, b):
    for i in prange(a.size):
        a[i] = b[i]


def peak_call(threads: int, rounds: int = 40_000) -> tuple[Callable[[], object], int]:
    """Return a function that keeps `threads` cores busy with multiply-adds, and how many of these one call performs."""
    seed = np.float32(1e-4)
    each = rounds * UNROLL * CHAINS * LANES
    if threads == 1:
        return lambda: _spin_one(rounds, seed), each
    out = np.empty(threads, np.float32)
    return lambda: _spin_all(rounds, seed, out), each * threads


def sample_seconds(call: Callable[[], object], trials: int) -> list[float]:
    """Return the seconds of each of `trials` calls, after two warm-up calls."""
    seconds = []
    for trial in range(trials + 2):
        start = time.perf_counter()
        call()
        if trial >= 2:
            seconds.append(time.perf_counter() - start)
    return seconds


def measure(trials: int = 25, mebibytes: int = 128) -> dict[str, float]:
    """Measure peak (GFLOP/s, two per multiply-add) and bandwidth (GB/s that the program accesses), best of many."""
    threads = get_num_threads()
    result: dict[str, float] = {"threads": threads, "lanes": LANES}
    for name, cores in (("peak_one_core_gflops", 1), ("peak_all_cores_gflops", threads)):
        call, count = peak_call(cores)
        result[name] = 2e-9 * count / min(sample_seconds(call, 10 * trials))  # each takes less than a millisecond
    size = mebibytes * 2**20 // 4
    a, b, c = (np.full(size, 0.5, np.float32) for _ in range(3))
    triad = min(sample_seconds(lambda: _triad(a, b, c, np.float32(0.3)), trials))
    copy = min(sample_seconds(lambda: _copy(a, b), trials))
    result["triad_gbytes"] = 1e-9 * 3 * a.nbytes / triad
    result["copy_gbytes"] = 1e-9 * 2 * a.nbytes / copy
    return result


def describe() -> dict[str, object]:
    """Return what identifies the machine in a ledger: processor, cores, memory, system."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        fields = dict(
            (part.strip() for part in line.split(":", 1))
            for line in information.read_text().splitlines()
            if ":" in line
        )
        model = fields.get("model name", model)
        if "cpu family" in fields:
            model += f" (family {fields['cpu family']}, model {fields.get('model', '?')})"
    return {
        "processor": model,
        "llvm_cpu": binding.get_host_cpu_name(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    for key, value in {**describe(), **measure()}.items():
        print(f"{key:24s} {value if isinstance(value, str) else round(value, 1)}")
