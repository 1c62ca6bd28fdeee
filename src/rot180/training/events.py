"""Events of a training, passed to its subscribers: the history, a progress bar, a run folder, a page.

A subscriber is any callable that takes one event. It is called in the training thread, between batches, so the model
does not change during the call. A subscriber that is a context manager is entered before the first event and exited
after the last, whatever happens in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rot180.ops.types import Array
from rot180.training.progress import Progress, Settings
from rot180.training.schedule import Schedule
from rot180.training.trainer import Trainer


@dataclass(frozen=True)
class TrainingStarted:
    """Sent before the first batch. `trainer` and `progress` stay live: a subscriber may keep them to save or stop."""

    trainer: Trainer
    settings: Settings
    progress: Progress
    epochs: int
    batches: int
    """Batches in an epoch."""
    images: int
    """Images in an epoch."""
    validation_images: int
    batch_of: Callable[[int, int], tuple[Array, Array]]
    """Returns the images and labels of a batch, as they are trained on, by epoch and batch, both from 0."""
    rate: Schedule
    """The learning rate as a function of the updates done."""


@dataclass(frozen=True)
class StepDone:
    """Sent after one batch."""

    epoch: int
    """From 1."""
    batch: int
    """Batches done in this epoch, from 1."""
    images: int
    """Images in this batch."""
    loss: float
    correct: int
    learning_rate: float
    updated: bool
    """False if the gradients are accumulated for a later update."""
    seconds: float
    """Duration of this batch."""


@dataclass(frozen=True)
class EpochDone:
    """Sent after the last batch of an epoch and its validation."""

    epoch: int
    """From 1."""
    train_loss: float
    """Mean over the images of the epoch, each measured during training on its batch."""
    train_accuracy: float
    """In [0, 1], measured likewise."""
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float
    """Learning rate of the last update."""
    seconds: float
    """Duration of the epoch's batches, without validation."""
    images_per_second: float
    is_best: bool
    """Whether the validation loss is the lowest so far; False without validation."""
    gradient_norm: float | None = None
    """Mean norm of the updates' gradients before they were clipped; None without clipping."""
    clipped: float | None = None
    """Share of the updates whose gradient was clipped, in [0, 1]; None without clipping."""


@dataclass(frozen=True)
class TrainingEnded:
    """Sent last."""

    reason: str
    """`finished`, `early_stopping`, `interrupted`, or the reason passed to `Trainer.stop`."""
    epoch: int
    """The epoch in which the training ended, from 1."""
    batch: int
    """Batches done in that epoch."""
    batches: int
    """Batches in a whole epoch."""
    seconds: float
    restored_epoch: int | None
    """The epoch whose weights early stopping restored, from 1."""


Event = TrainingStarted | StepDone | EpochDone | TrainingEnded
Subscriber = Callable[[Event], None]
