"""Resuming a run that was interrupted in any way."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from rot180.data import Dataset
from rot180.data.options import Progress
from rot180.errors import ArgumentError, DataError, ModelError
from rot180.files import quoted, remove_unfinished
from rot180.language import translate
from rot180.parallel.communicator import ALONE, Communicator
from rot180.runs.checkpoint import Checkpoint, list_checkpoints, load_newest
from rot180.runs.config import read_config
from rot180.runs.environment import PROCESSES, differences, environment
from rot180.runs.fields import RECORDER, check_fields
from rot180.runs.folder import RunFolder
from rot180.runs.history_file import iterate_records
from rot180.runs.lock import RunLock
from rot180.runs.own_data import is_gone
from rot180.runs.prepare import Prepared, prepare
from rot180.runs.recorder import CheckpointPolicy, RunRecorder
from rot180.runs.same_data import WHOLE, check_data
from rot180.runs.settings import RunSettings, settings_from
from rot180.runs.source import Source
from rot180.runs.train_run import Examine, TrainedRun, run_training, train_last_layer
from rot180.training import Subscriber, TrainingStarted, schedule


def resume_run(
    path: str | Path,
    *,
    data: str | None = None,
    epochs: int | None = None,
    force: bool = False,
    verify: bool = False,
    subscribers: Iterable[Subscriber] = (),
    progress: Progress | None = None,
    draw: bool = True,
    checkpoints: CheckpointPolicy | None = None,
    tensorboard: bool = False,
    tell: Callable[[str], None] = warnings.warn,
    on_data: Callable[[Dataset], None] | None = None,
    examine: Examine | None = None,
    communicator: Communicator = ALONE,
) -> TrainedRun:
    """Continue from a run's newest checkpoint, to the same bits as a training without a break.

    The same bits require the same settings, which are compared with those of the checkpoint, and the same data,
    versions and machine; differences in the latter are reported before the training continues. A run that has ended is
    tested and drawn again, or extended to more epochs.

    Parameters
    ----------
    path : str or Path
        The run folder.
    data : str, optional
        The new location of the data, if it was moved.
    epochs : int, optional
        More epochs than the run was planned for. With a constant learning rate, the result has the same bits as a run
        of that many epochs; a schedule that depends on their number is from then on that of all of them, which is
        reported.
    force : bool
        Continue even if the data differ.
    verify : bool
        Compare every byte of a data set larger than memory, not a sample of each file.
    subscribers, progress, draw, checkpoints, tensorboard, on_data, examine, communicator
        As in `train_run`.
    tell : callable
        Called with each warning before the training: differences, and damaged checkpoints.

    Raises
    ------
    Rot180Error
        The path is not a run folder, its checkpoints are damaged, another process is training it, settings or data
        differ, or there are fewer epochs than before; or as from `train_run`.

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
        raise ModelError(f"{path}: no config.toml in it; not a run folder")
    with ExitStack() as held:
        held.callback(RunLock(folder.path).release)
        checkpoint = _newest_checkpoint(folder, tell)
        remove_unfinished(folder.path)
        remove_unfinished(folder.checkpoints, beneath=folder.path)
        if checkpoint is not None:
            check_fields(checkpoint.extra, RECORDER, str(checkpoint.path / "state.json: extra"))
            if not os.path.lexists(folder.history_path):
                tell(f"{folder.history_path} is missing: a new one starts here")
        config = read_config(folder.config_path)
        settings = settings_from(config, folder.config_path)
        config = _with_epochs(config, settings, epochs, checkpoint, folder.config_path)
        planned = settings.epochs
        settings = replace(settings, epochs=config["training"].get("epochs"))
        if data is None and is_gone(settings.data):
            raise DataError(
                f"{settings.data}: the data that the run was trained on no longer exists; if it was moved, give its "
                f"new path: rot180 train NEWPATH --resume {quoted(path)}"
            )
        prepared = prepare(replace(settings, data=data) if data is not None else settings, progress)
        if on_data is not None:
            on_data(prepared.dataset)
        continue_with(prepared, checkpoint, folder, config)

        head: dict[str, float] = {}
        if prepared.source is not None and checkpoint is None:
            _check_same_source(prepared.source, folder)
            head = train_last_layer(prepared, progress, tell, folder)

        def open_folder(event: TrainingStarted) -> RunFolder:
            then = folder.read_environment()
            now = environment(
                prepared.dataset,
                event.trainer.engine.name,
                processes=communicator.size,
                verify=verify,
                progress=progress,
            )
            now |= {} if prepared.source is None else prepared.source.facts()
            check_data(then, now, prepared.dataset.name, force=force, tell=tell)
            if checkpoint is None:
                folder.history_path.unlink(missing_ok=True)
                folder.write_environment({**then, **now})
            else:
                if changed := differences(then, now):
                    tell(f"the result may differ in its last bits: {'; '.join(map(translate, changed))}")
                started_on = then.get(PROCESSES, 1)
                if settings.shards is None and started_on != communicator.size:
                    tell(
                        f"the number of processes was {started_on} when the run started and is now "
                        f"{communicator.size}: the weights will differ from those of a run without a change of it; "
                        f"start runs with --shards to avoid that"
                    )
                if WHOLE in now and WHOLE not in then:
                    folder.write_environment({**then, WHOLE: now[WHOLE]})
            if checkpoint is not None and (news := _other_rates(event, checkpoint.state.plan["epochs"])) is not None:
                tell(news)
            if settings.epochs != planned:
                folder.write_config(config)
            return folder

        recorder = RunRecorder(open_folder, checkpoints or CheckpointPolicy(), checkpoint)
        recorder.head = head
        return run_training(
            prepared,
            recorder,
            subscribers,
            draw=draw,
            tensorboard=tensorboard,
            examine=examine,
            checkpoint=checkpoint,
            communicator=communicator,
        )


