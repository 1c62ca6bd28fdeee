"""Prepare matching data, network and settings, before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rot180 import __version__
from rot180.data import Dataset, load_data, preprocessing_for
from rot180.data.options import ImageOptions, Progress, _silent
from rot180.errors import ArgumentError, DataError, NotationError, ShapeError
from rot180.language import translate
from rot180.nn import MODELS, Network
from rot180.nn import model as make_model
from rot180.nn.models import adapted_model, default_network
from rot180.runs.own_data import tta_doubt
from rot180.runs.settings import RunSettings, optimizer_of
from rot180.runs.source import Source, adapted, open_source
from rot180.training.recipe import NAMED_RECIPES, fine_tuning, recipe


@dataclass(frozen=True)
class Prepared:
    """Everything that a training needs.

    Attributes
    ----------
    settings : RunSettings
        With everything filled in.
    dataset : Dataset
    model : Network
        With preprocessing and class names; not built yet.
    name : str
        The model's name or notation, as given by the user.
    source : Source or None
        What the training starts from; then the model is built, and has its weights except for those of the last layer.
    """

    settings: RunSettings
    dataset: Dataset
    model: Network
    name: str
    source: Source | None = None

    def config(self) -> dict[str, Any]:
        """Return the contents of config.toml."""
        settings = asdict(self.settings)
        source = self.settings.data
        # Paths are stored as absolute: the run may be used from another folder.
        for setting in ("validation", "source"):
            if isinstance(settings[setting], str):
                settings[setting] = _whole(settings[setting])
        return {
            "rot180": __version__,
            "data": "digits" if source is None else _whole(source),
            "model": settings.pop("model"),
            "network": self.model.notation,
            "training": {key: value for key, value in settings.items() if key != "data"},
        }


def prepare(settings: RunSettings, progress: Progress | None = None, dataset: Dataset | None = None) -> Prepared:
    """Read the data, create the network and fill in the settings left open.

    Parameters
    ----------
    settings : RunSettings
    progress : callable, optional
        Called with the progress of reading the data.
    dataset : Dataset, optional
        The data, if they were read before with the same settings; not for a network that was trained before.

    Raises
    ------
    Rot180Error
        A name is unknown, or data, network and settings do not match.
    """
    settings.check_names()
    if settings.source is not None:
        source = open_source(settings.source, progress or _silent)
        return _prepare_from(source, replace(settings, source=source.text), progress)
    model = None if settings.model is None else make_model(settings.model)
    dataset = dataset or _load(settings, settings.image_options(progress))
    name = settings.model or default_model(dataset, settings.recipe)
    model = model or make_model(name)
    if name in MODELS and not _fits(model, dataset):
        # If the images are too small for it, the network stays as it is and is rejected below.
        with suppress(NotationError):
            model = make_model(adapted_model(name, dataset.image_shape, len(dataset.class_names)))
    if model.input_shape != dataset.image_shape:
        takes, has = ("x".join(map(str, shape)) for shape in (model.input_shape, dataset.image_shape))
        raise ShapeError(
            f"the network takes images of {takes} but {dataset.name} has {has}; choose another --model, or write one "
            f"that begins with '{has} >'"
        )
    chosen = recipe(name, len(dataset.train_images), settings.recipe)
    if subject(dataset) != chosen.subject:
        chosen = replace(chosen, augment="none", tta="none")
    settings = settings.filled_in(name, chosen)
    _check_momentum(settings)
    model.preprocessing = preprocessing_for(str(settings.normalize), dataset)
    if len(model.output_shape) == 1:
        model.class_names = _output_names(dataset.class_names, model.output_shape[0])
    return Prepared(settings, dataset, model, name)


def _prepare_from(source: Source, settings: RunSettings, progress: Progress | None) -> Prepared:
    """Read the data as the source's images were, and adapt its network."""
    options, (height, width, *channels) = settings.image_options(progress), source.model.input_shape
    if options.size is None:
        options = replace(options, size=(height, width))
    if settings.resize is None or settings.resize[:1].isdigit():
        options = replace(options, resize=source.model.preprocessing.resize)
    if channels in ([1], [3]):
        options = replace(options, channels=channels[0])
    if settings.augment is None and not settings.freeze:
        options = replace(options, keeps_files=True)
    dataset = _load(settings, options)
    model = adapted(source, dataset)
    chosen = fine_tuning(len(dataset.train_images), freeze=settings.freeze)
    if subject(dataset) != chosen.subject:
        chosen = replace(chosen, augment="none")
    settings = settings.filled_in(source.name, replace(chosen, normalize=model.preprocessing.kind))
    _check_momentum(settings)
    model.class_names = dataset.class_names
    return Prepared(settings, dataset, model, source.name, source)


def _load(settings: RunSettings, options: ImageOptions) -> Dataset:
    """Read the training, validation and test images."""
    dataset = load_data(settings.data, options)
    if settings.limit is not None:
        dataset = dataset.limit(settings.limit)
    if not len(dataset.train_images):
        raise DataError(f"{dataset.name}: no training images; give data to train on")
    return with_validation(dataset, settings, options.progress)


