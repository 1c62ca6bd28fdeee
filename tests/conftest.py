"""What the tests share: where MNIST may be found, and that the program speaks English."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ["LANGUAGE"] = "en"  # whatever the developer's own; programs that the tests start inherit it

MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist"


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """The folder with the four IDX files; the test is skipped where it is missing."""
    if not (MNIST / "train-images-idx3-ubyte.gz").exists():
        pytest.skip(f"needs the MNIST IDX files in {MNIST}")
    return MNIST
