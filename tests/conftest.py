"""What the tests share: where MNIST may be found."""

from __future__ import annotations

from pathlib import Path

import pytest

MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist"


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """The folder with the four IDX files; the test is skipped where it is missing."""
    if not (MNIST / "train-images-idx3-ubyte.gz").exists():
        pytest.skip(f"needs the MNIST IDX files in {MNIST}")
    return MNIST
