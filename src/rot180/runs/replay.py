"""Replaying steps of a run from its checkpoints, in memory: the same bits as then, and nothing is written.

The newest two checkpoints are kept, so that of a run that has ended the last epoch can be replayed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rot180.data.options import Progress
from rot180.errors import ArgumentError, ModelError
from rot180.ops.types import Array
from rot180.runs.checkpoint import list_checkpoints, load_checkpoint, steps_done
from rot180.runs.config import read_config
from rot180.runs.environment import environment
from rot180.runs.folder import RunFolder
from rot180.runs.prepare import Prepared, prepare
from rot180.runs.resume import continue_with
from rot180.runs.same_data import check_data
from rot180.runs.settings import settings_from
from rot180.training.state import TrainingState


@dataclass(frozen=True)
class Replay:
    """What a training needs to go on from a checkpoint, and what it has to come to.

    Attributes
    ----------
    prepared : Prepared
    state : TrainingState
        Of the checkpoint, for `fit(resume=...)`.
    later : dict of int to str
        By updates done, the SHA-256 of the weights in each later checkpoint.
    """

    prepared: Prepared
    state: TrainingState
    later: dict[int, str]


def replayable(path: str | Path) -> tuple[int, ...]:
    """Return the updates after which a run has an intact checkpoint with updates after it, in order.

    Parameters
    ----------
    path : str or Path
        The run folder.
    """
    steps = sorted(_checkpoints(RunFolder(Path(path))))
    return tuple(steps[:-1])


def replay(path: str | Path, step: int, progress: Progress | None = None) -> Replay:
    """Prepare a run's training as it was at a checkpoint.

    Parameters
    ----------
    path : str or Path
        The run folder.
    step : int
        One of `replayable`.
    progress : callable, optional
        Called with the progress of reading the data.

    Raises
    ------
    Rot180Error
        There is no such checkpoint, it is damaged, or the data differ from those of the run.

    Examples
    --------
    >>> import tempfile
    >>> from rot180.runs.train_run import RunSettings, fit_prepared, train_run
    >>> path = tempfile.mkdtemp() + "/run"
    >>> run = train_run(RunSettings(epochs=2, limit=200, engine="numpy"), out=path, draw=False)
    >>> replayable(path)
    (7,)
    >>> again = replay(path, 7)
    >>> history = fit_prepared(again.prepared, [], resume=again.state)
    >>> weights_sha256(again.prepared.model.state) == weights_sha256(run.model.state) == again.later[14]
    True
    """
    folder = RunFolder(Path(path))
    there = _checkpoints(folder)
    if step not in there:
        raise ArgumentError(
            f"{path}: no checkpoint after {step} updates; there are those after {', '.join(map(str, sorted(there)))}"
        )
    checkpoint = load_checkpoint(there[step])
    config = read_config(folder.config_path)
    prepared = prepare(settings_from(config, folder.config_path), progress)
    then = folder.read_environment()
    now = environment(prepared.dataset, str(then.get("engine", "")))
    check_data(then, now, prepared.dataset.name, force=False, tell=lambda _: None)
    continue_with(prepared, checkpoint, folder, config)
    later = {at: weights_sha256(load_checkpoint(there[at]).state.parameters) for at in there if at > step}
    return Replay(prepared, checkpoint.state, later)


def weights_sha256(arrays: Mapping[str, Array]) -> str:
    """Return the SHA-256 of a network's parameters and statistics: their names, types, shapes and bytes.

    >>> import numpy as np
    >>> weights_sha256({"w": np.zeros(2)}) == weights_sha256({"w": np.array([0, -0.0])})
    False
    """
    found = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        found.update(f"{name} {array.dtype} {array.shape};".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def _checkpoints(folder: RunFolder) -> dict[int, Path]:
    """Return the run's intact checkpoints by the updates done before each."""
    found: dict[int, Path] = {}
    for path in list_checkpoints(folder.checkpoints):
        try:
            found.setdefault(steps_done(path), path)
        except ModelError:
            continue  # damaged; `rot180 runs` and resuming tell of it
    return found
