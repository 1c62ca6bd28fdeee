"""What `rot180 tune` prints: the plan, a line for each trial, the best of them, and the command to train with."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rot180.cli.output import percent, print_columns, visible
from rot180.language import translate

if TYPE_CHECKING:
    from rich.progress import TaskID

    from rot180.data import Dataset
    from rot180.tuning.study import Plan
    from rot180.tuning.trial import Trial
    from rot180.tuning.tune import Study

MOST = 12
"""The trials in the table."""


def result(study: Study, picture: Path | None) -> dict[str, Any]:
    """Return what `--json` prints."""
    return {
        "study": study.folder.path,
        "is_complete": study.is_complete,
        "planned": study.plan.trials,
        "space": {name: getattr(study.plan.space, name) for name in study.plan.space.names},
        "trials": [asdict(trial) for trial in study.trials],
        "best": None if study.best is None else study.best.number,
        "validation_accuracy": None if study.best is None else study.best.accuracy,
        "command": study.command,
        "picture": picture,
    }


def say_plan(plan: Plan, dataset: Dataset) -> None:
    """Print the data, the network and what is searched."""
    from rot180.tuning.space import CALLED

    print(f"data: {visible(dataset.sources)}")
    print(f"network: {visible(plan.network)}")
    share = plan.settings.validation
    if isinstance(share, float):
        print(f"trials are compared on {share:.3g} of the training images, which are held out; no test image is used")
    else:
        print("trials are compared on the validation images; no test image is used")
    for name in plan.space.names:
        values = getattr(plan.space, name)
        shown = f"{values[0]:g} ... {values[1]:g}" if name in ("lr", "weight_decay") else " | ".join(map(_text, values))
        print(f"  {translate(CALLED[name])}: {visible(shown)}")


class TuningBar:
    """Print a line for each trial, and show a bar with the time left if stderr is a terminal; a subscriber."""

    def __init__(self, *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        console = Console(stderr=True)
        self._quiet = quiet
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:3.0f}%"),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._began = self._start = self._now = 0.0
        self._batches = self._per_epoch = 0

    @property
    def done(self) -> float:
        """The trials that are done, the one that runs counted by its batches."""
        return self._bar.tasks[0].completed if self._bar.tasks else 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def __call__(self, event: Any) -> None:
        """Handle an event of the study, or of one of its trainings."""
        from rot180.training import StepDone, TrainingStarted
        from rot180.tuning.trial import TrialEnded, TrialStarted

        if isinstance(event, TrialStarted):
            if self._task is None:
                self._began, self._start = perf_counter(), event.number - 1
                self._task = self._bar.add_task("", total=event.planned, left="")
                self._bar.start()
            self._show(event.number - 1, event.planned, f"trial {event.number}/{event.planned}")
        elif isinstance(event, TrainingStarted):
            self._batches = event.batches * event.epochs
            self._per_epoch = event.batches
        elif isinstance(event, StepDone) and self._task is not None:
            done = ((event.epoch - 1) * self._per_epoch + event.batch) / max(self._batches, 1)
            self._show(self._now + done, self._bar.tasks[0].total or 1)
        elif isinstance(event, TrialEnded):
            left = self._show(event.trial.number, event.planned)
            if not self._quiet:
                self._say(event.trial, event.planned, left)

    def _show(self, done: float, planned: float, what: str | None = None) -> str:
        """Move the bar, and return the time left."""
        if what is not None:
            self._now = done
        seconds = (perf_counter() - self._began) / max(done - self._start, 1e-9) * (planned - done)
        left = f"time left {_duration(seconds)}" if done > self._start and done < planned else ""
        if self._task is not None:
            more = {} if what is None else {"description": translate(what)}
            self._bar.update(self._task, completed=done, left=translate(left), **more)  # type: ignore[arg-type]
        return left

    def _say(self, trial: Trial, planned: int, left: str) -> None:
        """Print a line for a trial."""
        from rot180.tuning.space import CALLED
        from rot180.tuning.trial import FAILED, FINISHED

        if trial.state == FINISHED:
            ended = percent(trial.accuracy or 0.0)
        elif trial.state == FAILED:
            ended = translate(f"failed: {trial.reason}")
        else:
            ended = translate(f"pruned after epoch {len(trial.accuracies)}, {percent(trial.accuracies[-1])}")
        tried = ", ".join(f"{translate(CALLED[name])} {_text(value)}" for name, value in trial.choice.items())
        time = ", ".join(map(translate, filter(None, (f"{trial.seconds:.1f} s", left))))
        line = f"{translate(f'trial {trial.number}/{planned}')}: {visible(ended)}  {visible(tried)}  ({time})"
        if self._bar.disable:
            print(line, flush=True)
        else:
            self._bar.print(line, highlight=False, markup=False)


def say_study(study: Study, picture: Path | None) -> None:
    """Print the best trials, and what to run next."""
    from rot180.files import quoted

    if study.trials:
        _say_table(study)
    if picture is not None:
        print(f"picture: {visible(picture)}")
    print(f"study: {visible(study.folder.path)}")
    if not study.is_complete:
        print(f"interrupted after {len(study.trials)} of {study.plan.trials} trials; resume with:")
        print(f"  rot180 tune --resume {visible(quoted(study.folder.path))}")
    if study.best is None or study.command is None:
        print("no trial finished; see the reasons above")
        return
    print(f"best: trial {study.best.number}, validation accuracy {percent(study.best.accuracy or 0.0)}")
    print("(slightly too high, since the trial was selected on these images). Train with its settings:")
    print(f"  {visible(study.command)}")


def _say_table(study: Study) -> None:
    """Print the trials, the most accurate first."""
    from rot180.tuning.space import CALLED

    order = sorted(study.trials, key=lambda trial: (trial != study.best, -(trial.accuracy or -1.0), trial.number))
    names = study.plan.space.names
    heads = ["trial", "validation", "epochs", "seconds", *(CALLED[name] for name in names)]
    rows = [list(map(translate, heads))]
    for trial in order[:MOST]:
        shown = percent(trial.accuracy) if trial.accuracy is not None else translate(trial.state)
        row = [str(trial.number), shown, str(len(trial.accuracies)), f"{trial.seconds:.1f}"]
        rows.append([*row, *(_text(trial.choice[name]) for name in names)])
    print_columns(rows)
    if len(order) > MOST:
        print(f"and {len(order) - MOST} more; --json lists all")


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    """Return a time as minutes and seconds, or hours and minutes.

    >>> _duration(9.4), _duration(75), _duration(7500)
    ('9 s', '1:15 min', '2:05 h')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02} h"
