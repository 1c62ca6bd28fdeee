"""The processes of a training other than the first: they train with it, and write nothing."""

from __future__ import annotations

import warnings

from rot180.files import system
from rot180.parallel.communicator import Communicator
from rot180.runs.prepare import prepare
from rot180.runs.train_run import fit_prepared, share_settings
from rot180.training import Event, TrainingStarted
from rot180.training.interrupt import interruptible
from rot180.training.trainer import Trainer


def follow_run(communicator: Communicator) -> str:
    """Take part in the training that process 0 starts or resumes, and return why it ended, once that has finished.

    Settings come from process 0, and so does everything that the training continues from; the data are read here.

    Raises
    ------
    Rot180Error
        As from `train_run`.
    """
    trainers: list[Trainer] = []

    def remember(event: Event) -> None:
        if isinstance(event, TrainingStarted):
            trainers.append(event.trainer)

    def stop() -> None:
        if not trainers:
            raise KeyboardInterrupt
        trainers[0].stop("interrupted")

    with interruptible(stop, system.ending_signals()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # process 0 gives them
        settings = share_settings(communicator)
        history = fit_prepared(prepare(settings), [remember], communicator=communicator)
    communicator.barrier(rest=True)
    return history.stopped
