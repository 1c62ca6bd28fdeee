"""The data of a run: what its training was given, unless other data is named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rot180.data import Dataset
from rot180.data.for_model import load_data_for
from rot180.data.options import ImageOptions
from rot180.errors import ArgumentError, DataError
from rot180.runs.config import read_config
from rot180.runs.folder import Run, RunFolder


def own_data(path: str | Path, run: Run, named: str | None, *, how: str = "DATA") -> str:
    """Return the data that is named, or else that which a run was trained on.

    Parameters
    ----------
    path : str or Path
        The run's folder, or the weights file in it.
    run : Run
        As `load_run` read it from there.
    named : str or None
        As in `load_data`.
    how : str
        How data is named, for the error.

    Raises
    ------
    ArgumentError
        None is named, and it is a weights file that lies in no run.
    DataError
        None is named, and what the run was trained on has been moved.
    """
    source = named if named is not None else config_of(path, run).get("data")
    if source is None:
        raise ArgumentError(f"{path}: a weights file alone does not tell what it was trained on; name {how}")
    if named is None and is_gone(source):
        raise DataError(
            f"{source}: the data that the run was trained on is not there any more; if it was moved, name {how}"
        )
    return str(source)


def is_gone(source: object) -> bool:
    """Say whether a run's data is a path, which a run keeps whole, and nothing lies there.

    >>> is_gone("/nowhere/at/all"), is_gone("digits"), is_gone("/")
    (True, False, False)
    """
    # os.path: it raises nothing, whatever a stranger's configuration holds.
    return isinstance(source, str) and Path(source).is_absolute() and not os.path.exists(source)  # noqa: PTH110


def load_own_data(path: str | Path, run: Run, named: str | None, *, how: str = "DATA") -> Dataset:
    """Load what `own_data` returns as the run's model takes it; of image files, bad ones are what they were to the run.

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
    """Return how data is read for a run: as its training read it, as far as nothing else is asked for here.

    Raises
    ------
    ArgumentError
        The run's configuration, or what is asked for, holds a value that `ImageOptions` refuses.
    """
    training = config_of(path, run).get("training")
    kept = training if isinstance(training, dict) else {}
    found = kept.get("label_column") if label_column is None else label_column
    return ImageOptions(
        on_bad_file=str(kept.get("on_bad_file", "strict") if on_bad_file is None else on_bad_file),
        label_column=None if found is None else str(found),
    )


def config_of(path: str | Path, run: Run) -> dict[str, Any]:
    """Return the configuration of a run, also of a weights file in its folder; empty where there is no run."""
    if run.folder is not None:
        return run.config
    folder = RunFolder(Path(path).parent)
    return read_config(folder.config_path) if folder.config_path.is_file() else {}
