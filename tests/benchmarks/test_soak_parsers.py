"""A short soak of every reader; `benchmarks/soak_parsers.py` does it with any count."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("pyfive")

FOLDER = Path(__file__).parents[2] / "benchmarks"
TABLES = ["idx", "csv", "listing", "npy", "npz", "parquet", "cifar"]
IMAGES = ["png", "jpeg", "gif", "bmp", "webp", "tiff", "ppm"]
WEIGHTS = ["torch", "torch-old", "foreign-safetensors", "hub-config"]
GRAPHS = ["onnx", "onnx-nodes"]
KERAS = ["keras", "keras-h5", "keras-weights", "keras-config"]
READERS = [*TABLES, *IMAGES, "safetensors", "config", "history", "state", "notation", *WEIGHTS, *GRAPHS, *KERAS]
COUNT = 10_000 // len(READERS) + 1


@pytest.mark.filterwarnings("ignore")  # Pillow's, about damaged images
@pytest.mark.parametrize("reader", READERS)
def test_inputs_are_read_or_refused(reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    import soak_parsers

    try:
        tally = soak_parsers.soak(reader, COUNT, seed=1, folder=tmp_path)
    finally:
        del sys.modules["soak_parsers"], sys.modules["soak_inputs"]
    assert tally.faults == []
    assert tally.read + tally.refused == COUNT
    assert tally.read > 2
    assert tally.refused > COUNT // 5
