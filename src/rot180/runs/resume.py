"""Going on with a run that was interrupted, however it was."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from rot180.data.options import Progress
from rot180.errors import ArgumentError, DataError, ModelError
from rot180.files import remove_unfinished
from rot180.runs.checkpoint import Checkpoint, list_checkpoints, load_newest
from rot180.runs.config import read_config
from rot180.runs.environment import differences, environment
from rot180.runs.folder import RunFolder
from rot180.runs.lock import RunLock
from rot180.runs.own_data import is_gone
from rot180.runs.prepare import prepare
from rot180.runs.recorder import CheckpointPolicy, RunRecorder
from rot180.runs.settings import settings_from
from rot180.runs.train_run import TrainedRun, run_training
from rot180.training import Subscriber, TrainingStarted


def resume_run(
    path: str | Path,
    *,
    data: str | None = None,
    force: bool = False,
    subscribers: Iterable[Subscriber] = (),
    progress: Progress | None = None,
    draw: bool = True,
    checkpoints: CheckpointPolicy | None = None,
    tensorboard: bool = False,
    tell: Callable[[str], None] = warnings.warn,
) -> TrainedRun:
    """Go on from a run's newest checkpoint, to the bits that the training would have reached without a break.

    The same bits need the same data, versions and machine; what differs is told before the training goes on. A run that
    had ended is tested and drawn again.

    Parameters
    ----------
    path : str or Path
        The run's folder.
    data : str, optional
        Where the data lies now, if it was moved.
    force : bool
        Go on although the data differ.
    subscribers, progress, draw, checkpoints, tensorboard
        As in `train_run`.
    tell : callable
        Called with each thing worth knowing beforehand: what differs, and checkpoints that are damaged.

    Raises
    ------
    Rot180Error
        It is no run folder, its checkpoints are damaged, another process trains it, the data differ; as `train_run`.

    Examples
    --------
    >>> import tempfile
    >>> from rot180.runs.train_run import RunSettings, train_run
    >>> path = tempfile.mkdtemp() + "/run"
    >>> stop = lambda event: isinstance(event, TrainingStarted) and event.trainer.stop("interrupted")
    >>> settings = RunSettings(epochs=1, limit=200)
    >>> train_run(settings, out=path, subscribers=[stop], draw=False).history.stopped
    'interrupted'
    >>> resume_run(path, draw=False).history.stopped
    'finished'
    """
    folder = RunFolder(Path(path))
    if not folder.config_path.is_file():
        raise ModelError(f"{path}: expected config.toml in it, found none; it is no run folder")
    with ExitStack() as held:
        held.callback(RunLock(folder.path).release)
        remove_unfinished(folder.path)
        remove_unfinished(folder.checkpoints)
        checkpoint = _newest_checkpoint(folder, tell)
        config = read_config(folder.config_path)
        settings = settings_from(config, folder.config_path)
        if data is None and is_gone(settings.data):
            raise DataError(
                f"{settings.data}: the data that the run was trained on is not there any more; if it was moved, say "
                f"where to: rot180 train NEWPATH --resume {shlex.quote(str(path))}"
            )
        prepared = prepare(replace(settings, data=data) if data is not None else settings, progress)
        if prepared.model.notation != config.get("network"):
            raise ModelError(
                f"{path}: the run's network is {str(config.get('network'))[:200]!r}, but here {settings.model} is "
                f"{prepared.model.notation!r}; give the same data, and use the version of rot180 that began the run"
            )
        if checkpoint is not None:
            # What was computed from the data at the start, such as their mean, comes from there.
            prepared.model.preprocessing = checkpoint.model.preprocessing

        def open_folder(event: TrainingStarted) -> RunFolder:
            then, now = folder.read_environment(), environment(prepared.dataset, event.trainer.engine.name)
            if then.get("data") not in (None, now["data"]):
                if not force:
                    raise ArgumentError(
                        f"{prepared.dataset.name}: the data differ from those the run was trained on (fingerprint "
                        f"{now['data'][:12]}, then {str(then['data'])[:12]}); give the same data, or --force"
                    )
                tell("the data differ from those the run was trained on")
            if checkpoint is None:
                folder.history_path.unlink(missing_ok=True)
                folder.write_environment(now)
            elif changed := differences({**then, "data": now["data"]} if then else now, now):
                tell(f"the result may differ in its last bits: {'; '.join(changed)}")
            return folder

        recorder = RunRecorder(open_folder, checkpoints or CheckpointPolicy(), checkpoint)
        return run_training(prepared, recorder, subscribers, draw=draw, tensorboard=tensorboard, checkpoint=checkpoint)


def _newest_checkpoint(folder: RunFolder, tell: Callable[[str], None]) -> Checkpoint | None:
    """Return where to go on from; None where the process ended before it had written its first checkpoint."""
    if not list_checkpoints(folder.checkpoints):
        tell("there is no checkpoint yet: the training begins anew")
        return None
    checkpoint, damaged = load_newest(folder.checkpoints)
    for fault in damaged:
        tell(f"an older checkpoint is taken: {fault}")
    return checkpoint
