"""A trial: one training with one choice of the settings that are searched."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from rot180.data import Dataset
from rot180.errors import NonFiniteError, TooLargeError
from rot180.runs.prepare import prepare
from rot180.runs.settings import RunSettings
from rot180.runs.train_run import fit_prepared
from rot180.training import EpochDone, Event, History, Subscriber, TrainingStarted
from rot180.tuning.space import Choice, Space

FINISHED, PRUNED, FAILED = "finished", "pruned", "failed"


@dataclass(frozen=True)
class Trial:
    """A trial that has ended.

    Attributes
    ----------
    number : int
        From 1.
    state : str
        `finished`; `pruned`, if it was stopped as it fell behind the others; or `failed`, if it could not be trained.
    choice : dict
        What was tried, by name.
    accuracies : tuple of float
        Of the validation images after each epoch.
    accuracy : float or None
        That of the weights which the trial ended with; None if it is not finished.
    loss : float or None
        The validation loss likewise.
    seconds : float
    reason : str or None
        Why it failed.
    """

    number: int
    state: str
    choice: Choice
    accuracies: tuple[float, ...]
    accuracy: float | None
    loss: float | None
    seconds: float
    reason: str | None = None


@dataclass(frozen=True)
class TrialStarted:
    """Sent before a trial."""

    number: int
    """From 1."""
    planned: int
    """All trials of the study."""
    choice: Choice


@dataclass(frozen=True)
class TrialEnded:
    """Sent after a trial, unless it was interrupted."""

    trial: Trial
    best: Trial | None
    """The best so far."""
    planned: int


def best_of(trials: Iterable[Trial]) -> Trial | None:
    """Return the finished trial with the highest accuracy; of several, that with the lowest loss."""
    finished = [trial for trial in trials if trial.accuracy is not None]
    return max(
        finished,
        key=lambda trial: (trial.accuracy or 0.0, -math.inf if trial.loss is None else -trial.loss, -trial.number),
        default=None,
    )


def train_trial(
    settings: RunSettings,
    dataset: Dataset,
    subscribers: Iterable[Subscriber],
    on_epoch: Callable[[int, float], bool],
    on_start: Callable[[Callable[[str], None]], None],
) -> tuple[History, str | None]:
    """Train as `rot180 train` does, without a test and a folder.

    Parameters
    ----------
    settings : RunSettings
        Complete settings.
    dataset : Dataset
        Without test images.
    subscribers : iterable of callables
        Called with every event of the training.
    on_epoch : callable
        Called with the number of epochs done and the validation accuracy; returns whether to stop the trial.
    on_start : callable
        Called with a function that stops the training for a reason.

    Returns
    -------
    history : History
    reason : str or None
        Why the training failed: its numbers became infinite or NaN, or the network needs too much memory.
    """
    stop: list[Callable[[str], None]] = []

    def watch(event: Event) -> None:
        if isinstance(event, TrainingStarted):
            stop.append(event.trainer.stop)
            on_start(event.trainer.stop)
        elif isinstance(event, EpochDone) and event.validation_accuracy is not None:
            if on_epoch(event.epoch, event.validation_accuracy) and event.epoch < (settings.epochs or 0):
                stop[0](PRUNED)

    history = History()
    try:
        fit_prepared(prepare(settings, dataset=dataset), [history, watch, *subscribers])
    except (NonFiniteError, TooLargeError) as error:
        return history, str(error)
    return history, None


def trial_of(frozen: Any, number: int, space: Space) -> Trial:
    """Return a trial as Optuna's storage keeps it.

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError
        It is not as this program writes it.
    """
    notes = frozen.user_attrs
    values = frozen.intermediate_values
    finished = frozen.state.name == "COMPLETE"
    reason = notes.get("reason")
    if reason is None and not values:
        reason = "no epoch was completed"
    choice = {name: notes["choice"][name] for name in space.names}
    for name, value in choice.items():
        if not isinstance(value, str if name == "augment" else float):
            raise TypeError(f"{name} is {value!r}")
    return Trial(
        number,
        FINISHED if finished else FAILED if reason is not None else PRUNED,
        choice,
        tuple(float(values[epoch]) for epoch in sorted(values)),
        float(frozen.values[0]) if finished else None,
        None if notes.get("loss") is None else float(notes["loss"]),
        float(notes["seconds"]),
        None if reason is None else str(reason),
    )
