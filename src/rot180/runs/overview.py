"""Summaries of runs, and the settings in which they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rot180.errors import ModelError
from rot180.runs.config import read_config
from rot180.runs.folder import RunFolder
from rot180.runs.history_file import is_milestone, iterate_records
from rot180.runs.lock import is_locked

MISSING = "-"
"""Shown for a setting that a run does not have."""


@dataclass(frozen=True)
class RunSummary:
    """The summary of a run.

    Attributes
    ----------
    path : Path
    status : str
        `finished`, `early_stopping`, `interrupted` (it can be resumed), `failed`, `running`.
    settings : dict
        The settings in config.toml, flat.
    epochs, planned : int
        Epochs done, and epochs requested.
    seconds : float or None
        Duration of the training.
    train_loss, validation_loss, validation_accuracy, test_accuracy : float or None
        Training loss of the last epoch; the lowest validation loss and its accuracy; accuracy on the test images.
    """

    path: Path
    status: str
    settings: dict[str, Any]
    epochs: int
    planned: int
    seconds: float | None
    train_loss: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    test_accuracy: float | None


def list_runs(folder: str | Path) -> list[Path]:
    """Return the run folders in a folder, sorted by name, without links; the folder itself if it is a run.

    Raises
    ------
    ModelError
        The folder cannot be read.
    """
    folder = Path(folder)
    if is_run(folder):
        return [folder]
    try:
        # No links: in a folder from someone else, they may lead anywhere.
        return sorted(entry for entry in folder.iterdir() if not entry.is_symlink() and is_run(entry))
    except OSError as error:
        raise ModelError(f"{folder}: cannot be read ({error.strerror or error}); give a folder of runs") from None


def is_run(path: Path) -> bool:
    """Return whether a path is a run folder."""
    return (path / "config.toml").is_file()


def summarize_run(path: str | Path) -> RunSummary:
    """Summarize a run from its files, without reading its weights.

    Raises
    ------
    ModelError
        A file is missing or damaged.
    """
    folder = RunFolder(Path(path))
    config = read_config(folder.config_path)
    records = [record for record in iterate_records(folder.history_path) if is_milestone(record)]
    last = {record["event"]: record for record in records}
    epochs = [record for record in records if record["event"] == "epoch"]
    measured = [epoch for epoch in epochs if _number(epoch.get("validation_loss")) is not None]
    best = min(measured, key=lambda epoch: float(epoch["validation_loss"]), default={})
    training = config.get("training")
    settings = {"data": config.get("data"), "model": config.get("model")}
    planned = _number((last.get("extended") or last.get("started", {})).get("epochs"))
    return RunSummary(
        path=folder.path,
        status=_status(folder.path, records),
        settings=settings | (training if isinstance(training, dict) else {}),
        epochs=len(epochs),
        planned=int(planned or 0),
        seconds=_number(last.get("ended", {}).get("seconds")),
        train_loss=_number(epochs[-1].get("train_loss")) if epochs else None,
        validation_loss=_number(best.get("validation_loss")),
        validation_accuracy=_number(best.get("validation_accuracy")),
        test_accuracy=_number(last.get("test", {}).get("accuracy")),
    )


def setting_differences(runs: Sequence[RunSummary]) -> dict[str, list[Any]]:
    """Return the settings in which runs differ, with each run's value.

    >>> runs = [RunSummary(Path(p), "", {"lr": lr, "seed": 0}, *[0] * 7) for p, lr in (("a", 0.1), ("b", 0.2))]
    >>> setting_differences(runs)
    {'lr': [0.1, 0.2]}
    """
    names = dict.fromkeys(name for run in runs for name in run.settings)
    found = {name: [run.settings.get(name, MISSING) for run in runs] for name in names}
    return {name: values for name, values in found.items() if any(value != values[0] for value in values)}


def _status(path: Path, records: list[dict[str, Any]]) -> str:
    for record in reversed(records):
        if record["event"] == "failed":
            return "failed"
        if record["event"] == "ended":
            return str(record.get("reason"))
        if record["event"] in ("started", "resumed", "step", "epoch"):
            break
    return "running" if is_locked(path) else "interrupted"


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
