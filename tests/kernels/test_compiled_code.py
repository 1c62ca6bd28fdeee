"""What makes the kernels fast and repeatable, looked at without a clock: instructions, cache, bits."""

import os
import re
import subprocess
import sys

import pytest
from assembly import inner_loops, products, stack_visits
from numba import cfunc, njit, types

from rot180.kernels import tile, winograd_transforms
from rot180.kernels.numba_entry import PlainCompiler


def test_the_tile_keeps_its_sums_in_registers():
    """As Numba compiles it for this processor; `test_spills` looks at all blocks, for others."""
    code = cfunc(tile._signature(types.float32))(tile._tile.function)._library.get_asm_str()
    blocks = list(inner_loops(code))
    assert max(map(products, blocks)) >= tile.TILE_ROWS * tile.TILE_VECTORS
    assert [stack_visits(block) for block in blocks] == [[]] * len(blocks)


@pytest.mark.parametrize("callback", [tile._tile, winograd_transforms._transform], ids=repr)
def test_an_entry_passes_arguments_on_one_by_one(callback):
    """Read as a vector, two that were just put on the stack wait for all writes before: 50 cycles in each tile."""
    signature = callback.signature(("f4",))
    function = njit(signature, pipeline_class=PlainCompiler, no_cpython_wrapper=True)(callback.function)
    (compiled,) = function.overloads.values()
    name, code = compiled.fndesc.llvm_cfunc_wrapper_name, compiled.library.get_asm_str()
    entry = code[code.index(f"{name}:") :]
    entry = entry[: re.search(r"\bretq?\b", entry).end()]
    assert "call" in entry or "bl" in entry
    assert not re.search(r"[xyz]mm\d|\bq\d", entry)


def in_a_new_process(code, **environment):
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **environment})


SAME_BITS = """
from threading import Thread
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

found = []
callers = [Thread(target=lambda: found.extend(everything() for _ in range(3))) for _ in range(3)]
for caller in callers:
    caller.start()
for caller in callers:
    caller.join()
assert len(found) == 9
assert all(one == first for one in found), "called at the same time, kernels gave other bits"
"""


def test_the_same_bits_for_one_to_four_threads_and_for_callers_at_the_same_time():
    in_a_new_process(SAME_BITS, NUMBA_NUM_THREADS="4")


CACHED = """
import sys
import numpy as np
import rot180
from rot180 import kernels

kernels.conv2d(np.ones((1, 4, 4, 1), np.float32), np.ones((3, 3, 1, 20), np.float32))
model = rot180.model("lenet5").build(seed=0)
rot180.Trainer(model, optimizer="adam").step(np.ones((8, 28, 28, 1), np.float32), np.arange(8))
rot180.predict(model, np.ones((8, 28, 28, 1), np.float32))
print("numba" in sys.modules)
"""


def test_what_is_compiled_once_later_processes_load_without_numba():
    run = [sys.executable, "-c", CACHED]
    subprocess.run(run, check=True)
    assert subprocess.run(run, check=True, capture_output=True, text=True).stdout == "False\n"
