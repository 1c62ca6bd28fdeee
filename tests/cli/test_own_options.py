"""What a run was told about its data goes for the commands that read the data again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

QUICK = ("--model", "4x4x1 > fc2", "--epochs", 1, "--no-pictures")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    rows = [[k % 5, *generator.integers(0, 256, 16), "ab"[k % 2]] for k in range(20)]
    path = tmp_path / "a.csv"
    header = ",".join(["label", *(f"p{k}" for k in range(16)), "kind"])
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]))
    return path


def test_the_label_column_is_kept(rot180, table: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert rot180("train", table, "--out", run, *QUICK, "--label-column", "kind").status == 0
    assert 'label_column = "kind"' in (run / "config.toml").read_text()
    assert rot180("evaluate", run, "--json").json["count"] == 4
    found = rot180("data", "inspect", table, "--label-column", 18, "--no-picture")
    assert "labels from column 18, 'kind'" in found.out
    assert "no column is named 'sort'" in rot180("evaluate", run, "--label-column", "sort").err


def test_skipping_bad_files_is_kept(rot180, tmp_path: Path) -> None:
    images, run = tmp_path / "images", tmp_path / "run"
    for k in range(20):
        folder = images / "ab"[k % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), 10 * k, np.uint8)).save(folder / f"{k:02}.png")
    (images / "a" / "bad.png").write_bytes(b"not an image")
    assert rot180("train", images, "--out", run, *QUICK, "--on-bad-file", "skip").status == 0
    assert rot180("evaluate", run, "--json").json["count"] == 4
    assert rot180("evaluate", run, "--on-bad-file", "strict").status == 2
