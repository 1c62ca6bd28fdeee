"""Pixels of unusual ranges, and numbers that are not finite, on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rot180 as package

Call = Callable[..., Any]
DIGITS = package.load_data("digits")


def write(path: Path, high: float, dtype: Any) -> Path:
    np.savez(path, **{
        f"{axis}_{part}": values
        for part in ("train", "test")
        for axis, values in (
            ("x", np.rint(getattr(DIGITS, f"{part}_images")[:200] / 255 * high).astype(dtype)),
            ("y", getattr(DIGITS, f"{part}_labels")[:200]),
        )
    })  # fmt: skip
    return path


@pytest.mark.parametrize(
    ("high", "dtype", "said"),
    [
        (16, np.int64, "rot180: a: pixels are integers from 0 to 16: 16 is taken as white\n"),
        (255, float, "rot180: a: pixels are floats from 0 to 255: 255 is taken as white\n"),
        (1, np.uint8, "rot180: a: pixels are integers from 0 to 1: 1 is taken as white\n"),
        (255, np.uint8, ""),
        (1, float, ""),
    ],
)
def test_an_unusual_range_is_said_and_used(
    rot180: Call, quick: list[str], tmp_path: Path, high: int, dtype: Any, said: str
) -> None:
    data = write(tmp_path / "a.npz", high, dtype)
    trained = rot180(
        "train",
        data,
        *quick,
        "--epochs",
        8,
        "--lr",
        0.02,
        "--batch-size",
        8,
        "--out",
        tmp_path / "run",
        "--no-pictures",
        "--json",
    )
    assert trained.status == 0
    assert trained.err == said
    assert trained.json["test_accuracy"] > 0.5
    assert rot180("evaluate", tmp_path / "run", "--json").json["accuracy"] == trained.json["test_accuracy"]
    # the bundled digits are 0 to 255, which is converted
    assert rot180("evaluate", tmp_path / "run", "digits", "--json").json["accuracy"] > 0.5


def test_data_in_another_range_is_refused(rot180: Call, trained: Path, tmp_path: Path) -> None:
    said = rot180("evaluate", trained, write(tmp_path / "a.npz", 16, np.uint8))
    assert said.status == 2
    assert "the model was trained on integers from 0 to 255; these are uint8 from 0 to 16" in said.err


def test_infinite_weights_fail_the_run_in_one_line(rot180: Call, quick: list[str], tmp_path: Path) -> None:
    for more in ([], ["--validation", 0.1]):
        run = tmp_path / f"run{len(more)}"
        said = rot180("train", *quick, "--optimizer", "sgd", "--lr", "1e30", "--out", run, *more)
        assert said.status == 2
        assert said.err.count("\n") == 1
        assert "lower" in said.err
        assert "failed" in (run / "history.jsonl").read_text()
