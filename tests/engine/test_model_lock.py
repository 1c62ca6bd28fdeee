"""Threads that share a model, models in several threads, and processes forked from one that ran kernels."""

from __future__ import annotations

import os
import subprocess
import sys
from threading import Thread

import numpy as np
import pytest

from rot180.engine import make_engine
from rot180.nn import network
from rot180.nn.loss import CrossEntropyLoss
from rot180.training import SGD

TEXT = "12x12x3 > conv3x3:20:same relu maxpool2 > conv3x3:16:same relu > fc10"


def in_threads(*work: Thread) -> None:
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()


def test_threads_that_share_an_engine_get_what_one_alone_gets() -> None:
    engine = make_engine("compiled", network(TEXT).build(seed=0), CrossEntropyLoss())
    batches = [np.random.default_rng(i).normal(size=(9, 12, 12, 3)).astype(np.float32) for i in range(4)]
    alone = [engine.forward(images) for images in batches]
    wrong: list[int] = []

    def run(index: int) -> None:
        wrong.extend(index for _ in range(60) if not np.array_equal(engine.forward(batches[index]), alone[index]))

    in_threads(*(Thread(target=run, args=(index,)) for index in range(4)))
    assert not wrong


def test_no_update_is_lost_to_another_engine_of_the_same_model() -> None:
    def train(model: object, steps: int) -> None:
        engine, rng = make_engine("compiled", model, CrossEntropyLoss()), np.random.default_rng(0)  # type: ignore[arg-type]
        optimizer = SGD(lr=0.01, momentum=0.9)
        for _ in range(steps):
            engine.train_step(rng.normal(size=(4, 12, 12, 3)).astype(np.float32), np.arange(4), optimizer)

    watched, alone = network(TEXT).build(seed=0), network(TEXT).build(seed=0)
    images = np.zeros((2, 12, 12, 3), np.float32)
    train(alone, 30)
    training = Thread(target=train, args=(watched, 30))
    training.start()
    while training.is_alive():
        make_engine("compiled", watched, CrossEntropyLoss()).forward(images)
    training.join()
    assert all(np.array_equal(w, alone.parameters[name]) for name, w in watched.parameters.items())


def run_python(source: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120)


PREPARED = """
import os, sys
from threading import Thread
import numpy as np, rot180
model = rot180.network("8x8x1 > conv3x3:8 relu > fc10").build(seed=0)
images = np.zeros((4, 8, 8, 1), np.float32)
"""


def test_two_models_in_two_threads() -> None:
    source = """
other = rot180.network("8x8x1 > conv3x3:8 relu > fc10").build(seed=1)
work = [Thread(target=lambda m=m: [rot180.predict(m, images) for _ in range(100)]) for m in (model, other)]
[t.start() for t in work]
[t.join() for t in work]
print("alive")
"""
    done = run_python(PREPARED + source)
    assert done.stdout == "alive\n", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_goes_on() -> None:
    source = """
before = rot180.predict(model, images)
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(np.array_equal(rot180.predict(model, images), before), flush=True)
os._exit(3)
"""
    done = run_python("import warnings; warnings.simplefilter('ignore')\n" + PREPARED + source)
    assert (done.returncode, done.stdout) == (3, "True\n"), done.stderr
