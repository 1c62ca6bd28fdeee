"""The settings of a run, from the command line, a call or config.toml."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from rot180.data.augment import parse_augmentation
from rot180.data.options import ImageOptions, Progress, parse_resize
from rot180.engine import ENGINES
from rot180.errors import ArgumentError, ModelError, did_you_mean
from rot180.nn.preprocessing import KINDS
from rot180.runs.fields import FLAG, INTEGER, NUMBER, TEXT, check_fields, maybe, one_of
from rot180.training import OPTIMIZERS, SCHEDULES, Optimizer
from rot180.training import optimizer as optimizer_by_name
from rot180.training.class_weights import parse_class_weights
from rot180.training.predict import TTA
from rot180.training.recipe import NAMED_RECIPES, Recipe
from rot180.training.shards import read_shards

NOT_OF_FIT = (
    "data",
    "model",
    "source",
    "freeze",
    "recipe",
    "normalize",
    "limit",
    "resize",
    "on_bad_file",
    "label_column",
)
"""Settings that are used before the training."""

OF_STEPS = (
    *("epochs", "batch_size", "optimizer", "lr", "momentum", "nesterov", "weight_decay", "decay_bias_and_norm"),
    *("clip_norm", "schedule", "warmup", "label_smoothing", "ema", "early_stopping", "accumulate", "augment"),
)
"""Settings that only the steps of a training use."""


@dataclass(frozen=True)
class RunSettings:
    """The settings of a run; None means the recipe's value.

    Attributes
    ----------
    data : str or None
        As in `load_data`; None means the bundled digits.
    model : str or None
        A name or a notation; if None, it is chosen by the recipe and the size of the images.
    recipe : str
        A name from `rot180.training.recipe.NAMED_RECIPES`.
    epochs, batch_size, optimizer, lr, momentum, nesterov, weight_decay, decay_bias_and_norm, clip_norm, schedule, \
