"""The history of a training: the loss of every step and the metrics of every epoch. It is an ordinary subscriber."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from rot180.training.events import EpochDone, Event, StepDone, TrainingEnded


@dataclass
class History:
    """The record of a training.

    Attributes
    ----------
    losses : list of float
        Mean loss of each batch, before its update.
    learning_rates : list of float
        Learning rate of each batch.
    epochs : list of EpochDone
        One per completed epoch.
    stopped : str
        Why the training ended: `finished`, `early_stopping`, `interrupted`.
    epoch, batch : int
        Where it ended: the epoch (from 1) and the batches done in it.
    seconds : float
        Duration of the whole training.
    restored_epoch : int or None
        After early stopping, the epoch whose weights were restored.
    """

    losses: list[float] = field(default_factory=list)
    learning_rates: list[float] = field(default_factory=list)
    epochs: list[EpochDone] = field(default_factory=list)
    stopped: str = ""
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    restored_epoch: int | None = None

    def __call__(self, event: Event) -> None:
        """Record an event."""
        if isinstance(event, StepDone):
            self.losses.append(event.loss)
            self.learning_rates.append(event.learning_rate)
        elif isinstance(event, EpochDone):
            self.epochs.append(event)
        elif isinstance(event, TrainingEnded):
            self.stopped, self.epoch, self.batch = event.reason, event.epoch, event.batch
            self.seconds, self.restored_epoch = event.seconds, event.restored_epoch

    @property
    def kept(self) -> EpochDone | None:
        """The epoch whose weights the model has: the best after early stopping, else the last; None without epochs."""
        if not self.epochs:
            return None
        return next((epoch for epoch in self.epochs if epoch.epoch == self.restored_epoch), self.epochs[-1])

    def column(self, name: str) -> list[Any]:
        """Return one metric of every epoch, such as `train_loss` or `validation_accuracy`."""
        return [getattr(epoch, name) for epoch in self.epochs]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as lists, numbers and strings, ready for JSON."""
        return asdict(self)
