"""The options of `rot180 train` that other commands take with the same meaning, for the trainings that they run."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rot180.cli.train_options import DATA, TRAINING

if TYPE_CHECKING:
    from rot180.runs.settings import RunSettings


def _option(name: str, panel: str, *declarations: str, show_default: bool = True) -> Any:
    return typer.Option(name, *declarations, help="As for train.", rich_help_panel=panel, show_default=show_default)


Source = Annotated[
    str | None, typer.Argument(metavar="DATA", help="As for train: a path or a name.", show_default=False)
]
Model = Annotated[str | None, _option("--model", TRAINING, "-m", show_default=False)]
Recipe = Annotated[str, _option("--recipe", TRAINING)]
BatchSize = Annotated[int | None, _option("--batch-size", TRAINING, "-b")]
Optimizer = Annotated[str | None, _option("--optimizer", TRAINING)]
Momentum = Annotated[float | None, _option("--momentum", TRAINING)]
Nesterov = Annotated[bool | None, _option("--nesterov/--no-nesterov", TRAINING, show_default=False)]
WeightDecay = Annotated[float | None, _option("--weight-decay", TRAINING, show_default=False)]
DecayBiasAndNorm = Annotated[
    bool | None, _option("--decay-bias-and-norm/--no-decay-bias-and-norm", TRAINING, show_default=False)
]
ClipNorm = Annotated[float | None, _option("--clip-norm", TRAINING)]
Schedule = Annotated[str | None, _option("--schedule", TRAINING)]
Warmup = Annotated[float | None, _option("--warmup", TRAINING)]
LabelSmoothing = Annotated[float | None, _option("--label-smoothing", TRAINING)]
Ema = Annotated[float | None, _option("--ema", TRAINING)]
Accumulate = Annotated[int, _option("--accumulate", TRAINING)]
EarlyStopping = Annotated[int | None, _option("--early-stopping", TRAINING)]
ClassWeights = Annotated[str | None, _option("--class-weights", TRAINING)]
Seed = Annotated[int, _option("--seed", TRAINING)]
Normalize = Annotated[str | None, _option("--normalize", DATA)]
Augment = Annotated[str | None, _option("--augment", DATA)]
Resize = Annotated[str | None, _option("--resize", DATA)]
Tta = Annotated[str | None, _option("--tta", DATA)]
OnBadFile = Annotated[str, _option("--on-bad-file", DATA)]
LabelColumn = Annotated[str | None, _option("--label-column", DATA, show_default=False)]
Limit = Annotated[int | None, _option("--limit", DATA)]


def settings_given(context: typer.Context) -> RunSettings:
    """Return the settings of a training that a command's options and arguments give."""
    from rot180.runs.settings import RunSettings

    given = dict(context.params)
    given["lr"] = given.pop("learning_rate", None)
    given["warmup"] = steps_or_share(given.get("warmup"))
    given["validation"] = share_or_data(given.get("validation"))
    return RunSettings(**{field.name: given[field.name] for field in fields(RunSettings) if field.name in given})


def steps_or_share(value: float | None) -> int | float | None:
    """Return a number of steps as an int, and a share of them unchanged.

    >>> steps_or_share(100.0), steps_or_share(0.05)
    (100, 0.05)
    """
    return int(value) if value is not None and value.is_integer() else value


def share_or_data(text: str | None) -> float | str | None:
    """Return a share as a number and anything else unchanged.

    >>> share_or_data("0.1"), share_or_data("photos/val")
    (0.1, 'photos/val')
    """
    try:
        return None if text is None else float(text)
    except ValueError:
        return text
