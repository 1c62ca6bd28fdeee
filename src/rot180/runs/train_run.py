"""A whole run in one call: data, network, training, test, pictures, and the folder that is left."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rot180 import __version__
from rot180.data import Dataset, load_data, preprocessing_for
from rot180.data.augment import parse_augmentation
from rot180.data.options import ImageOptions, Progress, parse_resize
from rot180.engine import ENGINES
from rot180.errors import ArgumentError, DataError, ShapeError, did_you_mean
from rot180.nn import MODELS, Sequential
from rot180.nn import model as make_model
from rot180.nn.models import adapted_model, default_network
from rot180.nn.preprocessing import KINDS
from rot180.runs.draw import draw_images, draw_model
from rot180.runs.folder import RunFolder, create_numbered_run, create_run
from rot180.training import (
    OPTIMIZERS,
    SCHEDULES,
    Evaluation,
    Event,
    History,
    Subscriber,
    TrainingStarted,
    evaluate,
    fit,
)
from rot180.training import optimizer as optimizer_by_name
from rot180.training.recipe import Recipe, recipe

NOT_OF_FIT = ("data", "model", "normalize", "limit", "resize", "on_bad_file")
"""Settings that are dealt with before the training."""


@dataclass(frozen=True)
class RunSettings:
    """What a run is asked to do; None stands for what the model's recipe says.

    Attributes
    ----------
    data : str or None
        As in `load_data`; None is the bundled digits.
    model : str or None
        A name or a notation; None is chosen by the size of the images.
    epochs, batch_size, optimizer, lr, schedule, warmup, seed, validation, early_stopping, accumulate, engine
        As in `fit`.
    augment : str or None
        Such as "shift:2,flip"; see `rot180.data.augment`.
    resize : str or None
        How image files are brought to one size, such as "64" or "crop:64x48"; see `rot180.data.options`.
    on_bad_file : str
        `strict` or `skip`; see `rot180.data.options`.
    normalize : str or None
        `scale`, `image`, `dataset` or `none`; see `Preprocessing`.
    limit : int or None
        Train on the first so many images only.
    """

    data: str | None = None
    model: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    optimizer: str | None = None
    lr: float | None = None
    schedule: str | None = None
    warmup: int | float | None = None
    normalize: str | None = None
    seed: int = 0
    limit: int | None = None
    validation: float | None = None
    early_stopping: int | None = None
    accumulate: int = 1
    augment: str | None = None
    resize: str | None = None
    on_bad_file: str = "strict"
    engine: str = "auto"

    def check_names(self) -> None:
        """Raise ArgumentError for a name that nothing has; done before any data is read."""
        _known("optimizer", self.optimizer, OPTIMIZERS)
        _known("schedule", self.schedule, SCHEDULES)
        _known("normalization", self.normalize, KINDS)
        _known("engine", self.engine, ENGINES)
        self.image_options()
        if self.augment is not None:
            parse_augmentation(self.augment)

    def image_options(self, progress: Progress | None = None) -> ImageOptions:
        """Return how image files are to be read."""
        size, channels, way = (None, None, "stretch") if self.resize is None else parse_resize(self.resize)
        options = ImageOptions(size=size, channels=channels, resize=way, on_bad_file=self.on_bad_file)
        return options if progress is None else replace(options, progress=progress)

    def filled_in(self, model: str, from_recipe: Recipe) -> RunSettings:
        """Return the settings with what was left open taken from a recipe.

        A learning rate suits one optimizer: with another than the recipe's, that optimizer's own default is taken.
        """
        same_optimizer = self.optimizer in (None, from_recipe.optimizer)
        given = {name: value for name, value in asdict(self).items() if value is not None}
        defaults = asdict(from_recipe)
        if not same_optimizer:
            defaults["lr"] = optimizer_by_name(str(self.optimizer)).initial_lr
        if self.schedule is not None and self.schedule != from_recipe.schedule:
            defaults["warmup"] = 0
        return replace(self, **{**defaults, **given, "model": model})


@dataclass(frozen=True)
class TrainedRun:
    """What came of a run.

    Attributes
    ----------
    folder : RunFolder
    model : Sequential
    dataset : Dataset
    settings : RunSettings
        With everything filled in.
    history : History
    test : Evaluation or None
        On the test images; None where the data has none.
    pictures : tuple of Path
        The PNG files.
    """

    folder: RunFolder
    model: Sequential
    dataset: Dataset
    settings: RunSettings
    history: History
    test: Evaluation | None
    pictures: tuple[Path, ...]


def train_run(
    settings: RunSettings,
    *,
    out: str | Path | None = None,
    subscribers: Iterable[Subscriber] = (),
    progress: Progress | None = None,
    draw: bool = True,
) -> TrainedRun:
    """Train as the settings say, and leave a run folder.

    Whatever can be found wrong beforehand is found before the folder is made, so a start that fails leaves nothing.
    Ctrl-C ends the training after its batch; what was reached is then tested and saved like any other.

    Parameters
    ----------
    settings : RunSettings
    out : str or Path, optional
        The folder to make; it may not exist. By default the next free number in `runs/`.
    subscribers : iterable of callables
        Told every event of the training.
    progress : callable, optional
        Told how far the reading of the data is.
    draw : bool
        Whether to draw the pictures.

    Raises
    ------
    Rot180Error
        The folder exists; a name is unknown; data, network and settings cannot be used or do not fit together.

    Examples
    --------
    >>> import tempfile
    >>> run = train_run(RunSettings(epochs=1, limit=200), out=tempfile.mkdtemp() + "/run", draw=False)
    >>> run.history.stopped, run.test.count == len(run.dataset.test_images)
    ('finished', True)
    """
    settings.check_names()
    if out is not None and os.path.lexists(out):
        raise ArgumentError(f"{out} exists already; choose another --out or remove it")
    model = None if settings.model is None else make_model(settings.model)
    dataset = load_data(settings.data, settings.image_options(progress))
    if settings.limit is not None:
        dataset = dataset.limit(settings.limit)
    if not len(dataset.train_images):
        raise DataError(f"{dataset.name}: there are no training images; name the data to train on")
    name = settings.model or default_model(dataset)
    model = model or make_model(name)
    if name in MODELS and not _fits(model, dataset):
        model = make_model(adapted_model(name, dataset.image_shape, len(dataset.class_names)))
    if model.input_shape != dataset.image_shape:
        takes, has = ("x".join(map(str, shape)) for shape in (model.input_shape, dataset.image_shape))
        raise ShapeError(
            f"the network takes images of {takes} but {dataset.name} has {has}; choose another --model, or write one "
            f"that begins with '{has} >'"
        )
    settings = settings.filled_in(name, recipe(name))
    model.preprocessing = preprocessing_for(str(settings.normalize), dataset)
    if len(model.output_shape) == 1:
        numbers = [str(index) for index in range(model.output_shape[0])]
        model.class_names = (*dataset.class_names, *numbers[len(dataset.class_names) :])[: len(numbers)]

    recorder = _Recorder(settings, dataset, model, out)
    history = fit(
        model,
        dataset,
        **{key: value for key, value in asdict(settings).items() if key not in NOT_OF_FIT},
        subscribers=[recorder, *subscribers],
    )
    folder = recorder.folder
    folder.save_model(model)
    test = None
    if len(dataset.test_images):
        test = evaluate(model, dataset.test_images, dataset.test_labels, engine=settings.engine)
        values = test.to_dict()
        folder.history_writer().write("test", **{key: values[key] for key in ("count", "loss", "accuracy")})
    pictures = draw_run(folder.pictures, model, history, dataset, test) if draw else []
    return TrainedRun(folder, model, dataset, settings, history, test, tuple(pictures))


def draw_run(
    folder: Path,
    model: Sequential,
    history: History,
    dataset: Dataset,
    test: Evaluation | None = None,
    chosen: Iterable[int] = (),
) -> list[Path]:
    """Draw all pictures of a run, with the test images of a data set, and return the PNG files."""
    images, labels = dataset.test_images, dataset.test_labels
    if not len(images):
        return draw_model(folder, model, history)
    return [
        *draw_model(folder, model, history, test or evaluate(model, images, labels)),
        *draw_images(folder, model, images, labels, dataset.class_names, chosen),
    ]


def default_model(dataset: Dataset) -> str:
    """Return the name or notation of a network that suits a data set.

    >>> default_model(load_data("digits"))
    'digits'
    """
    shape, classes = dataset.image_shape, len(dataset.class_names)
    if classes <= 10 and shape == (8, 8, 1):
        return "digits"
    if classes <= 10 and shape == (28, 28, 1):
        return "cnn-32-64-512"
    return default_network(shape, classes)


def _fits(model: Sequential, dataset: Dataset) -> bool:
    """Say whether a named model can stay as it is; more outputs than numbered classes are no harm."""
    classes, outputs = dataset.class_names, model.output_shape[0]
    if model.input_shape != dataset.image_shape or len(classes) > outputs:
        return False
    return len(classes) == outputs or classes == tuple(map(str, range(len(classes))))


class _Recorder:
    """Makes the run folder when the training starts, and keeps its history there; a subscriber."""

    def __init__(self, settings: RunSettings, dataset: Dataset, model: Sequential, out: str | Path | None) -> None:
        self._settings, self._dataset, self._model, self._out = settings, dataset, model, out

    def __call__(self, event: Event) -> None:
        if isinstance(event, TrainingStarted):
            self.folder = self._make_folder()
            self.folder.write_config(self._config())
            self._history = self.folder.history_writer()
        self._history(event)

    def _make_folder(self) -> RunFolder:
        if self._out is not None:
            return create_run(self._out)
        name = str(self._settings.model)
        return create_numbered_run(self._dataset.name, name if name in MODELS else "network")

    def _config(self) -> dict[str, Any]:
        settings = asdict(self._settings)
        source = self._settings.data
        # A path is kept whole: the run may be looked at from elsewhere.
        data = str(Path(source).absolute()) if source is not None and Path(source).exists() else source or "digits"
        return {
            "rot180": __version__,
            "data": data,
            "model": settings.pop("model"),
            "network": self._model.notation,
            "training": {key: value for key, value in settings.items() if key != "data"},
        }


def _known(what: str, name: str | None, names: Collection[str]) -> None:
    if name is not None and name not in names:
        raise ArgumentError(f"unknown {what} {name!r}{did_you_mean(name, names)}")
