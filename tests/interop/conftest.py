"""Checkpoints for the tests of readers."""

from __future__ import annotations

from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def torch_files(monkeypatch):
    """The module that writes checkpoints as PyTorch does."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    import torch_files

    return torch_files