def _check_momentum(settings: RunSettings) -> None:
    for option, value in (("--momentum", settings.momentum), ("--nesterov", settings.nesterov)):
        if value is not None and settings.optimizer != "sgd":
            raise ArgumentError(
                f"{option} is for the optimizer sgd, but it is {settings.optimizer}; add --optimizer sgd, or leave "
                f"{option} out"
            )


def doubts(prepared: Prepared) -> Iterator[str]:
    """Yield warnings before a training, one line each; none of them prevents it."""
    for note in prepared.dataset.notes:
        yield f"{prepared.dataset.name}: {translate(note)}"
    labels, names = prepared.dataset.train_labels, prepared.dataset.class_names
    if len(names) > 1 and not (labels != labels[0]).any():
        yield (
            f"all {len(labels):,} training images are of one class, {names[labels[0]]!r}: the network will learn to "
            "predict it for any image; give a larger --limit"
        )
    if doubt := tta_doubt(prepared.settings.tta, prepared.settings.augment):
        yield doubt
    optimizer = optimizer_of(asdict(prepared.settings))
    if optimizer is not None and not optimizer.decay_bias_and_norm and not getattr(optimizer, "weight_decay", 0.0):
        yield "--no-decay-bias-and-norm changes nothing, as there is no weight decay; add --weight-decay"
    pixels = prepared.model.preprocessing.pixels
    if pixels is not None and (note := pixels.note(prepared.dataset.train_images.dtype)):
        yield f"{prepared.dataset.name}: {translate(note)}"


def _output_names(names: tuple[str, ...], outputs: int) -> tuple[str, ...]:
    """Return a name for each output; outputs beyond the classes are named by numbers that no class has.

    >>> _output_names(("cat", "dog"), 4), _output_names(("1", "3"), 4)
    (('cat', 'dog', '2', '3'), ('1', '3', '0', '2'))
    """
    free = [str(index) for index in range(outputs) if str(index) not in names]
    missing = max(outputs - len(names), 0)
    return (*names[:outputs], *free[len(free) - missing :])


def _whole(source: str) -> str:
    """Return a path as absolute, and a name unchanged."""
    return str(Path(source).absolute()) if Path(source).exists() else source


def with_validation(dataset: Dataset, settings: RunSettings, progress: Progress | None = None) -> Dataset:
    """Return the data set with the validation images that the settings request, if any."""
    asked = settings.validation
    if asked is None:
        return dataset
    if not isinstance(asked, str):  # drawn by `fit`
        images, labels = dataset.train_images[:0], dataset.train_labels[:0]
        source = f"{asked:.3g} of the training images"
    else:
        height, width, channels = dataset.image_shape
        options = replace(settings.image_options(progress), size=(height, width), resize=dataset.resize)
        options = replace(options, channels=channels if channels in (1, 3) else None)
        images, labels = load_data(asked, options).for_validation(dataset.class_names)
        source = asked
    sources = dataset.sources._replace(validation=source)
    if len(dataset.validation_images):
        sources = sources._replace(unused=", ".join(filter(None, (sources.unused, dataset.sources.validation))))
    return replace(dataset, validation_images=images, validation_labels=labels, sources=sources)


def subject(dataset: Dataset) -> str:
    """Return what images show, as far as that decides how they may be altered: "digits", which may not be mirrored; \
"photographs" for other colored images; or "unknown". Letters, whose shapes alone tell them apart, are "unknown".

    >>> subject(load_data("digits"))
    'digits'
    """
    names, channels = dataset.class_names, dataset.image_shape[2]
    if all(name.isdigit() for name in names):
        return "digits" if channels == 1 else "unknown"
    return "photographs" if channels == 3 and any(len(name) > 1 and not name.isdigit() for name in names) else "unknown"


def default_model(dataset: Dataset, recipe: str = "default") -> str:
    """Return the name or notation of a network suited to a data set: the recipe's own if it fits.

    >>> default_model(load_data("digits"))
    'digits'
    """
    shape, classes = dataset.image_shape, len(dataset.class_names)
    own = NAMED_RECIPES[recipe].model
    if own is not None and _fits(make_model(own), dataset):
        return own
    if classes <= 10 and shape == (8, 8, 1):
        return "digits"
    if classes <= 10 and shape == (28, 28, 1):
        return "cnn-32-64-512"
    return default_network(shape, classes, width=NAMED_RECIPES[recipe].width)


def _fits(model: Network, dataset: Dataset) -> bool:
    """Return whether a named model fits unchanged; more outputs than numbered classes do no harm."""
    classes, outputs = dataset.class_names, model.output_shape[0]
    if model.input_shape != dataset.image_shape or len(classes) > outputs:
        return False
    return len(classes) == outputs or classes == tuple(map(str, range(len(classes))))
