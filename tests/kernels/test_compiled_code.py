"""What makes the kernels fast and repeatable, looked at without a clock: instructions, cache, bits."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import cfunc, types

from rot180.kernels import lane_tile, processor, product_tile, tile, walk

AVX2 = "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt,+movbe"

needs_x86 = pytest.mark.skipif(not processor.IS_X86, reason="reads x86 assembly")
needs_avx2 = pytest.mark.skipif(
    not processor.IS_X86 or not {"avx2", "fma"} <= processor.FEATURES, reason="the processor has no AVX2"
)


def inner_loops(function, signature):
    """Give the assembly of every loop without branches inside that multiplies and adds."""
    code = cfunc(signature(types.float32))(function)._library.get_asm_str()
    block, label = [], None
    for line in code.split("\n"):
        if start := re.match(r"(\.LBB\w+):", line):
            block, label = [], start[1]
        block.append(line)
        jump = re.match(r"\s+j\w+\s+(\.LBB\w+)", line)
        if jump and jump[1] == label and any("vfmadd" in instruction for instruction in block):
            yield list(block)


def spills(block):
    """Vector registers that are moved to or from the stack."""
    return [line for line in block if re.search(r"vmov\w+\s.*\(%rsp", line) and re.search(r"%[xyz]mm", line)]


@needs_x86
def test_the_tile_keeps_its_sums_in_registers():
    blocks = list(inner_loops(tile._tile, tile._signature))
    largest = [b for b in blocks if sum("vfmadd" in line for line in b) == tile.TILE_ROWS * tile.TILE_VECTORS]
    assert largest
    assert [spills(block) for block in blocks] == [[]] * len(blocks)


@needs_x86
def test_the_other_register_blocks_do_not_spill():
    for function, signature in (
        (tile._dot_tile, tile._signature),
        (walk._gather, walk._signature),
        (walk._scatter, walk._signature),
        (lane_tile._lane_tile, lane_tile._tile_signature),
        (lane_tile._lane_gather, lane_tile._gather_signature),
        (product_tile._product_tile, product_tile._signature),
    ):
        blocks = list(inner_loops(function, signature))
        assert blocks
        assert [spills(block) for block in blocks] == [[]] * len(blocks)


def in_a_new_process(code, **environment):
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **environment})


SAME_BITS = """
import numpy as np
from rot180 import kernels
from rot180.kernels.launching import use_threads
from rot180.kernels.twin_linear import linear, linear_backward

rng = np.random.default_rng(0)
x = rng.normal(size=(5, 17, 13, 3)).astype(np.float32)
w = rng.normal(size=(3, 3, 3, 37)).astype(np.float32)
flat, wide = (rng.normal(size=s).astype(np.float32) for s in ((33, 70), (70, 45)))
dy = rng.normal(size=(33, 45)).astype(np.float32)
deep = rng.normal(size=(3, 3, 1, 37)).astype(np.float32)
each = {"padding": "same", "groups": 37}

def everything():
    y = kernels.conv2d(x, w, padding="same")
    pooled, winners = kernels.max_pool2d(y, 3, stride=2)
    back = kernels.max_pool2d_backward(pooled, winners, y.shape, 3, stride=2)
    p = np.ones(20_001, np.float32)
    kernels.adam_update(p, np.linspace(-1, 1, p.size, dtype=np.float32), p * 0, p * 0, step=1, lr=0.1)
    loss, probabilities = kernels.cross_entropy(dy, np.arange(33))
    gate = y[:, 0, 0]
    norm, mean, var = kernels.batch_norm(y, gate[0], gate[1])
    gates = kernels.multiply_backward(y, norm, gate)
    slopes = kernels.prelu_backward(y, norm, gate[0])
    arrays = [y, pooled, back, *kernels.conv2d_backward(back, x, w, padding="same"), kernels.tanh(y), p, probabilities,
              kernels.avg_pool2d(y, 2), linear(flat, wide), *linear_backward(dy, flat, wide),
              kernels.conv2d(y, deep[:1, :1].repeat(37, 2)),
              kernels.conv2d(y, deep, **each), *kernels.conv2d_backward(back, y, deep, **each),
              norm, mean, var, *kernels.batch_norm_backward(y, norm, gate[0], mean, var), *gates, *slopes,
              *kernels.group_norm_backward(y, norm, gate[0], 37), *kernels.layer_norm_backward(y, norm, gate[0]),
              kernels.resize2d(y, 7, "bilinear"), kernels.global_avg_pool2d(y), kernels.concatenate(y, norm)]
    return [a.tobytes() for a in arrays], loss

use_threads(1)
first = everything()
for threads in (2, 3, 4):
    use_threads(threads)
    assert everything() == first, f"{threads} threads gave other bits than one"
"""


def test_the_same_bits_for_one_to_four_threads():
    in_a_new_process(SAME_BITS, NUMBA_NUM_THREADS="4")


CACHED = """
import numpy as np
from rot180 import kernels

kernels.relu(np.ones(3, np.float32))
kernels.conv2d(np.ones((1, 4, 4, 1), np.float32), np.ones((3, 3, 1, 20), np.float32))
from rot180.kernels import convolution, elementwise, pack, tile
from rot180.kernels.switch import compiled
assert compiled(tile._tile, tile._signature, np.dtype(np.float32)).cache_hits == 1
for kernel in (elementwise.activate, pack.pack_panels, convolution.convolve):
    assert not kernel.dispatcher.stats.cache_misses, kernel
    assert kernel.dispatcher.stats.cache_hits, kernel
"""


def test_a_second_process_finds_everything_in_the_cache():
    from rot180 import kernels

    kernels.relu(np.ones(3, np.float32))
    kernels.conv2d(np.ones((1, 4, 4, 1), np.float32), np.ones((3, 3, 1, 20), np.float32))
    in_a_new_process(CACHED)


ON_AVX2 = """
import sys
import numpy as np
sys.path.insert(0, FOLDER)
import test_compiled_code as looks
from rot180 import kernels, ops
from rot180.kernels import processor

assert (processor.VECTOR_BYTES, processor.REGISTERS) == (32, 16)
looks.test_the_tile_keeps_its_sums_in_registers()
looks.test_the_other_register_blocks_do_not_spill()
rng = np.random.default_rng(0)
x, w = rng.normal(size=(2, 11, 13, 3)).astype(np.float32), rng.normal(size=(3, 3, 3, 21)).astype(np.float32)
y = ops.conv2d(x, w, padding="same")
def close(a, b):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())
close(kernels.conv2d(x, w, padding="same"), y)
gradients = [room.conv2d_backward(y, x, w, padding="same") for room in (kernels, ops)]
for ours, reference in zip(*gradients):
    close(ours, reference)
close(kernels.tanh(y), np.tanh(y))
pooled, winners = kernels.max_pool2d(y, 2)
assert (pooled == ops.max_pool2d(y, 2)[0]).all() and (winners == ops.max_pool2d(y, 2)[1]).all()
"""


@needs_avx2
def test_the_avx2_path(tmp_path):
    code = ON_AVX2.replace("FOLDER", repr(str(Path(__file__).parent)))
    in_a_new_process(
        code, NUMBA_CPU_NAME="haswell", NUMBA_CPU_FEATURES=AVX2, NUMBA_CACHE_DIR=str(tmp_path), NUMBA_NUM_THREADS="2"
    )
