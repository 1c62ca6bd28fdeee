"""Record a training in its run folder: history, checkpoints, best weights. A subscriber."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from rot180.errors import ArgumentError, ModelError
from rot180.files import quoted
from rot180.runs.checkpoint import Checkpoint, list_checkpoints, save_checkpoint
from rot180.runs.folder import RunFolder
from rot180.runs.history_file import HistoryWriter
from rot180.training import EpochDone, Event, History, StepDone, TrainingEnded, TrainingStarted, capture
from rot180.training.state import history_so_far

TO_THE_END = ("finished", "early_stopping")
"""The reasons for ending after which there is nothing left to resume."""


@dataclass(frozen=True)
class CheckpointPolicy:
    """When to write checkpoints, besides the end of each epoch and interruptions.

    Parameters
    ----------
    every : int or None
        Every this many steps.
    minutes : float
        Every this many minutes.

    Raises
    ------
    ArgumentError
        A value is zero or less.
    """

    every: int | None = None
    minutes: float = 5.0

    def __post_init__(self) -> None:
        if self.every is not None and self.every < 1:
            raise ArgumentError(f"--checkpoint-every must be at least 1 step; it is {self.every}")
        if not self.minutes > 0:
            raise ArgumentError(f"--checkpoint-minutes must be above 0; it is {self.minutes}")


class RunRecorder:
    """Keep a run folder up to date.

    Everything reported as done, to the history file and to later subscribers, is in a checkpoint by then.

    Parameters
    ----------
    open_folder : callable
        Creates the folder, or returns the one that is resumed; called after everything else has been checked.
    policy : CheckpointPolicy
    resumed : Checkpoint, optional
        The checkpoint that the training continues from.

    Attributes
    ----------
    head : dict
        What is known of the training of the last layer before the first step, for the history; empty if there was none.
    """

    def __init__(
        self,
        open_folder: Callable[[TrainingStarted], RunFolder],
        policy: CheckpointPolicy,
        resumed: Checkpoint | None = None,
    ) -> None:
        self.folder: RunFolder | None = None
        self._open_folder, self._policy, self._resumed = open_folder, policy, resumed
        self.head: dict[str, float] = {}
        self._history = History() if resumed is None else history_so_far(resumed.state.history)
        self._started: TrainingStarted | None = None
        self._writer: HistoryWriter | None = None
        self._epoch_pending = False

    @property
    def opened(self) -> RunFolder:
        """The folder, once the training has started."""
        if self.folder is None:
            raise ArgumentError("the run folder is created when the training starts")
        return self.folder

    @property
    def steps(self) -> int:
        """Updates done."""
        return 0 if self._started is None else self._started.progress.step

    def stop(self) -> None:
        """Stop the training after its current batch, or immediately if it has not started."""
        if self._started is None:
            raise KeyboardInterrupt
        self._started.trainer.stop("interrupted")

    def note(self, event: str, **values: Any) -> None:
        """Append a line to the history; see `HistoryWriter.write`."""
        if self._writer is None:
            raise ArgumentError("a recorder is told of the start first")
        self._writer.write(event, **values)

    def __call__(self, event: Event) -> None:
        """Record an event.

        Raises
        ------
        ModelError
            The folder cannot be written; the last checkpoint is intact.
        NonFiniteError
            A weight is infinite or NaN.
        """
        if isinstance(event, TrainingStarted):
            self._begin(event)
            return
        if self._started is None or self._writer is None or self.folder is None:
            raise ArgumentError("a recorder is told of the start first")
        if isinstance(event, StepDone):
            self._history(event)
            self._writer(event)
            if self._is_due(event):
                self._save()
        elif isinstance(event, EpochDone):
            self._history(event)
            self._epoch_pending = True
            self._save()
            if event.is_best:
                self._save_best(self._started, self.folder)
            self._writer(event)
            self._epoch_pending = False
        elif isinstance(event, TrainingEnded):
            if event.reason not in TO_THE_END:
                self._save()
            self._writer(event)

    def _begin(self, event: TrainingStarted) -> None:
        self._started = event
        self.folder = self._open_folder(event)
        self._writer = self.folder.history_writer()
        if self._resumed is None:
            self._writer(event)
            if self.head:
                self._writer.write("head", **self.head)
        else:
            pending = self._resumed.extra["epoch_pending"]
            self._writer.restore(self._resumed.extra["history_file"], len(self._history.epochs) - bool(pending))
            if pending:
                # The process ended between the epoch's checkpoint and the writes that follow it.
                if self._history.epochs[-1].is_best:
                    self._save_best(event, self.folder)
                self._writer(self._history.epochs[-1])
            self._writer.write("resumed", epoch=event.progress.epoch + 1, batch=event.progress.batch)
            if event.epochs != (planned := self._resumed.state.plan["epochs"]):
                self._writer.write("extended", epochs=event.epochs, before=planned)
        # Also a trial: what cannot be written now could not be written after hours of training either.
        self._save()
        self._check_room()

    def _is_due(self, step: StepDone) -> bool:
        if self._started is None or not step.updated or step.batch == self._started.batches:
            return False  # only between two updates; at the end of an epoch one is written anyway
        steps = self._started.progress.step - self._saved_step
        return (self._policy.every is not None and steps >= self._policy.every) or (
            monotonic() - self._saved_at >= 60 * self._policy.minutes
        )

    def _save(self) -> None:
        started, folder = self._started, self.folder
        if started is None or folder is None or self._writer is None:
            raise ArgumentError("a recorder is told of the start first")
        model = started.trainer.model
        state = capture(started.trainer, started.settings, started.progress, started.images, self._history)
        try:
            extra: dict[str, Any] = {"history_file": self._writer.state(), "epoch_pending": self._epoch_pending}
            self._newest = save_checkpoint(folder.checkpoints, model, state, extra)
        except ModelError as error:
            if not list_checkpoints(folder.checkpoints):
                raise
            raise ModelError(f"{error}; then resume with: rot180 train --resume {quoted(folder.path)}") from None
        self._saved_step, self._saved_at = started.progress.step, monotonic()

    def _save_best(self, started: TrainingStarted, folder: RunFolder) -> None:
        with started.trainer.averaged():
            folder.save_best(started.trainer.model)

    def _check_room(self) -> None:
        """Raise ModelError unless another checkpoint fits on the disk besides the one just written."""
        needed = sum(entry.stat().st_size for entry in self._newest.iterdir())
        free = shutil.disk_usage(self._newest).free
        if free < needed:
            raise ModelError(
                f"{self._newest.parent}: two checkpoints of {needed / 1e6:.1f} MB must fit, but only "
                f"{free / 1e6:.1f} MB are left besides the first; make room or choose another folder"
            )
