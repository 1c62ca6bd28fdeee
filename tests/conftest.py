"""What the tests share: where MNIST may be found, and that the program speaks English."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

os.environ["LANGUAGE"] = "en"  # whatever the developer's own; programs that the tests start inherit it

FIRST = [
    # Nearly all kernels are compiled here; started together, two processes seldom compile the same ones.
    "test_twin_conv2d.py",
    "test_twin_deep.py",
    "test_winograd.py",
    "test_winograd_weights.py",
    "test_twin_parity.py",
    # A few long tests: begun at the end, one process would run them alone.
    "test_readme.py",
    "test_compiled_code.py",
    "test_kill_resume.py",
    "test_tune.py",
    "test_memory_bounds.py",
    "test_data_command.py",
    "test_doctests.py",
    "test_browser.py",
    "test_mpi.py",
    "test_limits.py",
]
"""The files that run first."""

MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the first files first; the order within a file stays."""
    ranks = {name: rank for rank, name in enumerate(FIRST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(FIRST)))


def pytest_runtest_teardown() -> None:
    """Forget what number of threads the test has chosen."""
    if (threads := sys.modules.get("rot180.engine.threads")) is not None:
        threads.set_threads(None)


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """The folder with the four IDX files; the test is skipped where it is missing."""
    if not (MNIST / "train-images-idx3-ubyte.gz").exists():
        pytest.skip(f"needs the MNIST IDX files in {MNIST}")
    return MNIST


@pytest.fixture
def brief_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ways to convolve are timed for a moment only: which of them is the fastest on this machine does not matter."""
    monkeypatch.setattr("rot180.inside.comparison.BUDGET", 0.002)
