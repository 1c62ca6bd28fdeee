"""The curves of a run as TensorBoard event files; a subscriber."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rot180.errors import ArgumentError
from rot180.training import EpochDone, Event, StepDone, TrainingEnded, TrainingStarted


class TensorBoardWriter:
    """Write each step's loss and learning rate, and each epoch's metrics.

    A resumed training continues in a new file; steps after its checkpoint are not shown twice.

    Parameters
    ----------
    folder : callable
        Returns the folder of the event files, created if needed; called when the training starts.

    Raises
    ------
    ArgumentError
        The extra `tensorboard` is not installed.
    """

    def __init__(self, folder: Callable[[], Path]) -> None:
        require_tensorboard()
        self._folder, self._step = folder, 0

    def __call__(self, event: Event) -> None:
        """Record an event."""
        if isinstance(event, TrainingStarted):
            from tensorboardX import SummaryWriter

            progress = event.progress
            self._step = progress.epoch * event.batches + progress.batch
            purge = self._step + 1 if self._step else None
            # The suffix: the name contains the time in seconds, which another part of the training may share.
            self._writer = SummaryWriter(str(self._folder()), purge_step=purge, filename_suffix=f".{self._step}")
        elif isinstance(event, StepDone):
            self._step += 1
            self._add("step", loss=event.loss, learning_rate=event.learning_rate)
        elif isinstance(event, EpochDone):
            self._add("train", loss=event.train_loss, accuracy=event.train_accuracy)
            if event.gradient_norm is not None and event.clipped is not None:
                self._add("train", gradient_norm=event.gradient_norm, clipped=event.clipped)
            self._add("speed", images_per_second=event.images_per_second)
            if event.validation_loss is not None and event.validation_accuracy is not None:
                self._add("validation", loss=event.validation_loss, accuracy=event.validation_accuracy)
            self._writer.flush()
        elif isinstance(event, TrainingEnded):
            self._writer.close()

    def _add(self, group: str, **values: float) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, self._step)


def require_tensorboard() -> None:
    """Raise ArgumentError unless event files can be written; called before a training starts."""
    try:
        import tensorboardX  # noqa: F401
    except ImportError:
        raise ArgumentError(
            "--tensorboard needs a package that is not installed; install it with: pip install 'rot180[tensorboard]'"
        ) from None
