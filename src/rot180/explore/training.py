"""The training that the page shows: the one that `fit` runs, to the same bits as `rot180 train`.

It runs in the thread that owns the network. Between two batches its subscriber carries out commands, and waits there
while the training is paused.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, Rot180Error
from rot180.explore.owner import Owner
from rot180.explore.subject import Subject
from rot180.inside import Journey, journey
from rot180.inside.alarm import Alarm
from rot180.inside.health import IMAGES, HealthReport, health
from rot180.inside.moments import Moment, Moments
from rot180.nn import Network
from rot180.nn.loss import Loss
from rot180.ops.types import Array
from rot180.runs.replay import Replay, weights_sha256
from rot180.runs.train_run import fit_prepared, train_last_layer
from rot180.training import History, Optimizer
from rot180.training.events import EpochDone, Event, StepDone, Subscriber, TrainingEnded, TrainingStarted

IDLE, RUNNING, PAUSED, ENDED, FAILED = "idle", "running", "paused", "ended", "failed"


class Training:
    """The training of a subject's network.

    Parameters
    ----------
    owner : Owner
    subject : Subject

    Attributes
    ----------
    model : Network
        The network as it is now: the subject's before the training, then the one in training.
    state : str
        `idle`, `running`, `paused`, `ended` or `failed`.
    reason : str
        Why it ended, failed, or was paused by itself.
    is_watched : bool
        Whether it is paused when it needs a look.
    generation : int
        How many trainings were started.
    replayed_from : int or None
        The updates done at the checkpoint that the training has gone on from; None if it began at the beginning.
    compared : list
        For each later checkpoint that a replay has come to: updates, the SHA-256 of the weights, and whether it is
        that of the checkpoint.
    moments : Moments
        Copies of the weights on the way.
    points : list
        After each batch: the number of batches so far, loss, correct images, images, learning rate.
    epochs : list
        After each epoch: the number of batches so far, and the losses and accuracies of training and validation.
    """

    def __init__(self, owner: Owner, subject: Subject) -> None:
        self._owner, self._subject = owner, subject
        self._started: TrainingStarted | None = None
        self._history = History()
        self._left: int | None = 0
        self._alarm: Alarm | None = None
        self._is_given_up = False
        self.model: Network = subject.model
        self.state, self.reason, self.generation = IDLE, "", 0
        self.is_watched = False
        self.moments = Moments()
        self._replay: Replay | None = None
        self.replayed_from: int | None = None
        self.compared: list[dict[str, Any]] = []
        self.points: list[tuple[int, float, int, int, float]] = []
        self.epochs: list[dict[str, Any]] = []

    @property
    def step(self) -> int:
        """Updates done."""
        return 0 if self._started is None else self._started.progress.step

    @property
    def optimizer(self) -> Optimizer | None:
        """The optimizer with its state."""
        return self._subject.optimizer if self._started is None else self._started.trainer.optimizer

    @property
    def loss(self) -> Loss:
        """The loss of the training; called by the owner."""
        if self._started is None:
            raise ArgumentError("no training has started")
        return self._started.trainer.loss

    def command(self, what: str, steps: int = 1, start: int = 0) -> None:
        """Carry out a command: `begin` (and wait before the first batch), `run`, `pause`, `step` or `restart`.

        `watch` pauses the training as soon as it needs a look (`rot180.inside.alarm`), `ignore` does not. `replay`
        begins at the run's checkpoint after `start` updates, and waits there.

        Raises
        ------
        ArgumentError
            There is no such command, or nothing to train on.
        """
        if self._subject.prepare is None:
            raise ArgumentError("this network has no data to train on; start rot180 explore with --data")
        if what == "restart":
            self._owner.ask(self._give_up)
        elif what == "replay":
            if start not in self._subject.checkpoints or self._subject.replay is None:
                known = ", ".join(map(str, self._subject.checkpoints)) or "none"
                raise ArgumentError(f"there is no checkpoint after {start} updates to replay from; there is: {known}")
            if self.state in (RUNNING, PAUSED):
                raise ArgumentError("a training is under way: start over first, then replay")
            self._owner.ask(lambda: self._begin_replay(start))
        elif what in ("watch", "ignore"):
            self.is_watched = what == "watch"
        elif what in ("run", "step", "begin", "pause"):
            left = {"run": None, "step": steps}.get(what, 0)
            self._owner.ask(lambda: self._go_on(left, begins=what != "pause"))
        else:
            raise ArgumentError(
                f"unknown command {what[:40]!r}; known: begin, run, pause, step, restart, replay, watch, ignore"
            )

    def next_batch(self) -> Journey:
        """Return the journey of the batch that comes next; called by the owner.

        Raises
        ------
        ArgumentError
            No training has started, or it has ended.
        """
        started, (images, labels) = self._under_way(), self.next_images()
        progress, trainer = started.progress, started.trainer
        rule = copy.deepcopy(trainer.optimizer)
        rule.lr = started.rate(progress.step)
        return journey(trainer.model, images, labels, optimizer=rule, loss=trainer.loss, seed=trainer.seed)

    def next_images(self) -> tuple[Array, Array]:
        """Return the images and labels of the batch that comes next; called by the owner.

        Raises
        ------
        ArgumentError
            As from `next_batch`.
        """
        started = self._under_way()
        # Between two epochs, the position is that after the last batch of the one before.
        epoch, batch = started.progress.epoch, started.progress.batch
        if batch == started.batches:
            epoch, batch = epoch + 1, 0
        if epoch >= started.epochs:
            raise ArgumentError("there is no next batch: the training has not started, or has ended")
        return started.batch_of(epoch, batch)

    def moment_at(self, step: int) -> Moment:
        """Return the moment after this many updates.

        Raises
        ------
        ArgumentError
            It is not kept, or no longer.
        """
        for moment in self.moments.kept:
            if moment.step == step:
                return moment
        raise ArgumentError(f"the moment after {step:,} updates is not kept; choose another")

    def batch_after(self, step: int) -> tuple[Array, Array]:
        """Return the images and labels of the batch that came after a moment; called by the owner.

        Raises
        ------
        ArgumentError
            There is no such moment, it is the last one, or an update is made of several batches.
        """
        moment, started = self.moment_at(step), self._started
        if started is None or moment.epoch >= started.epochs:
            raise ArgumentError("this is the last moment: no update came after it; choose an earlier one")
        if started.settings.accumulate > 1:
            raise ArgumentError("with --accumulate an update is made of several batches, which are not told apart here")
        return started.batch_of(moment.epoch, moment.batch)

    def _under_way(self) -> TrainingStarted:
        if self._started is None or self.state not in (RUNNING, PAUSED):
            raise ArgumentError("there is no next batch: the training has not started, or has ended")
        return self._started

    def health(self) -> HealthReport:
        """Examine the network as it is now; called by the owner."""
        subject = self._subject
        images, labels = np.asarray(subject.images[:IMAGES]), subject.labels[:IMAGES]
        history = self._history if self._history.epochs else None
        return health(self.model, history, images, labels, optimizer=self.optimizer, of=f"{subject.part} images")

    def since(self, generation: int, point: int) -> dict[str, Any]:
        """Return what is new after a point of a generation of the training."""
        is_same = generation == self.generation
        points = self.points[point if is_same else 0 :]
        return {
            "generation": self.generation,
            "is_new": not is_same,
            "state": self.state,
            "reason": self.reason,
            "is_watched": self.is_watched,
            "replayed_from": self.replayed_from,
            "compared": list(self.compared),
            "step": self.step,
            "batches": self._batches,
            "of_epochs": 0 if self._started is None else self._started.epochs,
            "points": points,
            "epochs": self.epochs,
        }

    def stop(self) -> None:
        """End the training after its batch, as the program ends."""
        self._is_given_up = True
        self._left = None

    def _go_on(self, steps: int | None, *, begins: bool) -> None:
        """Run so many batches, or all; with `begins`, of a training that has not begun. Carried out by the owner."""
        if self.state in (RUNNING, PAUSED):
            self._left, self.reason = steps, ""
            self.state = PAUSED if steps == 0 else RUNNING
        elif begins and self.state == IDLE:
            self._left, self.state = steps, RUNNING
            self._owner.ask(self._train)

    def _give_up(self) -> None:
        """Return to the network before its training."""
        if self.state in (RUNNING, PAUSED):
            self._is_given_up = True  # `_train` forgets it once `fit` has returned
        else:
            self._forget()

    def _forget(self) -> None:
        self.generation += 1
        self._is_given_up, self._left = False, 0
        self._replay, self.replayed_from, self.compared = None, None, []
        self.moments = Moments()
        self.points, self.epochs, self._history, self._started = [], [], History(), None
        self.model, self.state, self.reason = self._subject.model, IDLE, ""

    def _begin_replay(self, start: int) -> None:
        """Go back to a checkpoint. Carried out by the owner."""
        if self._subject.replay is None or self.state in (RUNNING, PAUSED):
            return
        self._forget()
        try:
            self._replay = self._subject.replay(start)
        except Rot180Error as error:
            self.state, self.reason = FAILED, str(error)
            return
        self.replayed_from = start
        self._go_on(0, begins=True)

    def _train(self) -> None:
        if self._subject.prepare is None:
            return
        again = self._replay
        try:
            if again is None:
                prepared = self._subject.prepare()
                train_last_layer(prepared, None, warnings.warn)
            else:
                prepared = again.prepared
            if not prepared.model.is_built:
                prepared.model.build(seed=prepared.settings.seed)
            self.model = prepared.model
            self._alarm = Alarm(self._subject.images)
            subscribers: list[Subscriber] = [self._history, self.moments, self._listen]
            history = fit_prepared(prepared, subscribers, resume=None if again is None else again.state)
        except Rot180Error as error:
            self.state, self.reason = FAILED, str(error)
        else:
            self.state, self.reason = ENDED, history.stopped
        if self._is_given_up:
            self._forget()

    @property
    def _batches(self) -> int:
        return 0 if self._started is None else self._started.batches

    def _compare(self) -> None:
        """Compare the weights with those of the checkpoint that the run wrote here, if it did."""
        expected = None if self._replay is None else self._replay.later.get(self.step)
        if expected is not None and all(known["step"] != self.step for known in self.compared):
            found = weights_sha256(self.model.state)
            self.compared.append({"step": self.step, "sha256": found, "same": found == expected})

    def _listen(self, event: Event) -> None:
        if isinstance(event, TrainingStarted):
            self._started = event
        elif isinstance(event, StepDone):
            done = (event.epoch - 1) * self._batches + event.batch
            self.points.append((done, event.loss, event.correct, event.images, event.learning_rate))
            self._compare()
            if self._left is not None:
                self._left -= 1
        elif isinstance(event, EpochDone):
            self.epochs.append(
                {
                    "at": event.epoch * self._batches,
                    "train_loss": event.train_loss,
                    "train_accuracy": event.train_accuracy,
                    "validation_loss": event.validation_loss,
                    "validation_accuracy": event.validation_accuracy,
                }
            )
        if isinstance(event, TrainingEnded) or self._started is None:
            return
        if self._alarm is not None and (self.is_watched or not isinstance(event, EpochDone)):
            reason = self._alarm(event)  # to look after each epoch takes a moment, and is left out if nobody watches
            if reason and self.is_watched:
                self._left, self.reason = 0, reason
        if self._left is not None and self._left <= 0:
            self._left, self.state = 0, PAUSED
        self._owner.pause_for_commands(wait=lambda: self._left == 0 and not self._is_given_up)
        if self._is_given_up or self._owner.is_closing:
            self._started.trainer.stop("given up")
