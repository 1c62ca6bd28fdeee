"""The short form of `guard_pages.py`, in a process of its own, which a fault may end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pages are protected by a call of Linux")


def test_nothing_outside_an_array_is_read_or_written() -> None:
    script = Path(__file__).with_name("guard_pages.py")
    command = [sys.executable, str(script), "--count", "30"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def test_the_guard_catches_what_it_is_made_for() -> None:
    code = """
import numpy as np
from guarded_memory import GuardedMemory
guarded = GuardedMemory(np.random.default_rng(0))
arrays = [guarded.empty((3,)) for _ in range(20)]
guarded.check()
whole = np.lib.stride_tricks.as_strided
for array in arrays:
    whole(array, (4,))[3] = 1.0
    guarded.check()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True)
    assert done.returncode < 0 or "written behind the end" in done.stderr
