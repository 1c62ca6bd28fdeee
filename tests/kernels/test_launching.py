"""Lists of kernels, the threads that run them, and how a kernel gets its arguments."""

from __future__ import annotations

import subprocess
import sys
from threading import Thread

import numpy as np
import pytest

from rot180.kernels.compiling import kernel
from rot180.kernels.launching import Launch, most_threads, use_threads
from rot180.kernels.team import split


@kernel
def look(team, numbers, a, i, b, f, is_right, found):
    for _ in split(team, 1):
        found[0], found[1], found[2], found[3] = a.shape[0], a.shape[1], a.strides[0], a.strides[1]
        found[4], found[5], found[6], found[7] = b.size, b.itemsize, b.ndim, i
        found[8] = f * 2.0
        found[9] = a[1, 2] + b[0, 1, 0] + numbers[2]
        found[10] = 1.0 if is_right else 0.0


def test_arguments_arrive_as_they_are():
    a, b = np.arange(12, dtype=np.float32).reshape(3, 4), np.array([[[5], [7]]], np.uint8)
    numbers, found = np.array([-1, 0, 100], np.int32), np.zeros(11)
    look(numbers, a, -3, b, 0.25, True, found)
    assert found.tolist() == [3, 4, 16, 4, 2, 1, 3, -3, 0.5, 6 + 7 + 100, 1]
    a.flags.writeable = False  # of the same type
    look(numbers, a, np.int64(9), b, np.float32(1.5), False, found)
    assert found.tolist() == [3, 4, 16, 4, 2, 1, 3, 9, 3, 113, 0]
    assert len(look._addresses) == 1


@pytest.mark.parametrize(("wrong", "said"), [(np.zeros((4, 4))[:, :2], "contiguous"), ("text", "not str")])
def test_what_no_kernel_takes_is_refused(wrong: object, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        look(wrong)


@kernel
def count_units(team, visits, most):
    for unit in split(team, visits.shape[0]):
        visits[unit] += 1
        most[unit] = max(most[unit], team.thread)
    for unit in split(team, visits.shape[0] // 2):
        visits[unit] += visits[visits.shape[0] - 1 - unit]


@pytest.mark.parametrize("units", [0, 1, 2, 3, 7, 64, 1001])
def test_each_unit_is_run_once_and_a_loop_ends_when_all_are_done(units: int) -> None:
    visits, most = np.zeros(units, np.int64), np.zeros(units, np.int64)
    for threads in range(1, most_threads() + 1):
        use_threads(threads)
        for _ in range(200):
            visits[:] = 0
            count_units(visits, most)
            assert visits.tolist() == [2] * (units // 2) + [1] * (units - units // 2)
    assert most.max(initial=0) < most_threads()


@kernel
def add_before(team, x):
    """Each number becomes the sum of itself and the one before, which the kernel before has to have finished."""
    for unit in split(team, x.shape[1]):
        x[1, unit] = x[0, unit] + x[0, unit - 1]


@kernel
def carry(team, x):
    for unit in split(team, x.shape[1]):
        x[0, unit] = x[1, x.shape[1] - 1 - unit] % 1009


def sums(times: int) -> list[int]:
    x = np.zeros((2, 97), np.int64)
    x[0] = np.arange(97)
    launch = Launch([(add_before, (x,)), (carry, (x,))] * 20)
    for _ in range(times):
        launch()
    return x[0].tolist()


def test_a_kernel_is_done_before_the_next_begins() -> None:
    """In several threads at once, too, of which one has helpers."""
    x = np.arange(97)
    for _ in range(50 * 20):
        x = ((x + np.roll(x, 1)) % 1009)[::-1]
    found: list[list[int]] = []
    threads = [Thread(target=lambda: found.append(sums(50))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [x.tolist()] * 3


ENDS = """
import time
import numpy as np
from rot180.kernels.clearing import clear
x = np.ones((1, 40, 4, 4), np.float32)
clear(x)
time.sleep({seconds})
print(x.any())
"""


@pytest.mark.parametrize("seconds", [0, 0.05])
def test_a_process_ends_whether_its_helpers_spin_or_sleep(seconds: float) -> None:
    code = ENDS.format(seconds=seconds)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")
