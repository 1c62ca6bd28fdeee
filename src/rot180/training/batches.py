"""The batches of a training, whole or cut into shards: which images, and with which random numbers they are altered.

They depend only on the seed, the epoch, the batch and the shard's number: never on the thread or process that makes
them, or on what was made before.
"""

from __future__ import annotations

from typing import NamedTuple

from rot180.data.lazy import Images
from rot180.ops.types import Array
from rot180.training.data_parallel import DataParallel
from rot180.training.progress import Settings
from rot180.training.shards import Shard
from rot180.training.streams import epoch_flips, epoch_order, stream
from rot180.training.trainer import Trainer


class Examples(NamedTuple):
    """Images, their labels, and how much each of them counts in the loss; None for all alike."""

    images: Images
    labels: Array
    weights: Array | None = None


class EpochBatches:
    """The batches of one epoch, by their numbers.

    Parameters
    ----------
    examples : Examples
        All training images.
    settings : Settings
        Of the loop.
    trainer : Trainer
        Prepared for these images.
    epoch : int
        From 0.
    """

    def __init__(self, examples: Examples, settings: Settings, trainer: Trainer, epoch: int) -> None:
        self._examples, self._settings, self._trainer, self._epoch = examples, settings, trainer, epoch
        count = len(examples.images)
        self._order = epoch_order(trainer.seed, epoch, count)
        self._flips = epoch_flips(trainer.seed, epoch, count)

    def whole(self, batch: int) -> tuple[Array, Array, Array | None]:
        """Return the images, labels and weights of one batch."""
        return self._taken(self._chosen(batch), batch)

    def shards(self, parallel: DataParallel, batch: int) -> list[Shard]:
        """Return this process's shards of one batch."""
        cut = parallel.cut(self._chosen(batch))
        return [Shard(number, count, *self._taken(part, batch, number)) for number, count, part in cut]

    def _chosen(self, batch: int) -> Array:
        size = self._settings.batch_size
        return self._order[batch * size : (batch + 1) * size]

    def _taken(self, chosen: Array, *place: int) -> tuple[Array, Array, Array | None]:
        """Return the chosen images, augmented with the random numbers of this place in the epoch."""
        images, labels, weights = self._examples
        of_chosen = None if weights is None else weights[chosen]
        if self._settings.augment is None:
            return images[chosen], labels[chosen], of_chosen
        trainer = self._trainer
        augmented, mixed = self._settings.augment(
            images,
            labels,
            stream(trainer.seed, "augment", self._epoch, *place),
            trainer.model.output_shape[0],
            trainer.limits,
            chosen=chosen,
            flips=self._flips,
        )
        return augmented, mixed, of_chosen
