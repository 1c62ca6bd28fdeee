"""The data of a run: the data it was trained on, unless other data is given."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rot180.data import Dataset
from rot180.data.for_model import load_data_for
from rot180.data.options import ImageOptions
from rot180.errors import ArgumentError, DataError
from rot180.runs.config import read_config
from rot180.runs.folder import Run, RunFolder
from rot180.training.predict import refuse_tta


def own_data(path: str | Path, run: Run, named: str | None, *, how: str = "DATA") -> str:
    """Return the given data, or else the data that a run was trained on.

    Parameters
    ----------
    path : str or Path
        The run folder, or the weights file in it.
    run : Run
        Read from there by `load_run`.
    named : str or None
        As in `load_data`.
    how : str
        How the user gives data, for the error message.

    Raises
    ------
    ArgumentError
        No data is given, and the weights file is not in a run folder.
    DataError
        No data is given, and the data that the run was trained on has been moved.
    """
    source = named if named is not None else config_of(path, run).get("data")
    if source is None:
        raise ArgumentError(f"{path}: a weights file alone does not record its training data; give {how}")
    if named is None and is_gone(source):
        raise DataError(f"{source}: the data that the run was trained on no longer exists; if it was moved, give {how}")
    return str(source)


def is_gone(source: object) -> bool:
    """Return whether a run's data is a path, which runs store as absolute, that no longer exists.

    >>> is_gone("/nowhere/at/all"), is_gone("digits"), is_gone("/")
    (True, False, False)
    """
    # os.path raises nothing, whatever an untrusted configuration contains.
    return isinstance(source, str) and Path(source).is_absolute() and not os.path.exists(source)  # noqa: PTH110


def load_own_data(path: str | Path, run: Run, named: str | None, *, how: str = "DATA") -> Dataset:
    """Load what `own_data` returns for the run's model, treating bad image files as the run did.

    Raises
    ------
    Rot180Error
        As from `own_data` and `load_data_for`.
    """
    source = own_data(path, run, named, how=how)
    return load_data_for(run.model, source, own_options(path, run))


def own_options(
    path: str | Path, run: Run, *, on_bad_file: str | None = None, label_column: str | None = None
) -> ImageOptions:
    """Return the options for reading data for a run: those of its training, unless others are given here.

    Raises
    ------
    ArgumentError
        The run's configuration or an argument has a value that `ImageOptions` rejects.
    """
    kept = _training(path, run)
    found = kept.get("label_column") if label_column is None else label_column
    return ImageOptions(
        on_bad_file=str(kept.get("on_bad_file", "strict") if on_bad_file is None else on_bad_file),
        label_column=None if found is None else str(found),
    )


def own_tta(
    path: str | Path, run: Run, given: str | None = None, *, tell: Callable[[str], None] = warnings.warn
) -> str:
    """Return the test-time augmentation for a run: the one given, or else that of its training.

    `tell` is called with a warning if the one given does not suit the training.

    Raises
    ------
    ArgumentError
        The name is unknown, or the network's input does not allow it.
    """
    kept = _training(path, run)
    tta = str(kept.get("tta", "none")) if given is None else given
    refuse_tta(run.model, tta)
    if given is not None and kept and (doubt := tta_doubt(tta, kept.get("augment"))):
        tell(doubt)
    return tta


def tta_doubt(tta: str | None, augment: object) -> str:
    """Return a warning if test-time augmentation shows a network what its training did not; empty if there is none."""
    if tta != "flip" or "flip" in str(augment):
        return ""
    return (
        "--tta flip averages over mirror images, but the network was not trained on them: add --augment flip to its "
        "training, or leave --tta out if mirroring can change the class, as it does for digits"
    )


def _training(path: str | Path, run: Run) -> dict[str, Any]:
    """Return the settings of a run's training; empty if they are unknown."""
    training = config_of(path, run).get("training")
    return training if isinstance(training, dict) else {}


def config_of(path: str | Path, run: Run) -> dict[str, Any]:
    """Return the configuration of a run, or of the run that a weights file belongs to; empty if there is none."""
    if run.folder is not None:
        return run.config
    if Path(path).is_dir():  # from a hub
        return {}
    folder = RunFolder(Path(path).parent)
    return read_config(folder.config_path) if folder.config_path.is_file() else {}
