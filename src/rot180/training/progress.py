"""What a training is asked to do, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass, field

from rot180.data.augment import Augmentation
from rot180.ops.types import Array


@dataclass(frozen=True)
class Settings:
    """The settings of the loop.

    Attributes
    ----------
    epochs, batch_size : int
        Passes over the images; images in a batch. The last batch of an epoch may be shorter.
    accumulate : int
        Batches whose gradients are combined in one update. The last update of an epoch takes those that remain.
    early_stopping : int or None
        Epochs without a lower validation loss after which the loop stops and restores the best weights.
    augment : Augmentation or None
        Applied to each batch.
    tta : str
        How the validation images are evaluated; see `rot180.training.evaluate`.
    schedule, warmup
        The origin of the learning rates, kept for comparing trainings: the loop itself takes the rates.
    sample_weights : str or None
        The fingerprint of the images' weights, kept for comparing trainings.
    shards : int or None
        Into how many parts each batch is cut (`rot180.training.data_parallel`); None: one for each process.
    sync_batch_norm : bool
        Whether batch normalization uses the mean and variance of the whole batch nevertheless.
    """

    epochs: int
    batch_size: int
    accumulate: int = 1
    early_stopping: int | None = None
    augment: Augmentation | None = None
    tta: str = "none"
    schedule: str = "constant"
    warmup: int | float = 0
    sample_weights: str | None = None
    shards: int | None = None
    sync_batch_norm: bool = False

    def batches(self, images: int) -> int:
        """Return the number of batches in an epoch."""
        return -(-images // self.batch_size)

    def updates(self, images: int) -> int:
        """Return the number of updates in the whole training."""
        return self.epochs * self.updates_per_epoch(images)

    def updates_per_epoch(self, images: int) -> int:
        """Return the number of updates in an epoch."""
        return -(-self.batches(images) // self.accumulate)


@dataclass
class Progress:
    """The position of the loop.

    Attributes
    ----------
    epoch, batch : int
        Epochs completed; batches completed in the current epoch.
    step : int
        Updates completed.
    loss_sum, correct, images, seconds
        For the current epoch so far: summed loss, correct predictions, images seen, time of the batches.
    gradient_norms, clipped
        Likewise: summed norms of the updates' gradients, updates whose gradient was clipped; 0 without clipping.
    elapsed : float
        Seconds of training in total, over all processes that took part.
    best_loss, best_epoch
        The lowest validation loss and its epoch (from 1).
    best_parameters : dict of str to array
        Copies of that epoch's weights; kept with early stopping only.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    images: int = 0
    seconds: float = 0.0
    gradient_norms: float = 0.0
    clipped: int = 0
    elapsed: float = 0.0
    best_loss: float | None = None
    best_epoch: int | None = None
    best_parameters: dict[str, Array] = field(default_factory=dict)
