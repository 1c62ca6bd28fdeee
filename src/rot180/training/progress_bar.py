"""A progress bar, on stderr or in a notebook: a subscriber to the events of a training."""

from __future__ import annotations

from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rot180.language import translate
from rot180.training.events import EpochDone, Event, StepDone, TrainingStarted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


class ProgressBar:
    """Show epoch, images per second, loss, accuracy and time left during training, and one line per finished epoch.

    Works in a terminal and in a notebook. A notebook without the package `ipywidgets` shows only the lines, as it
    cannot update a bar; if stderr is neither, such as a file, nothing is shown.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to draw; stderr or the notebook by default.

    Examples
    --------
    >>> import rot180
    >>> data = rot180.load_data("digits").limit(64)
    >>> history = rot180.fit(rot180.network("8x8x1 > fc10"), data, epochs=1, subscribers=[rot180.ProgressBar()])
    """

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = console or Console(stderr=True)
        self._bar: Progress = Progress(
            # Translated here: drawn, the texts have codes of the terminal between them.
            TextColumn(translate("epoch {task.fields[epoch]}")),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:3.0f}%"),
            TextColumn(translate("{task.fields[rate]:,.0f} images/s")),
            TextColumn(translate("loss {task.fields[loss]:.4f}")),
            TextColumn(translate("accuracy {task.fields[accuracy]:.2f}%")),
            TimeRemainingColumn(compact=True),
            TextColumn(translate("left")),
            console=self._console,
            transient=True,
            disable=not (self._console.is_terminal or (self._console.is_jupyter and _can_draw_in_notebooks())),
        )
        self._is_shown = self._console.is_terminal or self._console.is_jupyter
        self._task = self._bar.add_task("training", start=False, epoch="", rate=0.0, loss=0.0, accuracy=0.0)
        self._epochs = 0
        self._clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def __call__(self, event: Event) -> None:
        """Handle an event."""
        if not self._is_shown:
            return
        if isinstance(event, TrainingStarted):
            self._epochs = event.epochs
            done = event.progress.epoch * event.batches + event.progress.batch
            self._bar.update(self._task, total=event.epochs * event.batches, completed=done, epoch=f"-/{event.epochs}")
            self._bar.start()  # not earlier: reading the data may show its own bar
            self._bar.start_task(self._task)
        elif isinstance(event, StepDone):
            self._count(event)
            self._bar.update(
                self._task,
                advance=1,
                epoch=f"{event.epoch}/{self._epochs}",
                rate=self._images / max(self._seconds, 1e-9),
                loss=self._loss / self._images,
                accuracy=100 * self._correct / self._images,
            )
        elif isinstance(event, EpochDone):
            self._console.print(self._line(event), highlight=False)
            self._clear()

    def _count(self, step: StepDone) -> None:
        """Add a batch to the running means of its epoch."""
        self._images += step.images
        self._loss += step.loss * step.images
        self._correct += step.correct
        self._seconds += step.seconds

    def _clear(self) -> None:
        self._images, self._loss, self._correct, self._seconds = 0, 0.0, 0, 0.0

    def _line(self, epoch: EpochDone) -> str:
        """Return the line that stays on the screen for an epoch."""
        parts = [
            f"epoch {epoch.epoch}/{self._epochs}",
            f"{translate('loss')} {epoch.train_loss:.4f}",
            f"accuracy {100 * epoch.train_accuracy:.2f}%",
        ]
        if epoch.validation_loss is not None and epoch.validation_accuracy is not None:
            parts.append(f"validation loss {epoch.validation_loss:.4f}")
            parts.append(f"accuracy {100 * epoch.validation_accuracy:.2f}%")
            if epoch.is_best:
                parts.append("(best so far)")
        if epoch.clipped is not None:
            parts.append(f"clipped {100 * epoch.clipped:.0f}%")
        parts.append(f"{epoch.images_per_second:,.0f} images/s")
        return "  ".join(map(translate, parts))


def _can_draw_in_notebooks() -> bool:
    """Return whether the package that updates output in notebooks is installed."""
    return find_spec("ipywidgets") is not None