def continue_with(prepared: Prepared, checkpoint: Checkpoint | None, folder: RunFolder, config: dict[str, Any]) -> None:
    """Compare what is prepared with the run, and give it what was computed from the data at the run's start.

    Raises
    ------
    ModelError
        The network is another one.
    ArgumentError
        Images would be preprocessed in another way.
    """
    if prepared.model.notation != config.get("network"):
        raise ModelError(
            f"{folder.path}: the run's network is {str(config.get('network'))[:200]!r}, but here "
            f"{prepared.settings.model} is {prepared.model.notation!r}; give the same data, and use the version of "
            f"rot180 that started the run"
        )
    if checkpoint is not None:
        _check_normalization(prepared, checkpoint, folder.config_path)
        # Values computed from the data at the start, such as their mean, come from there.
        prepared.model.preprocessing = checkpoint.model.preprocessing


def _check_same_source(source: Source, folder: RunFolder) -> None:
    """Raise ModelError if the network to start from has changed since the run started."""
    then = folder.read_environment().get("source_sha256", source.sha256)
    if then != source.sha256:
        raise ModelError(f"{source.path}: it has changed since the run started from it; restore it, or start a new run")


def _newest_checkpoint(folder: RunFolder, tell: Callable[[str], None]) -> Checkpoint | None:
    """Return the checkpoint to continue from; None if the process ended before it had written its first.

    Raises
    ------
    ModelError
        The checkpoints are damaged, or were removed: the first is written before the first step.
    """
    if not list_checkpoints(folder.checkpoints):
        trained = any(record["event"] in ("step", "epoch") for record in iterate_records(folder.history_path))
        if trained or folder.model_path.exists():
            raise ModelError(
                f"{folder.checkpoints}: the checkpoints were removed, so the run cannot be resumed; start a new one "
                f"in another --out"
            )
        folder.make(folder.checkpoints)
        tell("there is no checkpoint yet: the training starts from the beginning")
        return None
    checkpoint, damaged = load_newest(folder.checkpoints)
    for fault in damaged:
        tell(f"using an older checkpoint: {fault}")
    return checkpoint


def _with_epochs(
    config: dict[str, Any], settings: RunSettings, epochs: int | None, checkpoint: Checkpoint | None, path: Path
) -> dict[str, Any]:
    """Return the configuration with more epochs, if requested.

    Raises
    ------
    ArgumentError
        Fewer are requested, or the configuration was changed since the checkpoint was written.
    """
    planned, earlier = settings.epochs, config.get("earlier_epochs", [])
    trained = planned if checkpoint is None else checkpoint.state.plan["epochs"]
    # The process may have ended after the configuration was written, and before the first checkpoint that has it.
    if trained not in (planned, *earlier):
        raise ArgumentError(
            f"{path}: epochs was {trained} when the run was trained, and is now {planned}; restore it, and train "
            f"longer with --epochs"
        )
    if epochs is None or epochs == planned:
        return config
    if settings.freeze:
        raise ArgumentError(
            "--epochs: the run was started with --freeze, which trains the last layer alone; start another with "
            "--from and this run"
        )
    if planned is not None and epochs < planned:
        raise ArgumentError(f"--epochs must be at least the {planned} that the run was planned for; it is {epochs}")
    return {
        **config,
        "earlier_epochs": [*earlier, *([] if planned is None else [planned])],
        "training": {**config["training"], "epochs": epochs},
    }


def _check_normalization(prepared: Prepared, checkpoint: Checkpoint, path: Path) -> None:
    """Raise ArgumentError if images would be preprocessed in another way than before."""
    now, then = prepared.model.preprocessing, checkpoint.model.preprocessing
    for name, was, value in (("normalize", then.kind, now.kind), ("resize", then.resize, now.resize)):
        if was != value:
            raise ArgumentError(
                f"{path}: {name} was {was!r} when the run was trained, and is now {value!r}; restore it"
            )


def _other_rates(event: TrainingStarted, planned: int) -> str | None:
    """Return in one line how more epochs change the learning rate; None if all steps so far are unaffected."""
    now, images, done = event.settings, event.images, event.progress.step
    if now.epochs == planned or not done:
        return None
    before, after = (
        schedule(now.schedule, event.trainer.optimizer.initial_lr, steps, warmup=now.warmup)
        for steps in (replace(now, epochs=planned).updates(images), now.updates(images))
    )
    if all(before(step) == after(step) for step in range(0, done, max(done // 1000, 1))):
        return None
    return (
        f"the learning rate follows {now.schedule} over all {now.epochs} epochs from here on: it was "
        f"{before(done - 1):.3g} and continues at {after(done):.3g}; the weights will differ from those of "
        f"{now.epochs} epochs without a break"
    )
