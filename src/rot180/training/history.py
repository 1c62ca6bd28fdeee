"""The history of a training: every step's loss and every epoch's measures. It is a subscriber like any other."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from rot180.training.events import EpochDone, Event, StepDone, TrainingEnded


@dataclass
class History:
    """What a training went through.

    Attributes
    ----------
    losses : list of float
        Mean loss of each batch, before its update.
    learning_rates : list of float
        Of each batch.
    epochs : list of EpochDone
        One for each whole epoch.
    stopped : str
        Why it ended: `finished`, `early_stopping`, `interrupted`.
    epoch, batch : int
        Where it ended: batches done in which epoch (from 1).
    seconds : float
        Of the whole training.
    restored_epoch : int or None
        After early stopping, the epoch whose weights were put back.
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
        """Take an event in."""
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
        """The epoch whose weights the model has: the best one after early stopping, else the last; None before one."""
        if not self.epochs:
            return None
        return next((epoch for epoch in self.epochs if epoch.epoch == self.restored_epoch), self.epochs[-1])

    def column(self, name: str) -> list[Any]:
        """Return one measure of every epoch, such as `train_loss` or `validation_accuracy`."""
        return [getattr(epoch, name) for epoch in self.epochs]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as lists, numbers and strings, ready for JSON."""
        return asdict(self)
