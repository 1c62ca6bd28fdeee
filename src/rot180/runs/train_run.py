"""A complete run in one call: data, network, training, test, pictures, and the run folder."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rot180.data import Dataset
from rot180.data.options import Progress
from rot180.errors import ArgumentError, NonFiniteError, Rot180Error
from rot180.files import quoted, remove_folder, system
from rot180.language import translate
from rot180.nn import MODELS, Network
from rot180.parallel.communicator import ALONE, Communicator
from rot180.parallel.messages import share_text
from rot180.runs.checkpoint import Checkpoint
from rot180.runs.draw import draw_images, draw_model
from rot180.runs.environment import begun, environment
from rot180.runs.folder import RunFolder, create_numbered_run, create_run
from rot180.runs.lock import RunLock
from rot180.runs.prepare import Prepared, default_model, doubts, prepare, subject
from rot180.runs.recorder import CheckpointPolicy, RunRecorder
from rot180.runs.report import write_report
from rot180.runs.settings import NOT_OF_FIT, OF_STEPS, RunSettings
from rot180.runs.source import train_head
from rot180.runs.tensorboard import TensorBoardWriter, require_tensorboard
from rot180.training import Evaluation, History, Subscriber, evaluate, fit
from rot180.training.inference import inference_engine
from rot180.training.interrupt import interruptible
from rot180.training.state import TrainingState

__all__ = ["RunSettings", "TrainedRun", "default_model", "draw_run", "run_training", "train_run"]

Examine = Callable[[Network, History, Dataset, RunSettings], list[str]]


@dataclass(frozen=True)
class TrainedRun:
    """The result of a run.

    Attributes
    ----------
    folder : RunFolder
    model : Network
    dataset : Dataset
    settings : RunSettings
        Complete settings.
    history : History
    test : Evaluation or None
        On the test images; None if the data has none.
    pictures : tuple of Path
        The PNG files.
    """

    folder: RunFolder
    model: Network
    dataset: Dataset
    settings: RunSettings
    history: History
    test: Evaluation | None
    pictures: tuple[Path, ...]


def train_run(
    settings: RunSettings,
    *,
    out: str | Path | None = None,
    subscribers: Iterable[Subscriber] = (),
    progress: Progress | None = None,
    draw: bool = True,
    checkpoints: CheckpointPolicy | None = None,
    tensorboard: bool = False,
    verify: bool = False,
    tell: Callable[[str], None] = warnings.warn,
    on_data: Callable[[Dataset], None] | None = None,
    examine: Examine | None = None,
    command: str | None = None,
    communicator: Communicator = ALONE,
) -> TrainedRun:
    """Train with the given settings, and write a run folder.

    Everything that can be checked in advance is checked before the folder is created, so a failed start leaves nothing
    behind. Ctrl-C and SIGTERM stop the training after its current batch and write a checkpoint for `resume_run`.

    Parameters
    ----------
    settings : RunSettings
    out : str or Path, optional
        The folder to create; it must not exist. By default the next free number in `runs/`.
    subscribers : iterable of callables
        Called with every event of the training.
    progress : callable, optional
        Called with the progress of reading the data.
    draw : bool
        Whether to draw the pictures.
    checkpoints : CheckpointPolicy, optional
        When to write checkpoints, besides the end of each epoch.
    tensorboard : bool
        Whether to write event files; needs the extra of this name.
    verify : bool
        Store a checksum of every byte of a data set larger than memory, with which `resume_run` can compare it.
    tell : callable
        Called with warnings before the training: that the data has a single class, or an unusual pixel range.
    on_data : callable, optional
        Called with the data set before the training: its `sources` and `notes` describe how it was read.
    examine : callable, optional
        Called with model, history, data set and settings after the training; returns findings for the report.
    command : str, optional
        The command that started the run, for the report.
    communicator : Communicator
        The processes that train together; this is the first, and the others call `follow_run`.

    Raises
    ------
    Rot180Error
        The folder exists; a name is unknown; data, network and settings are invalid or do not match; the folder cannot
        be written; a loss or gradient is not finite.

    Examples
    --------
    >>> import tempfile
    >>> run = train_run(RunSettings(epochs=1, limit=200), out=tempfile.mkdtemp() + "/run", draw=False)
    >>> run.history.stopped, run.test.count == len(run.dataset.test_images)
    ('finished', True)
    """
    settings.check_names()
    _check_source(settings)
    if out is not None and os.path.lexists(out):
        raise ArgumentError(f"{out} already exists; choose another --out or remove it")
    prepared = prepare(settings, progress)
    validates = settings.validation is not None or len(prepared.dataset.validation_images)
    if settings.early_stopping is not None and not validates:
        raise ArgumentError("--early-stopping watches the validation loss; add --validation 0.1")
    if on_data is not None:
        on_data(prepared.dataset)
    for reason in doubts(prepared):
        tell(reason)
    with ExitStack() as held:

        def open_folder(engine: str) -> RunFolder:
            folder = _make_folder(prepared, out)
            held.callback(RunLock(folder.path).release)
            folder.write_config(prepared.config())
            processes = communicator.size
            found = environment(prepared.dataset, engine, processes=processes, verify=verify, progress=progress)
            facts = {} if prepared.source is None else prepared.source.facts()
            folder.write_environment({**begun(command), **found, **facts})
            return folder

        made: RunFolder | None = None
        recorder = RunRecorder(
            lambda event: made or open_folder(event.trainer.engine.name), checkpoints or CheckpointPolicy()
        )
        try:
            if prepared.source is not None:  # the last layer comes first: if that is interrupted, it can be resumed
                made = open_folder(inference_engine(settings.engine, prepared.model).name)
                recorder.head = train_last_layer(prepared, progress, tell, made)
            return run_training(
                prepared,
                recorder,
                subscribers,
                draw=draw,
                tensorboard=tensorboard,
                examine=examine,
                communicator=communicator,
            )
        except Rot180Error as error:
            # What only the first step shows, such as a lack of memory. Numbers that are not finite have a report.
            has_report = recorder.folder is not None and isinstance(error, NonFiniteError)
            folder = recorder.folder or made
            if folder is not None and not recorder.steps and not has_report:
                held.close()  # the lock, which some systems do not remove while it is held
                remove_folder(folder.path)
            raise


def _check_source(settings: RunSettings) -> None:
    """Raise ArgumentError for settings that the network to start from decides."""
    if settings.source is None:
        return
    for name, value in (("model", settings.model), ("normalize", settings.normalize)):
        if value is not None:
            raise ArgumentError(f"--from brings its own network and preprocessing; leave out --{name}")
    if settings.recipe != RunSettings.recipe:
        raise ArgumentError("--from has its own recipe; leave out --recipe")
    for name in OF_STEPS if settings.freeze else ():
        if getattr(settings, name) != getattr(RunSettings, name):
            option = {"lr": "learning-rate"}.get(name, name.replace("_", "-"))
            raise ArgumentError(f"--freeze trains the last layer alone, without epochs; leave out --{option}")


def train_last_layer(
    prepared: Prepared, progress: Progress | None, tell: Callable[[str], None], folder: RunFolder | None = None
) -> dict[str, float]:
    """Train the new last layer of a network that was trained before; return what the history records of it.

    With the folder of a run, an interruption tells how to resume it.
    """
    settings, dataset = prepared.settings, prepared.dataset
    if prepared.source is None:
        return {}
    if prepared.source.text != str(prepared.source.path):
        license_ = prepared.source.license or "not stated"
        tell(f"the network to start from: {prepared.source.text}; license: {translate(license_)}")
    for note in prepared.source.notes:
        tell(f"{prepared.source.path}: {translate(note)}")
    try:
        return train_head(
            prepared.model,
            dataset,
            mirrored=subject(dataset) == "photographs",
            validation=settings.validation,
            class_weights=settings.class_weights,
            seed=settings.seed,
            engine=settings.engine,
            progress=progress,
            tell=tell,
        )
    except KeyboardInterrupt:
        if folder is not None:
            tell(
                f"interrupted while the last layer was trained; start again with: "
                f"rot180 train --resume {quoted(folder.path)}"
            )
        raise


def run_training(
    prepared: Prepared,
    recorder: RunRecorder,
    subscribers: Iterable[Subscriber] = (),
    *,
    draw: bool = True,
    tensorboard: bool = False,
    examine: Examine | None = None,
    checkpoint: Checkpoint | None = None,
    communicator: Communicator = ALONE,
) -> TrainedRun:
    """Train, test and draw; an interrupted training only writes weights and report, as the user is waiting."""
    settings, dataset, model = prepared.settings, prepared.dataset, prepared.model
    if tensorboard:
        require_tensorboard()
        subscribers = [*subscribers, TensorBoardWriter(lambda: recorder.opened.make(recorder.opened.tensorboard))]
    try:
        with interruptible(recorder.stop, system.ending_signals()):
            share_settings(communicator, settings)
            history = fit_prepared(
                prepared,
                [recorder, *subscribers],
                resume=None if checkpoint is None else checkpoint.state,
                communicator=communicator,
            )
        folder = recorder.opened
        folder.save_model(model, recorder.steps)
        if history.stopped == "interrupted":
            write_report(folder, model)
            return TrainedRun(folder, model, dataset, settings, history, None, ())
        test, tta = None, settings.tta or "none"
        if len(dataset.test_images):
            test = evaluate(model, dataset.test_images, dataset.test_labels, tta=tta, engine=settings.engine)
            recorder.note("test", **_test_record(test))
    except NonFiniteError as error:
        if recorder.folder is not None:
            # Counted from 1, as in the reason: the error holds the number of updates before it.
            place = {"step": error.step + 1, "layer": error.layer, "array": error.array}
            recorder.note("failed", reason=str(error), **place)
            write_report(recorder.folder, model)
        raise
    if examine is not None and settings.epochs:
        recorder.note("health", findings=examine(model, history, dataset, settings))
    pictures = draw_run(folder.pictures, model, history, dataset, test, tta=tta) if draw else []
    write_report(folder, model)
    return TrainedRun(folder, model, dataset, settings, history, test, tuple(pictures))


def share_settings(communicator: Communicator, settings: RunSettings | None = None) -> RunSettings:
    """Return the settings of process 0, on every process, as soon as it has them."""
    communicator.barrier(rest=True)
    text = share_text(communicator, json.dumps(None if settings is None else asdict(settings)))
    return RunSettings(**json.loads(text))


def fit_prepared(
    prepared: Prepared,
    subscribers: Iterable[Subscriber],
    *,
    resume: TrainingState | None = None,
    communicator: Communicator = ALONE,
) -> History:
    """Train what was prepared: the part of a run between its preparation and its test."""
    options = {key: value for key, value in asdict(prepared.settings).items() if key not in NOT_OF_FIT}
    if isinstance(prepared.settings.validation, str):
        options["validation"] = None  # the images are already in the data set
    return fit(
        prepared.model,
        prepared.dataset,
        **options,
        subscribers=subscribers,
        resume=resume,
        communicator=communicator,
    )


def draw_run(
    folder: Path,
    model: Network,
    history: History,
    dataset: Dataset,
    test: Evaluation | None = None,
    chosen: Iterable[int] = (),
    *,
    tta: str = "none",
) -> list[Path]:
    """Draw all pictures of a run, using the test images of a data set, and return the PNG files."""
    images, labels = dataset.test_images, dataset.test_labels
    if not len(images):
        return draw_model(folder, model, history)
    return [
        *draw_model(folder, model, history, test or evaluate(model, images, labels, tta=tta)),
        *draw_images(folder, model, images, labels, dataset.class_names, chosen, dataset.test_names, tta),
    ]


def _test_record(test: Evaluation) -> dict[str, Any]:
    """Return the record of a test for the history: of the confusion matrix only its sums, which stay small."""
    return {
        "count": test.count,
        "loss": test.loss,
        "accuracy": test.accuracy,
        "classes": {
            "images": test.confusion.sum(axis=1).tolist(),
            "predicted": test.confusion.sum(axis=0).tolist(),
            "right": test.confusion.diagonal().tolist(),
        },
    }


def _make_folder(prepared: Prepared, out: str | Path | None) -> RunFolder:
    if out is not None:
        return create_run(out)
    return create_numbered_run(prepared.dataset.name, prepared.name if prepared.name in MODELS else "network")
