"""A short form of benchmarks/random_geometries.py, and what it notices."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from rot180 import kernels, ops


@pytest.fixture
def geometries(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("random_geometries")


def test_drawn_geometries(geometries: ModuleType) -> None:
    assert not [line for seed in range(5000, 5012) for line in geometries.wrong(seed)]


def test_what_is_drawn(geometries: ModuleType) -> None:
    drawn = [geometries.drawn(seed) for seed in range(200)]
    filtered = [how for _, kernel, how in drawn if kernel[:2] == (3, 3) and how["stride"] == (1, 1)]
    assert len(filtered) > 30
    assert {how["groups"] for _, _, how in drawn} > {1, 2, 3, 16, 33}
    assert {images for (images, *_), _, _ in drawn} == {0, 1, 2, 3, 4}
    assert {how["padding"] if isinstance(how["padding"], str) else "sides" for _, _, how in drawn} == {
        "same",
        "valid",
        "sides",
    }


def test_differences_are_noticed(geometries: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = next(seed for seed in range(100) if geometries.drawn(seed)[0][0] == 4)
    assert not list(geometries.wrong(seed))
    convolve, scale = kernels.conv2d, iter(np.linspace(1.01, 1.1, 1000, dtype=np.float32))
    monkeypatch.setattr(kernels, "conv2d", lambda *of, **how: convolve(*of, **how) * next(scale))
    found = "\n".join(geometries.wrong(seed))
    assert "rot180.kernels, float32, auto: y is off by" in found
    assert "rot180.kernels, float64, auto: other bits with 1 threads" in found
    monkeypatch.undo()
    backward = ops.conv2d_backward
    monkeypatch.setattr(
        ops,
        "conv2d_backward",
        lambda *of, algorithm, **how: backward(*of, algorithm=algorithm, **how)[:: -1 if algorithm == "im2col" else 1],
    )
    assert any(line.startswith("rot180.ops, float64, im2col: dx") for line in geometries.wrong(seed))
