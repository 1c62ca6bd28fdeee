"""The command that trains with some settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rot180.data import Dataset
from rot180.files import quoted
from rot180.runs.prepare import prepare
from rot180.runs.settings import RunSettings

OPTIONS = {
    "lr": "--lr",
    "source": "--from",
    "recipe": "--recipe",
    "model": "--model",
    **{
        name: f"--{name.replace('_', '-')}"
        for name in (
            *("epochs", "batch_size", "optimizer", "momentum", "nesterov", "weight_decay", "decay_bias_and_norm"),
            *("clip_norm", "schedule", "warmup", "label_smoothing", "ema", "tta", "normalize", "augment", "resize"),
            *("class_weights", "label_column", "on_bad_file", "limit", "validation", "early_stopping", "accumulate"),
            *("seed", "engine"),
        )
    },
}
"""The option of each setting."""


def train_options(settings: RunSettings, dataset: Dataset) -> list[str]:
    """Return the arguments after `rot180 train` by which a training gets these settings, and no more than needed.

    Parameters
    ----------
    settings : RunSettings
        Complete settings, of a network that is not trained yet.
    dataset : Dataset
        The data, as read with these settings.

    Examples
    --------
    >>> from rot180.data import load_data
    >>> digits = load_data("digits")
    >>> complete = prepare(RunSettings(lr=0.01, augment="shift:1"), dataset=digits).settings
    >>> train_options(complete, digits)
    ['--lr', '0.01', '--augment', 'shift:1']
    """
    # An optimizer or a schedule brings defaults of its own.
    given = RunSettings(data=settings.data, recipe=settings.recipe)
    plain = prepare(given, dataset=dataset).settings
    if settings.model != plain.model:
        given = replace(given, model=settings.model)
        plain = prepare(given, dataset=dataset).settings
    options: dict[str, Any] = {}
    for name in ("recipe", "model"):
        if getattr(given, name) != getattr(RunSettings, name):
            options[name] = getattr(given, name)
    for name in ("optimizer", "schedule"):
        if getattr(settings, name) != getattr(plain, name):
            options[name] = getattr(settings, name)
    plain = prepare(replace(given, **options), dataset=dataset).settings
    for name in OPTIONS:
        if name not in options and getattr(settings, name) != getattr(plain, name):
            options[name] = getattr(settings, name)
    arguments = [] if settings.data is None else [settings.data]
    for name, value in options.items():
        option = OPTIONS[name]
        if isinstance(value, bool):
            arguments.append(option if value else option.replace("--", "--no-", 1))
        else:
            arguments += [option, str(value)]
    return arguments


def train_command(settings: RunSettings, dataset: Dataset) -> str:
    """Return the command, quoted for a shell; see `train_options`."""
    return " ".join(["rot180 train", *map(quoted, train_options(settings, dataset))])
