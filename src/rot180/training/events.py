"""What happened in a training, as told to subscribers: the history, a progress bar, a run folder, a page.

A subscriber is anything callable with one event. It is called in the training thread, between batches, so the model
stands still while it looks. One that is a context manager is entered before the first event and left after the last,
whatever happens in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rot180.training.loop import Progress, Settings
    from rot180.training.trainer import Trainer


@dataclass(frozen=True)
class TrainingStarted:
    """Before the first batch. `trainer` and `progress` stay live: a subscriber may keep them to save or stop."""

    trainer: Trainer
    settings: Settings
    progress: Progress
    epochs: int
    batches: int
    """Batches in an epoch."""
    images: int
    """Images in an epoch."""
    validation_images: int


@dataclass(frozen=True)
class StepDone:
    """After one batch."""

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
    """False where the gradients wait for more batches."""
    seconds: float
    """Of this batch alone."""


@dataclass(frozen=True)
class EpochDone:
    """After the last batch of an epoch and its validation."""

    epoch: int
    """From 1."""
    train_loss: float
    """Mean over the images of the epoch, each as it was when its batch came."""
    train_accuracy: float
    """In [0, 1], likewise."""
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float
    """Of the last update."""
    seconds: float
    """Of the epoch's batches, without validation."""
    images_per_second: float
    is_best: bool
    """Whether the validation loss is the lowest so far; False without validation."""


@dataclass(frozen=True)
class TrainingEnded:
    """After everything."""

    reason: str
    """`finished`, `early_stopping`, `interrupted`, or what `Trainer.stop` was given."""
    epoch: int
    """The epoch it ended in, from 1."""
    batch: int
    """Batches done in that epoch."""
    batches: int
    """Batches in a whole epoch."""
    seconds: float
    restored_epoch: int | None
    """The epoch whose weights early stopping put back, from 1."""


Event = TrainingStarted | StepDone | EpochDone | TrainingEnded
Subscriber = Callable[[Event], None]
