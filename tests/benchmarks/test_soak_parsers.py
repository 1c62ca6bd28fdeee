"""A short soak of every parser; `benchmarks/soak_parsers.py` does it with any count."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
COUNT = 1000


@pytest.mark.filterwarnings("ignore")  # Pillow's, about damaged images
@pytest.mark.parametrize("parser", ["idx", "csv", "npz", "image", "safetensors", "config", "notation"])
def test_a_thousand_inputs_are_read_or_refused(parser: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    import soak_parsers

    try:
        tally = soak_parsers.soak(parser, COUNT, seed=1, folder=tmp_path)
    finally:
        del sys.modules["soak_parsers"]
    assert tally.faults == []
    assert tally.read + tally.refused == COUNT
    assert tally.read > 20
    assert tally.refused > 200
