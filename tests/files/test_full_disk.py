"""On a full disk, whatever a writer was about to write has no name, and what was there is as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from disk import full_disk
from rot180.errors import Rot180Error
from rot180.inside import journey
from rot180.nn import network
from rot180.pictures import confusion_matrix, save_figure
from rot180.runs import save_model
from rot180.runs.config import write_config
from rot180.runs.draw import draw_model
from rot180.runs.folder import RunFolder, create_run
from rot180.runs.report import write_report
from rot180.training import History

MODEL = network("4x4x1 > conv3x3:2 fc3").build(seed=0)
LOSSES = [1.0 / step for step in range(1, 40)]


def values(folder: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 1), np.uint8)
    journey(MODEL, images, [0, 1], values=True).save(folder / "journey")


WRITERS: dict[str, Callable[[Path], object]] = {
    "model": lambda folder: save_model(folder / "model.safetensors", MODEL),
    "picture": lambda folder: save_figure(confusion_matrix([[9, 1], [0, 8]]), folder / "confusion"),
    "run's pictures": lambda folder: draw_model(folder / "pictures", MODEL, History(losses=LOSSES)),
    "report": lambda folder: write_report(RunFolder(folder), MODEL),
    "configuration": lambda folder: write_config(folder / "config.toml", {"data": "x" * 200}),
    "environment": lambda folder: RunFolder(folder).write_environment({"data": "x" * 200}),
    "journey": values,
}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, writer: str) -> None:
    folder = create_run(tmp_path / "run").path
    write_config(folder / "config.toml", {"data": "digits", "network": MODEL.notation})
    before = contents(folder)
    with full_disk(100), pytest.raises(Rot180Error, match=r"cannot be written \(File too large\)"):
        WRITERS[writer](folder)
    assert contents(folder) == before
    WRITERS[writer](folder)
    whole = contents(folder)
    assert whole.keys() - before.keys() or writer == "configuration"
    if writer == "journey":  # it writes over nothing at all
        return
    with full_disk(100), pytest.raises(Rot180Error, match=r"cannot be written \(File too large\)"):
        WRITERS[writer](folder)
    assert contents(folder) == whole