warmup, label_smoothing, ema, seed, early_stopping, accumulate, engine
        As in `fit`.
    tta : str or None
        Test-time augmentation of the validation and test images, as in `evaluate`.
    validation : float, str or None
        A share of the training images to validate on, or data as in `load_data`; if None, the data's own validation
        images are used, if any.
    augment : str or None
        Such as "shift:2,flip", or "none"; see `rot180.data.augment`.
    resize : str or None
        How image files are resized, such as "64" or "crop:64x48"; see `rot180.data.options`.
    on_bad_file : str
        `strict` or `skip`; see `rot180.data.options`.
    class_weights : str or None
        `balanced`, or weights by name such as "cat=2,dog=1".
    label_column : str or None
        The column of a table with the labels, by name or number; see `rot180.data.options`.
    source : str or None
        A run or a file of weights to start from; `model` is then the network's name, and only told.
    freeze : bool
        With `source`: train the last layer only.
    normalize : str or None
        `scale`, `image`, `dataset` or `none`; see `Preprocessing`.
    shards : int or None
        Into how many parts each batch is cut, for the same bits on any number of processes; see `rot180.fit`.
    sync_batch_norm : bool
        Whether batch normalization uses the mean and variance of the whole batch where it is cut into parts.
    limit : int or None
        Train on only this many images, from the start.
    """

    data: str | None = None
    model: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    optimizer: str | None = None
    lr: float | None = None
    momentum: float | None = None
    nesterov: bool | None = None
    weight_decay: float | None = None
    decay_bias_and_norm: bool | None = None
    clip_norm: float | None = None
    schedule: str | None = None
    warmup: int | float | None = None
    label_smoothing: float | None = None
    ema: float | None = None
    tta: str | None = None
    normalize: str | None = None
    seed: int = 0
    limit: int | None = None
    validation: float | str | None = None
    early_stopping: int | None = None
    accumulate: int = 1
    augment: str | None = None
    class_weights: str | None = None
    resize: str | None = None
    on_bad_file: str = "strict"
    label_column: str | None = None
    engine: str = "auto"
    recipe: str = "default"
    source: str | None = None
    freeze: bool = False
    shards: int | None = None
    sync_batch_norm: bool = False

    def check_names(self) -> None:
        """Raise ArgumentError for unknown names, before any data is read."""
        _known("optimizer", self.optimizer, OPTIMIZERS)
        _known("schedule", self.schedule, SCHEDULES)
        _known("tta", self.tta, TTA)
        _known("normalization", self.normalize, KINDS)
        _known("engine", self.engine, ENGINES)
        _known("recipe", self.recipe, NAMED_RECIPES)
        if self.freeze and self.source is None:
            raise ArgumentError("--freeze needs --from, the network whose last layer is trained alone")
        if self.epochs == 0 and not self.freeze:
            raise ArgumentError("epochs must be an int, at least 1; it is 0")
        if self.shards is not None:
            read_shards(self.shards)
        self.image_options()
        if self.class_weights is not None:
            parse_class_weights(self.class_weights)

    def image_options(self, progress: Progress | None = None) -> ImageOptions:
        """Return the options for reading image files."""
        size, channels, way = (None, None, "stretch") if self.resize is None else parse_resize(self.resize)
        augment = None if self.augment is None else parse_augmentation(self.augment)
        options = ImageOptions(
            size=size,
            channels=channels,
            resize=way,
            on_bad_file=self.on_bad_file,
            label_column=self.label_column,
            keeps_files=augment is not None and augment.needs_originals,
        )
        return options if progress is None else replace(options, progress=progress)

    def filled_in(self, model: str, from_recipe: Recipe) -> RunSettings:
        """Return the settings with missing values filled in from a recipe.

        Learning rate, momentum and weight decay suit one optimizer: with an optimizer other than the recipe's, its own
        defaults are used.
        """
        same_optimizer = self.optimizer in (None, from_recipe.optimizer)
        given = {name: value for name, value in asdict(self).items() if value is not None}
        defaults = asdict(from_recipe)
        del defaults["subject"]  # whoever chose the recipe has looked at the images
        if not same_optimizer:
            defaults |= {
                "lr": optimizer_by_name(str(self.optimizer)).initial_lr,
                "momentum": None,
                "nesterov": None,
                "weight_decay": None,
            }
        if self.schedule is not None and self.schedule != from_recipe.schedule:
            defaults["warmup"] = 0
        return replace(self, **{**defaults, **given, "model": model})


def optimizer_of(training: Mapping[str, Any]) -> Optimizer | None:
    """Return the optimizer of a run's settings, before its first update; None if they name none that is known.

    >>> optimizer_of({"optimizer": "sgd", "lr": 0.5, "clip_norm": 1.0, "epochs": 3})
    SGD(lr=0.5, momentum=0.0, nesterov=False, weight_decay=0.0, clip_norm=1.0)
    """
    if training.get("optimizer") not in OPTIMIZERS:
        return None
    names = ("lr", "momentum", "nesterov", "weight_decay", "decay_bias_and_norm", "clip_norm")
    given = {name: training[name] for name in names if isinstance(training.get(name), (int, float))}
    return optimizer_by_name(training["optimizer"], **given)


_KINDS = {
    "bool": FLAG,
    "bool | None": FLAG,
    "int": INTEGER,
    "int | None": INTEGER,
    "float | None": NUMBER,
    "int | float | None": NUMBER,
    "str": TEXT,
    "str | None": TEXT,
    "float | str | None": one_of(NUMBER, TEXT),
}

TRAINING = {field.name: _KINDS[str(field.type)] for field in fields(RunSettings)}
"""The kind of each setting in a configuration, which omits None."""


def settings_from(config: Mapping[str, Any], path: Path) -> RunSettings:
    """Return the settings in a config.toml.

    Raises
    ------
    ModelError
        A setting is unknown or has the wrong type.
    """
    training = config.get("training")
    if not isinstance(training, dict):
        raise ModelError(f"{path}: no table [training] in it; not a run's configuration")
    values = {**{name: config[name] for name in ("data", "model") if name in config}, **training}
    for name in values:
        if name not in TRAINING:
            raise ModelError(f"{path}: unknown setting {name[:40]!r}{did_you_mean(name, TRAINING)}")
    check_fields(values, {name: maybe(kind) for name, kind in TRAINING.items()}, str(path))
    # Written before recipes could augment, it has no such setting if there was no augmentation.
    return RunSettings(**{"augment": "none"} | values)


def _known(what: str, name: str | None, names: Collection[str]) -> None:
    if name is not None and name not in names:
        raise ArgumentError(f"unknown {what} {name!r}{did_you_mean(name, names)}")
