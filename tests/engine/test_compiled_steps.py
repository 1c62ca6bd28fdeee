"""What keeps the compiled engine fast and repeatable, looked at without a clock: bits, allocations, cache."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from agreement import batches, built

from rot180.engine import make_engine
from rot180.engine.compiled import KEPT_PLANS
from rot180.nn.loss import CrossEntropyLoss
from rot180.training import SGD, Adam, RMSprop

# Every kind of stage: dense, folded, strided and pooled convolutions, pools, activations, noise, fully connected.
EVERYTHING = (
    "14x13x3 > conv3x3:20:same leakyrelu > conv3x3:8:same relu maxpool2 > conv3x3:33:same relu > conv3x3:6:s2 sigmoid"
    " > avgpool2 noisyrelu dropout0.3 > fc40 relu fc7"
)

SAME_BITS = """
import sys
import numpy as np
import rot180
from rot180.engine import make_engine
from rot180.nn.loss import CrossEntropyLoss

def run(threads):
    rot180.set_threads(threads)
    model = rot180.network(sys.argv[1]).build(seed=0)
    engine, optimizer = make_engine("compiled", model, CrossEntropyLoss()), rot180.Adam()
    rng, found = np.random.default_rng(0), []
    for count in (19, 1, 19, 8):
        images = rng.normal(size=(count, *model.input_shape)).astype(np.float32)
        found += engine.train_step(images, rng.integers(0, 7, count), optimizer, rng, update=count != 1)[:2]
    found.append(engine.forward(images).tobytes())
    return found + [w.tobytes() for w in model.parameters.values()]

alone = run(1)
for threads in (2, 3, 4):
    assert run(threads) == alone, f"{threads} threads gave other bits than one"
"""

NOTHING_COMPILED = """
import sys
import numba.core.event as event

class Passes(event.Listener):
    count = 0
    def on_start(self, event):
        self.count += 1
    def on_end(self, event):
        pass

passes = Passes()
event.register("numba:run_pass", passes)

import numpy as np
import rot180

for text in sys.argv[1:]:
    model = rot180.network(text)
    trainer = rot180.Trainer(model, optimizer="adam")
    images = np.zeros((5, *model.input_shape), np.uint8)
    trainer.step(images, np.arange(5))
    rot180.predict(model, images)
print(passes.count)
"""


def in_a_new_process(code: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=True,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


def test_one_to_four_threads_give_the_same_bits() -> None:
    in_a_new_process(SAME_BITS, EVERYTHING, NUMBA_NUM_THREADS="4")


def test_a_second_process_compiles_nothing_for_networks_of_the_same_kinds() -> None:
    first = "9x9x1 > conv3x3:16:same relu maxpool2 > conv3x3:8:same relu > fc20 relu > fc10"
    another = "12x12x3 > conv5x5:40:same relu maxpool3 > conv2x2:32:same relu > fc64 relu > fc17 relu > fc10"
    in_a_new_process(NOTHING_COMPILED, first)
    assert in_a_new_process(NOTHING_COMPILED, first, another) == "0\n"


def growth(work: Callable[[], object]) -> tuple[int, int]:
    """Bytes that are there after the work and were not before it, and the most there were meanwhile."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        work()
        after, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return after - before, most - before


@pytest.mark.parametrize("optimizer", [Adam(), SGD(lr=0.1, momentum=0.9), RMSprop()], ids=lambda one: one.rule)
@pytest.mark.parametrize("update", [True, False])
@pytest.mark.parametrize("soft", [True, False])
def test_a_step_allocates_no_arrays(optimizer: Adam | SGD | RMSprop, update: bool, soft: bool) -> None:
    model = built(EVERYTHING, np.float32)
    engine = make_engine("compiled", model, CrossEntropyLoss())
    generator = np.random.default_rng(0)
    ((images, labels),) = batches(model, [32])
    target = np.eye(model.output_shape[0], dtype=np.float32)[labels] if soft else labels

    def steps() -> None:
        for _ in range(10):
            engine.train_step(images, target, optimizer, generator, update=update)

    steps()
    left, most = growth(steps)
    # The smallest feature map of this network has 5 kB, the input 70 kB. Python's own objects come and go.
    assert left < 4_000
    assert most < 16_000


def test_inference_allocates_nothing_but_the_outputs() -> None:
    model = built(EVERYTHING, np.float32)
    engine = make_engine("compiled", model, CrossEntropyLoss())
    ((images, _),) = batches(model, [32])

    def passes() -> None:
        for _ in range(10):
            engine.forward(images)

    passes()
    left, most = growth(passes)
    assert left < 4_000
    assert most < 16_000


def test_buffers_of_batch_sizes_that_no_longer_come_are_let_go() -> None:
    model = built("6x6x2 > conv3x3:8 relu > fc5", np.float32)
    engine = make_engine("compiled", model, CrossEntropyLoss())

    def sizes() -> None:
        for count in range(1, 40):
            engine.forward(np.zeros((count, 6, 6, 2), np.float32))

    sizes()
    left, most = growth(sizes)
    one = engine.plan(40)
    assert most < (KEPT_PLANS + 2) * sum({id(a): a.nbytes for step in one.forward for a in step.arrays}.values())
    assert left < most
